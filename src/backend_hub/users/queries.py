"""Reading people."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, literal_column, select
from sqlmodel import col

from backend_hub.db import AsyncSession
from backend_hub.errors import NotFound
from backend_hub.http.cursors import Order, Page, PageParams, read_page
from backend_hub.users.models import User
from backend_hub.users.schemas import AccountRead, UserRead


def _posts(kind: str) -> Any:
    """How many visible posts of a kind the person wrote; users lie below posts, hence SQL."""
    return literal_column(
        "(SELECT count(*) FROM posts WHERE author_id = users.id AND deleted_at IS NULL"  # noqa: S608
        f" AND NOT draft AND NOT parent_deleted AND kind = '{kind}')"
    ).label(f"{kind}_count")


async def read_user(session: AsyncSession, username: str) -> UserRead:
    """A public profile; raises NotFound."""
    statement = select(
        *(col(getattr(User, name)) for name in ("id", "username", "display_name", "bio", "role")),
        *(_posts(kind) for kind in ("resource", "question", "answer")),
        col(User.created_at),
    ).where(func.lower(User.username) == username.lower())
    row = (await session.execute(statement)).mappings().one_or_none()
    if row is None:
        raise NotFound("There is nobody of this name")
    return UserRead.model_validate(dict(row))


ACCOUNT_COLUMNS = [col(getattr(User, name)) for name in AccountRead.model_fields]


async def list_accounts(session: AsyncSession, page: PageParams) -> Page[AccountRead]:
    order = Order("newest", [col(User.id)])
    return await read_page(session, select(*ACCOUNT_COLUMNS), order, page, AccountRead)


async def read_account(session: AsyncSession, user_id: UUID) -> AccountRead:
    """One account, for admins; raises NotFound."""
    found = select(*ACCOUNT_COLUMNS).where(col(User.id) == user_id)
    row = (await session.execute(found)).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such account")
    return AccountRead.model_validate(dict(row))

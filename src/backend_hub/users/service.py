"""What happens to accounts after they exist."""

from uuid import UUID

from sqlmodel import col, select

from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import Conflict, Forbidden, NotFound
from backend_hub.events.service import record
from backend_hub.http.etag import require_version
from backend_hub.users.models import Role, User
from backend_hub.users.schemas import AccountUpdate, MeUpdate


class OwnAccount(Conflict):
    code, title = "own_account", "Admins cannot demote or disable themselves"


class LastAdmin(Conflict):
    code, title = "last_admin", "Somebody has to stay admin: make another one first"


class DeletedAccount(Conflict):
    code, title = "deleted_account", "Its person left: there is nobody to change it for"


async def _lock_admins(session: AsyncSession) -> frozenset[UUID]:
    """Who is admin; nobody else changes that before this transaction ends."""
    admins = select(User.id).where(User.role == Role.admin, col(User.disabled_at).is_(None))
    # In one order, so that no two wait for each other; votes and comments need not wait.
    locked = admins.order_by(col(User.id)).with_for_update(key_share=True)
    return frozenset((await session.exec(locked)).all())


async def lock_user(session: AsyncSession, user_id: UUID, if_match: str) -> User:
    """The account, locked for a change of the version the client read."""
    found = select(User).where(User.id == user_id).with_for_update()
    user = (await session.exec(found)).first()
    if user is None:
        raise NotFound("There is no such account")
    require_version(if_match, user.version)
    return user


async def lock_leaving_user(session: AsyncSession, user_id: UUID) -> User:
    """The account of somebody who leaves, locked; raises LastAdmin."""
    admins = await _lock_admins(session)
    user = await lock_user(session, user_id, "*")
    if admins == {user_id}:
        raise LastAdmin
    return user


async def get_user(session: AsyncSession, user_id: UUID) -> User:
    user = await session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such account")
    return user


async def update_profile(
    session: AsyncSession, user_id: UUID, form: MeUpdate, if_match: str
) -> User:
    user = await lock_user(session, user_id, if_match)
    for name, value in form.changes().items():
        setattr(user, name, value)
    user.version += 1
    record(session, "user.updated", actor_id=user.id, subject_id=user.id)
    await session.flush()
    return user


async def update_account(
    session: AsyncSession, admin_id: UUID, user_id: UUID, form: AccountUpdate, if_match: str
) -> User:
    """Change a role, or disable an account; its tokens stop working with the next request.

    Raises Forbidden for an admin whom another one demoted a moment ago: so one always stays.
    """
    if admin_id == user_id:
        raise OwnAccount
    if admin_id not in await _lock_admins(session):
        raise Forbidden("You are no admin any more")
    user = await lock_user(session, user_id, if_match)
    if user.deleted_at is not None:
        raise DeletedAccount
    changes = form.changes()
    if "role" in changes:
        user.role = changes["role"]
    if "disabled" in changes:
        user.disabled_at = (user.disabled_at or utcnow()) if changes["disabled"] else None
    user.version += 1
    record(
        session,
        "user.account_changed",
        actor_id=admin_id,
        subject_id=user.id,
        private=True,
        **changes,
    )
    await session.flush()
    return user

"""The account that the hub makes by itself: the author of the catalogue and of imports."""

from uuid import UUID

from sqlalchemy import func
from sqlmodel import select

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.events.service import record
from backend_hub.users.models import Role, User

HUB_USERNAME = "backend-hub"


async def find_account(session: AsyncSession, username: str) -> User | None:
    found = select(User).where(func.lower(User.username) == username.lower())
    return (await session.exec(found)).first()


async def hub_account(session: AsyncSession) -> User:
    """The author of the catalogue and of imported lists; it has no way to sign in."""
    account = await find_account(session, HUB_USERNAME)
    if account is None:
        account = User(
            username=HUB_USERNAME,
            display_name="Backend Hub",
            bio="Adds what the hub ships with, and the lists that its admins import.",
        )
        await add_account(session, account)
    return account


async def add_account(session: AsyncSession, account: User) -> None:
    session.add(account)
    await session.flush()
    record(session, "user.registered", actor_id=account.id, subject_id=account.id)


def acting(user_id: UUID, username: str = HUB_USERNAME) -> Actor:
    """Whoever an import acts for: it adds what is theirs, and may touch nothing else."""
    return Actor(user_id, username, Role.member, frozenset())

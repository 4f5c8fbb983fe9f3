"""The accounts that the hub makes by itself: the catalogue's author, and those of a demo."""

from uuid import UUID

from sqlalchemy import func
from sqlmodel import select

from backend_hub.auth.actor import Actor
from backend_hub.auth.passwords import hash_password
from backend_hub.db import AsyncSession
from backend_hub.events.service import record
from backend_hub.users.models import Role, User

HUB_USERNAME = "backend-hub"
DEMO_PASSWORD = "learn-backends-together"  # noqa: S105 - public on purpose, development only
DEMO_ACCOUNTS = {"demo": Role.member, "demo-admin": Role.admin}


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
        await _add(session, account)
    return account


async def seed_demo(session: AsyncSession) -> None:
    """Make the accounts of development mode, unless they exist; never call it in production."""
    for username, role in DEMO_ACCOUNTS.items():
        if await find_account(session, username) is None:
            account = User(
                username=username,
                display_name=username,
                email=f"{username}@example.org",
                password_hash=await hash_password(DEMO_PASSWORD),
                role=role,
            )
            await _add(session, account)


async def _add(session: AsyncSession, account: User) -> None:
    session.add(account)
    await session.flush()
    record(session, "user.registered", actor_id=account.id, subject_id=account.id)


def acting(user_id: UUID, username: str = HUB_USERNAME) -> Actor:
    """Whoever an import acts for: it adds what is theirs, and may touch nothing else."""
    return Actor(user_id, username, Role.member, frozenset())

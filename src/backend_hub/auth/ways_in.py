"""How a person can sign in: the last way is not to be taken from them (promise 56)."""

from sqlmodel import select

from backend_hub.auth.models import Passkey
from backend_hub.db import AsyncSession
from backend_hub.users.models import User


async def ways_in(session: AsyncSession, user: User) -> list[str]:
    """One word a way: `password`, `passkey:<id>`.

    The account is locked: of two requests that each take one of the last two ways, one is refused.
    """
    locked = select(User).where(User.id == user.id).with_for_update()
    user = (await session.exec(locked.execution_options(populate_existing=True))).one()
    ways = ["password"] if user.password_hash else []
    passkeys = await session.exec(select(Passkey.id).where(Passkey.user_id == user.id))
    return ways + [f"passkey:{passkey_id}" for passkey_id in passkeys]

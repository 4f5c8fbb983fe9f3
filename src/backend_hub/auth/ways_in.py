"""How a person can sign in: the last way is not to be taken from them (promise 56)."""

from sqlalchemy import text
from sqlmodel import select

from backend_hub.auth.models import Passkey
from backend_hub.db import AsyncSession
from backend_hub.users.models import User

# These tables lie above, hence SQL. Whatever else signs one in by itself belongs here.
LINKED = text(
    "SELECT 'linked:' || l.id FROM linked_accounts l"
    " JOIN identity_providers p ON p.issuer = l.issuer AND p.enabled WHERE l.user_id = :user_id"
)


async def ways_in(session: AsyncSession, user: User) -> list[str]:
    """One word a way: `password`, `passkey:<id>`, `linked:<id>`.

    The account is locked: of two requests that each take one of the last two ways, one is refused.
    """
    locked = select(User).where(User.id == user.id).with_for_update()
    user = (await session.exec(locked.execution_options(populate_existing=True))).one()
    ways = ["password"] if user.password_hash else []
    passkeys = await session.exec(select(Passkey.id).where(Passkey.user_id == user.id))
    ways += [f"passkey:{passkey_id}" for passkey_id in passkeys]
    return ways + list((await session.scalars(LINKED, {"user_id": user.id})).all())

"""Which account an outside identity belongs to, and how one comes to have it.

An identity is an issuer and a subject. An address joins it to an account only when both sides
verified it and the operators trust the provider's word; an address that somebody merely wrote
down proves nothing, so such an account is never merged.
"""

import re
import secrets
import unicodedata
from uuid import UUID

from sqlalchemy import delete, func
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from backend_hub.auth.schemas import RESERVED_NAMES
from backend_hub.auth.security_log import note
from backend_hub.auth.service import UsernameTaken, hash_token
from backend_hub.auth.ways_in import ways_in
from backend_hub.db import AsyncSession, constraint_name, utcnow
from backend_hub.errors import Conflict, NotFound
from backend_hub.events.service import record
from backend_hub.http.callers import Caller
from backend_hub.identity.flow import PENDING_LIVES
from backend_hub.identity.models import IdentityProvider, LinkedAccount, PendingIdentity
from backend_hub.identity.outside import OutsideIdentity
from backend_hub.identity.schemas import NewMember
from backend_hub.users.models import User


class LinkedElsewhere(Conflict):
    code, title = "linked_elsewhere", "It belongs to another account of this hub"


class AddressTaken(Conflict):
    code, title = "address_taken", "An account of this hub has this address: sign in to it first"


class LastWayIn(Conflict):
    code, title = "last_way_in", "This is your last way to sign in"


async def find_account(
    session: AsyncSession, provider: IdentityProvider, identity: OutsideIdentity, caller: Caller
) -> User | None:
    """Whose identity it is: by its link, or by an address that both sides verified."""
    if user := await _linked(session, identity):
        return user
    if not (provider.trusts_email and identity.email_verified):
        return None
    user = await owner_of_address(session, identity.email)
    if user is not None and user.disabled_at is None:
        await link(session, user, provider.name, identity, caller)
    return user


async def _linked(session: AsyncSession, identity: OutsideIdentity) -> User | None:
    found = (
        select(LinkedAccount, User)
        .join(User, col(User.id) == LinkedAccount.user_id)
        .where(LinkedAccount.issuer == identity.issuer, LinkedAccount.subject == identity.subject)
    )
    row = (await session.exec(found)).first()
    if row is None:
        return None
    account, user = row
    account.label, account.used_at = identity.label, utcnow()
    return user


async def owner_of_address(session: AsyncSession, email: str | None) -> User | None:
    """The account that verified this address."""
    if email is None:
        return None
    found = select(User).where(
        func.lower(User.email) == email.lower(), col(User.email_verified_at).is_not(None)
    )
    return (await session.exec(found)).first()


async def link(
    session: AsyncSession, user: User, provider: str, identity: OutsideIdentity, caller: Caller
) -> None:
    """The identity signs this person in from now on; raises LinkedElsewhere."""
    owner = await _linked(session, identity)
    if owner is not None and owner.id != user.id:
        raise LinkedElsewhere
    if owner is None:
        account = LinkedAccount(
            user_id=user.id,
            issuer=identity.issuer,
            subject=identity.subject,
            label=identity.label,
            used_at=utcnow(),
        )
        session.add(account)
        await session.flush()
        note(session, user.id, "account_linked", caller, f"{provider} ({identity.label})")
        _record(session, user.id, account.id, "user.account_linked")


async def unlink(session: AsyncSession, user: User, link_id: UUID, caller: Caller) -> None:
    """Raises NotFound, and LastWayIn for what alone signs the person in."""
    ways = await ways_in(session, user)
    found = select(LinkedAccount).where(
        LinkedAccount.id == link_id, LinkedAccount.user_id == user.id
    )
    account = (await session.exec(found)).first()
    if account is None:
        raise NotFound("You have no such link")
    if not set(ways) - {f"linked:{account.id}"}:
        raise LastWayIn
    await session.execute(delete(LinkedAccount).where(col(LinkedAccount.id) == account.id))
    note(session, user.id, "account_unlinked", caller, account.label)
    _record(session, user.id, account.id, "user.account_unlinked")


async def hold(
    session: AsyncSession,
    provider: IdentityProvider,
    identity: OutsideIdentity,
    browser: str,
    target: str,
) -> str:
    """Keep an identity that nobody has until its person chose; the token of their page."""
    token = secrets.token_urlsafe(32)
    session.add(
        PendingIdentity(
            token_hash=hash_token(token),
            browser_hash=hash_token(browser),
            provider_id=provider.id,
            target=target,
            **{name: getattr(identity, name) for name in IDENTITY_FIELDS},
        )
    )
    await session.flush()
    return token


IDENTITY_FIELDS = OutsideIdentity.__dataclass_fields__.keys()


async def find_pending(
    session: AsyncSession, token: str, browser: str, *, lock: bool = False
) -> tuple[PendingIdentity, IdentityProvider] | None:
    """What this browser has to choose about; None when it took too long, and for any other."""
    found = (
        select(PendingIdentity, IdentityProvider)
        .join(IdentityProvider, col(IdentityProvider.id) == PendingIdentity.provider_id)
        .where(
            PendingIdentity.token_hash == hash_token(token),
            PendingIdentity.browser_hash == hash_token(browser),
            PendingIdentity.created_at > utcnow() - PENDING_LIVES,
            col(IdentityProvider.enabled),
        )
    )
    if lock:
        found = found.with_for_update(of=PendingIdentity)
    return (await session.exec(found)).first()


def identity_of(pending: PendingIdentity) -> OutsideIdentity:
    return OutsideIdentity(**{name: getattr(pending, name) for name in IDENTITY_FIELDS})


async def settle(session: AsyncSession, pending: PendingIdentity) -> None:
    """It was chosen: nothing is pending any more."""
    await session.delete(pending)
    await session.flush()


async def make_account(
    session: AsyncSession,
    provider: IdentityProvider,
    identity: OutsideIdentity,
    form: NewMember,
    caller: Caller,
) -> User:
    """An account without a password; raises UsernameTaken, AddressTaken and LinkedElsewhere.

    Its address counts as verified when a provider that the operators trust verified it.
    """
    verified = provider.trusts_email and identity.email_verified
    user = User(
        username=form.username,
        display_name=identity.name.strip() or form.username,
        email=identity.email,
        email_verified_at=utcnow() if verified else None,
    )
    try:
        async with session.begin_nested():
            session.add(user)
            await session.flush()
            await link(session, user, provider.name, identity, caller)
            await session.flush()
    except IntegrityError as error:
        if refusal := REFUSALS.get(constraint_name(error) or ""):
            raise refusal from None
        raise
    record(session, "user.registered", actor_id=user.id, subject_id=user.id)
    return user


REFUSALS = {
    "uq_users_username_lower": UsernameTaken,
    "uq_users_verified_email": AddressTaken,
    "uq_linked_accounts_issuer_subject": LinkedElsewhere,
}


async def propose_username(session: AsyncSession, identity: OutsideIdentity) -> str:
    """A free name like the one that they have there; empty when nothing is left of it."""
    base = _cleaned(identity.nickname.partition("@")[0]) or _cleaned(identity.name)
    if not base:
        return ""
    options = [base, *(f"{base[:27]}-{number}" for number in range(2, 10))]
    options.append(f"{base[:23]}-{secrets.randbelow(900_000) + 100_000}")
    lower = [option.lower() for option in options]
    taken = select(func.lower(User.username)).where(func.lower(User.username).in_(lower))
    refused = RESERVED_NAMES | set((await session.exec(taken)).all())
    return next(option for option in options if option.lower() not in refused)


def _cleaned(name: str) -> str:
    """What a username may consist of (http/schemas.py), of somebody's name elsewhere."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-_")[:30].rstrip("-_")
    return words if len(words) >= 3 else ""


def _record(session: AsyncSession, user_id: UUID, subject_id: UUID, event: str) -> None:
    record(session, event, actor_id=user_id, subject_id=subject_id, private=True)

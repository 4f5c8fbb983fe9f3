"""Passkeys (WebAuthn): challenges, registration, signing in. `webauthn` verifies."""

import ipaddress
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import delete, func
from sqlmodel import col, select

from backend_hub.auth.models import Passkey, PasskeyChallenge
from backend_hub.auth.second_factors import forget_codes_if_off, lock_second_factor
from backend_hub.auth.security_log import note
from backend_hub.auth.service import hash_token
from backend_hub.auth.ways_in import ways_in
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import Conflict, NotFound, Unauthorized
from backend_hub.http.callers import Caller
from backend_hub.settings import Settings
from backend_hub.users.models import User

if TYPE_CHECKING:
    from webauthn.helpers.structs import (
        AuthenticationCredential,
        PublicKeyCredentialDescriptor,
        RegistrationCredential,
    )

# `webauthn` is imported where it is used: 4 MiB of certificate formats, and most processes never
# see a passkey.
CHALLENGE_LIVES = timedelta(minutes=5)
CHALLENGE_BYTES = 32
MAX_CREDENTIAL = 20_000
"""Characters of JSON."""
MAX_PASSKEYS = 20

Parsed = TypeVar("Parsed")


class PasskeyRefused(Unauthorized):
    code, title = "passkey_refused", "The passkey was not accepted"


@dataclass(frozen=True, slots=True)
class Ceremony:
    """Where a challenge belongs: this hub, one browser, one purpose, and perhaps one person."""

    settings: Settings
    browser: str
    """The value of its cookie."""
    purpose: str
    """`sign_in`, `second_step`, `register` or `sign_up`."""
    user_id: UUID | None = None


def passkey_host(settings: Settings) -> str | None:
    """The `rp_id`: the issuer's host name, whatever the Host header says.

    None when browsers would refuse: an address is no domain, and only https and localhost are
    secure contexts.
    """
    parts = urlsplit(settings.issuer)
    name = parts.hostname or ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name if parts.scheme == "https" or name == "localhost" else None
    return None


def passkey_origin(settings: Settings) -> str | None:
    """The one origin whose pages passkeys work on; None when they work on none."""
    parts = urlsplit(settings.issuer)
    return f"{parts.scheme}://{parts.netloc}".lower() if passkey_host(settings) else None


def _party(settings: Settings) -> tuple[str, str]:
    """`rp_id` and origin; raises Conflict on a hub without passkeys."""
    host, origin = passkey_host(settings), passkey_origin(settings)
    if host is None or origin is None:
        raise Conflict("This hub has no host name that passkeys can belong to")
    return host, origin


async def creation_options(
    session: AsyncSession, ceremony: Ceremony, username: str
) -> dict[str, Any]:
    """What a browser needs to make a passkey that does without name and password."""
    from webauthn import generate_registration_options  # noqa: PLC0415
    from webauthn.helpers.options_to_json_dict import options_to_json_dict  # noqa: PLC0415
    from webauthn.helpers.structs import (  # noqa: PLC0415
        AuthenticatorSelectionCriteria,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    user_id = ceremony.user_id
    assert user_id is not None  # noqa: S101 - a passkey is somebody's
    known = await list_passkeys(session, user_id)
    options = generate_registration_options(
        rp_id=_party(ceremony.settings)[0],
        rp_name=ceremony.settings.name,
        user_id=user_id.bytes,
        user_name=username,
        challenge=await _new_challenge(session, ceremony),
        timeout=int(CHALLENGE_LIVES.total_seconds() * 1_000),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[_descriptor(passkey) for passkey in known],
    )
    return options_to_json_dict(options)


async def request_options(session: AsyncSession, ceremony: Ceremony) -> dict[str, Any]:
    """What a browser needs to use a passkey: any, or one of a person whose password was right."""
    from webauthn import generate_authentication_options  # noqa: PLC0415
    from webauthn.helpers.options_to_json_dict import options_to_json_dict  # noqa: PLC0415
    from webauthn.helpers.structs import UserVerificationRequirement  # noqa: PLC0415

    known = await list_passkeys(session, ceremony.user_id) if ceremony.user_id else []
    verification = (
        UserVerificationRequirement.PREFERRED
        if ceremony.user_id
        else UserVerificationRequirement.REQUIRED
    )
    options = generate_authentication_options(
        rp_id=_party(ceremony.settings)[0],
        challenge=await _new_challenge(session, ceremony),
        timeout=int(CHALLENGE_LIVES.total_seconds() * 1_000),
        allow_credentials=[_descriptor(passkey) for passkey in known],
        user_verification=verification,
    )
    return options_to_json_dict(options)


async def register_passkey(
    session: AsyncSession, ceremony: Ceremony, answer: str, name: str
) -> Passkey | PasskeyRefused:
    """A passkey that the browser made, for the person of its challenge; not yet in the session.

    The refusal is returned, so that the challenge stays used.
    """
    from webauthn import verify_registration_response  # noqa: PLC0415
    from webauthn.helpers import parse_registration_credential_json  # noqa: PLC0415

    host, origin = _party(ceremony.settings)
    credential = _parsed(parse_registration_credential_json, answer)
    challenge = await _take_challenge(session, ceremony, credential)
    if credential is None or challenge is None or challenge.user_id is None:
        return PasskeyRefused("That took too long, or was sent twice: try again")
    verified = _parsed(
        lambda given: verify_registration_response(
            credential=given,
            expected_challenge=challenge.challenge,
            expected_rp_id=host,
            expected_origin=origin,
            require_user_verification=True,
        ),
        credential,
    )
    if verified is None or await _find(session, verified.credential_id) is not None:
        return PasskeyRefused("The passkey was not accepted: try again, or another one")
    transports = credential.response.transports or []
    return Passkey(
        user_id=challenge.user_id,
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        transports=" ".join(transport.value for transport in transports)[:60],
        synced=verified.credential_backed_up,
        name=name.strip()[:60] or "Passkey",
    )


async def check_passkey(
    session: AsyncSession, ceremony: Ceremony, answer: str, caller: Caller
) -> User | PasskeyRefused:
    """Whose passkey signed this browser's challenge; the refusal is returned, as above."""
    from webauthn import verify_authentication_response  # noqa: PLC0415
    from webauthn.helpers import parse_authentication_credential_json  # noqa: PLC0415

    refusal = PasskeyRefused("The passkey was not accepted: try again, or sign in another way")
    host, origin = _party(ceremony.settings)
    credential = _parsed(parse_authentication_credential_json, answer)
    challenge = await _take_challenge(session, ceremony, credential)
    if credential is None or challenge is None:
        return refusal
    passkey = await _find(session, credential.raw_id)
    if passkey is None or not _belongs(passkey, credential, ceremony.user_id):
        return refusal
    verified = _parsed(
        lambda given: verify_authentication_response(
            credential=given,
            expected_challenge=challenge.challenge,
            expected_rp_id=host,
            expected_origin=origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=0,  # compared below, where it can be noted
            require_user_verification=ceremony.user_id is None,
        ),
        credential,
    )
    if verified is None:
        return refusal
    if passkey.sign_count and verified.new_sign_count <= passkey.sign_count:
        note(session, passkey.user_id, "passkey_copied", caller, passkey.name)
        return refusal
    user = await session.get(User, passkey.user_id)
    if user is None or user.disabled_at is not None:
        return refusal
    passkey.sign_count, passkey.last_used_at = verified.new_sign_count, utcnow()
    passkey.synced = verified.credential_backed_up
    return user


def _belongs(
    passkey: Passkey, credential: "AuthenticationCredential", user_id: UUID | None
) -> bool:
    """To the person that is asked; when anyone is, the passkey itself names its person."""
    handle = credential.response.user_handle
    if user_id is None:
        return handle == passkey.user_id.bytes
    return passkey.user_id == user_id and handle in {None, b"", user_id.bytes}


async def add_passkey(session: AsyncSession, passkey: Passkey, caller: Caller) -> None:
    session.add(passkey)
    await session.flush()
    note(session, passkey.user_id, "passkey_added", caller, passkey.name)


async def list_passkeys(session: AsyncSession, user_id: UUID) -> Sequence[Passkey]:
    mine = select(Passkey).where(Passkey.user_id == user_id).order_by(col(Passkey.id))
    return (await session.exec(mine)).all()


async def require_room(session: AsyncSession, user_id: UUID) -> None:
    """Raises Conflict for a person with as many as anyone may have."""
    count = select(func.count()).where(Passkey.user_id == user_id)
    if (await session.exec(count)).one() >= MAX_PASSKEYS:
        raise Conflict(f"Nobody needs more than {MAX_PASSKEYS} passkeys: remove one first")


async def remove_passkey(
    session: AsyncSession, user: User, passkey_id: UUID, caller: Caller
) -> None:
    """Raises NotFound, and Conflict for the last way in.

    With the last passkey they are no second factor any more.
    """
    if await ways_in(session, user) == [f"passkey:{passkey_id}"]:
        raise Conflict("This passkey is your only way to sign in: add another way first")
    factor = await lock_second_factor(session, user.id)
    mine = {passkey.id: passkey for passkey in await list_passkeys(session, user.id)}
    passkey = mine.get(passkey_id)
    if passkey is None:
        raise NotFound("There is no such passkey")
    await session.delete(passkey)
    note(session, user.id, "passkey_removed", caller, passkey.name)
    if len(mine) == 1 and factor.passkeys_since is not None:
        factor.passkeys_since = None
        note(session, user.id, "second_step_off", caller)
        await forget_codes_if_off(session, factor)


async def ask_for_passkeys(session: AsyncSession, user: User, on: bool, caller: Caller) -> None:
    """Whether a passkey is asked for after the password; raises Conflict without a passkey."""
    factor = await lock_second_factor(session, user.id)
    if on == (factor.passkeys_since is not None):
        return
    if on and not await list_passkeys(session, user.id):
        raise Conflict("Add a passkey first")
    factor.passkeys_since = utcnow() if on else None
    note(session, user.id, "second_step_on" if on else "second_step_off", caller)
    await forget_codes_if_off(session, factor)


async def purge_expired_challenges(session: AsyncSession) -> None:
    over = col(PasskeyChallenge.expires_at) < utcnow()
    await session.execute(delete(PasskeyChallenge).where(over))


async def _new_challenge(session: AsyncSession, ceremony: Ceremony) -> bytes:
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    session.add(
        PasskeyChallenge(
            challenge=challenge,
            browser_hash=hash_token(ceremony.browser),
            purpose=ceremony.purpose,
            user_id=ceremony.user_id,
            expires_at=utcnow() + CHALLENGE_LIVES,
        )
    )
    await session.flush()
    return challenge


async def _take_challenge(
    session: AsyncSession,
    ceremony: Ceremony,
    credential: "RegistrationCredential | AuthenticationCredential | None",
) -> PasskeyChallenge | None:
    """The challenge that was signed, used up, if it was made for this; of several one gets it."""
    from webauthn.helpers import parse_client_data_json  # noqa: PLC0415

    if credential is None:
        return None
    said = _parsed(parse_client_data_json, credential.response.client_data_json)
    if said is None:
        return None
    mine = [
        col(PasskeyChallenge.challenge) == said.challenge,
        col(PasskeyChallenge.browser_hash) == hash_token(ceremony.browser),
        col(PasskeyChallenge.purpose) == ceremony.purpose,
        col(PasskeyChallenge.expires_at) > utcnow(),
    ]
    if ceremony.user_id is not None:
        mine.append(col(PasskeyChallenge.user_id) == ceremony.user_id)
    taken = delete(PasskeyChallenge).where(*mine).returning(PasskeyChallenge)
    return (await session.execute(taken)).scalars().one_or_none()


async def _find(session: AsyncSession, credential_id: bytes) -> Passkey | None:
    """Locked, so that its counter is compared by one at a time."""
    found = select(Passkey).where(Passkey.credential_id == credential_id).with_for_update()
    return (await session.exec(found.execution_options(populate_existing=True))).first()


def _descriptor(passkey: Passkey) -> "PublicKeyCredentialDescriptor":
    from webauthn.helpers.structs import (  # noqa: PLC0415
        AuthenticatorTransport,
        PublicKeyCredentialDescriptor,
    )

    transports = [AuthenticatorTransport(name) for name in passkey.transports.split()]
    return PublicKeyCredentialDescriptor(id=passkey.credential_id, transports=transports or None)


def _parsed(read: Callable[[Any], Parsed], given: Any) -> Parsed | None:
    """None for whatever the library stumbles over: it is a stranger's text."""
    if isinstance(given, str) and len(given) > MAX_CREDENTIAL:
        return None
    try:
        return read(given)
    except Exception:
        return None

"""Signing keys, sign-ins, refresh tokens, second factors, links of mails, and what people are told.

No usable secret is stored in the clear.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from backend_hub.db import UTCDateTime, created_at_field, id_field, timestamp_field


class SigningKey(SQLModel, table=True):
    """An RSA key pair; the private half is encrypted with the hub's secret key."""

    __tablename__ = "signing_keys"

    kid: str = Field(primary_key=True, max_length=64)
    private_pem: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    public_pem: str = Field(max_length=2_000)
    created_at: datetime = created_at_field()
    retired_at: datetime | None = timestamp_field()


class TokenFamily(SQLModel, table=True):
    """One sign-in and every refresh token that came of it; they die together."""

    __tablename__ = "token_families"

    id: UUID = id_field()
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    client_id: str | None = Field(
        default=None, foreign_key="oauth_clients.id", ondelete="CASCADE", index=True
    )
    """None: signed in with the hub's own password form."""
    scope: str = Field(max_length=1_000)
    dpop_jkt: str | None = Field(default=None, max_length=43)
    """The key that whoever refreshes must prove to have (RFC 9449 section 5); None: no key."""
    address: str = Field(default="", max_length=45, sa_column_kwargs={"server_default": ""})
    user_agent: str = Field(default="", max_length=300, sa_column_kwargs={"server_default": ""})
    """From where, and with what, the password was sent; empty for a sign-in through an app."""
    created_at: datetime = created_at_field()
    expires_at: datetime = Field(sa_type=UTCDateTime, index=True)
    revoked_at: datetime | None = timestamp_field()


class BrowserSession(SQLModel, table=True):
    """A person signed in to the hub's own pages; the cookie's value is known by its SHA-256."""

    __tablename__ = "browser_sessions"

    id: UUID = id_field()
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    token_hash: str = Field(max_length=64, unique=True)
    amr: str = Field(default="pwd", max_length=60, sa_column_kwargs={"server_default": "pwd"})
    """How they proved who they are: space-separated methods of RFC 8176."""
    address: str = Field(default="", max_length=45, sa_column_kwargs={"server_default": ""})
    user_agent: str = Field(default="", max_length=300, sa_column_kwargs={"server_default": ""})
    created_at: datetime = created_at_field()
    """When the person proved who they are: the `auth_time` of ID tokens."""
    seen_at: datetime = created_at_field()
    expires_at: datetime = Field(sa_type=UTCDateTime, index=True)


class RefreshToken(SQLModel, table=True):
    """One refresh token, known only by its SHA-256."""

    __tablename__ = "refresh_tokens"

    id: UUID = id_field()
    family_id: UUID = Field(foreign_key="token_families.id", ondelete="CASCADE", index=True)
    parent_id: UUID | None = Field(default=None, foreign_key="refresh_tokens.id", index=True)
    token_hash: str = Field(max_length=64, unique=True)
    created_at: datetime = created_at_field()
    rotated_at: datetime | None = timestamp_field()


class SecondFactor(SQLModel, table=True):
    """What a person is asked for after the password, and how often they were wrong lately."""

    __tablename__ = "second_factors"

    user_id: UUID = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    totp_secret: bytes | None = Field(default=None, sa_type=LargeBinary)
    """Sealed (secret_box.py); it counts from `totp_confirmed_at` on."""
    totp_confirmed_at: datetime | None = timestamp_field()
    totp_last_step: int = Field(
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"}
    )
    """The time step of the last code that was taken: none before or at it is (RFC 6238 5.2)."""
    passkeys_since: datetime | None = timestamp_field()
    """Since when a passkey is asked for after the password, with or without TOTP."""
    failures: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    wait_until: datetime | None = timestamp_field()
    """No code is looked at before."""


class RecoveryCode(SQLModel, table=True):
    """A code for whoever lost their second factor, known by its SHA-256; it works once."""

    __tablename__ = "recovery_codes"

    code_hash: str = Field(primary_key=True, max_length=64)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    created_at: datetime = created_at_field()
    used_at: datetime | None = timestamp_field()


class PendingSignIn(SQLModel, table=True):
    """A sign-in that waits for its second factor; the cookie's value is known by its SHA-256."""

    __tablename__ = "pending_sign_ins"

    token_hash: str = Field(primary_key=True, max_length=64)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    amr: str = Field(max_length=60)
    target: str = Field(max_length=4_000)
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    expires_at: datetime = Field(sa_type=UTCDateTime, index=True)


class Passkey(SQLModel, table=True):
    """The public half of a passkey (WebAuthn Level 3)."""

    __tablename__ = "passkeys"

    id: UUID = id_field()
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    credential_id: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    public_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """In COSE's form."""
    sign_count: int = Field(sa_type=BigInteger)
    transports: str = Field(default="", max_length=60)
    synced: bool = Field(default=False)
    """Whether its maker may copy it to the person's other devices."""
    name: str = Field(max_length=60)
    created_at: datetime = created_at_field()
    last_used_at: datetime | None = timestamp_field()


class PasskeyChallenge(SQLModel, table=True):
    """What a passkey is to sign: for one browser, one purpose, once, within minutes."""

    __tablename__ = "passkey_challenges"

    challenge: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    browser_hash: str = Field(max_length=64)
    """SHA-256 of the browser's cookie."""
    purpose: str = Field(max_length=20)
    user_id: UUID | None = Field(default=None)
    """Whose passkey; for signing up the account that is to be; None: whoever answers."""
    expires_at: datetime = Field(sa_type=UTCDateTime, index=True)


class PersonalToken(SQLModel, table=True):
    """A personal access token, known by its SHA-256; a revoked one has no row."""

    __tablename__ = "personal_tokens"

    id: UUID = id_field()
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    name: str = Field(max_length=80)
    token_hash: str = Field(max_length=64, unique=True)
    scope: str = Field(max_length=1_000)
    created_at: datetime = created_at_field()
    expires_at: datetime = Field(sa_type=UTCDateTime)
    used_at: datetime | None = timestamp_field()


class UsedProof(SQLModel, table=True):
    """A DPoP proof that was accepted, so that no process accepts it again.

    Unlogged: a row counts for seconds, and is not worth its place in the write-ahead log. A crash
    forgets them.
    """

    __tablename__ = "dpop_proofs"
    __table_args__ = {"prefixes": ["UNLOGGED"]}

    proof_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    expires_at: datetime = Field(sa_type=UTCDateTime, index=True)


class SecurityEvent(SQLModel, table=True):
    """A line of a person's own security log. It holds addresses: nobody else is shown it."""

    __tablename__ = "security_events"
    __table_args__ = (Index("ix_security_events_user_id_id", "user_id", "id"),)

    id: UUID = id_field()
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    kind: str = Field(max_length=40)
    """`signed_in`, `password_changed`: the words are in security_log.py."""
    detail: str = Field(default="", max_length=200)
    """Which app, which factor, which provider."""
    address: str = Field(max_length=45)
    user_agent: str = Field(max_length=300)
    created_at: datetime = created_at_field(index=True)


class Purpose(StrEnum):
    """What the link of a mail is for."""

    verify = "verify"
    """The address becomes that of the account, and verified."""
    reset = "reset"
    """Whoever holds it may set a password."""


class EmailToken(SQLModel, table=True):
    """The link of a mail, known by its SHA-256; deleted when it is used."""

    __tablename__ = "email_tokens"
    __table_args__ = (
        CheckConstraint("purpose IN ('verify', 'reset')", name="purpose"),
        Index("ix_email_tokens_user_id_purpose", "user_id", "purpose"),
    )

    id: UUID = id_field()
    user_id: UUID | None = Field(default=None, foreign_key="users.id", ondelete="CASCADE")
    """None: of nobody. It was written all the same, so that an answer's time tells nothing."""
    purpose: str = Field(max_length=20)
    email: str = Field(max_length=254)
    token_hash: str = Field(max_length=64, unique=True)
    expires_at: datetime = Field(sa_type=UTCDateTime, index=True)
    created_at: datetime = created_at_field()


class Throttle(SQLModel, table=True):
    """How often somebody tried something lately, and when they may again (throttling.py)."""

    __tablename__ = "throttles"

    key: str = Field(primary_key=True, max_length=100)
    tries: float
    tried_at: datetime = Field(sa_type=UTCDateTime, index=True)
    free_at: datetime = Field(sa_type=UTCDateTime)

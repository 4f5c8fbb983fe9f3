"""Apps that sign people in through the hub, what people allowed them, and one-time codes.

Codes are known by their SHA-256; what people type is short, so its digest is keyed.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from backend_hub.db import UTCDateTime, created_at_field, timestamp_field


class ClientType(StrEnum):
    """What an app is made of decides whether it can keep a secret."""

    spa = "spa"
    native = "native"
    web = "web"
    machine = "machine"


class OAuthClient(SQLModel, table=True):
    """An app that is known to the hub (RFC 6749 section 2)."""

    __tablename__ = "oauth_clients"
    __table_args__ = (
        CheckConstraint("type IN ('spa', 'native', 'web', 'machine')", name="type"),
        CheckConstraint("(type IN ('web', 'machine')) = (secret_hash IS NOT NULL)", name="secret"),
    )

    id: str = Field(primary_key=True, max_length=64)
    owner_id: UUID | None = Field(
        default=None, foreign_key="users.id", ondelete="CASCADE", index=True
    )
    """None: built in, or registered by itself."""
    name: str = Field(max_length=80)
    type: str = Field(max_length=20)
    homepage_url: str | None = Field(default=None, max_length=500)
    logo_url: str | None = Field(default=None, max_length=500)
    secret_hash: str | None = Field(default=None, max_length=64)
    redirect_uris: list[str] = Field(sa_column=Column(ARRAY(String(500)), nullable=False))
    post_logout_redirect_uris: list[str] = Field(
        default_factory=list,
        sa_column=Column(ARRAY(String(500)), nullable=False, server_default=text("'{}'")),
    )
    require_pushed_authorization_requests: bool = Field(
        default=False, sa_column_kwargs={"server_default": text("false")}
    )
    allowed_origins: list[str] = Field(
        default_factory=list,
        sa_column=Column(ARRAY(String(300)), nullable=False, server_default="{}"),
    )
    """Whose pages may read the API's answers (CORS)."""
    scope: str = Field(max_length=1_000)
    registration_hash: str | None = Field(default=None, max_length=64)
    """Of the token with which an app that registered itself is managed (RFC 7592)."""
    verified: bool = Field(default=False)
    """An admin looked at it: what people allow it is remembered."""
    version: int = Field(default=1)
    created_at: datetime = created_at_field()


class AuthorizationCode(SQLModel, table=True):
    """A code, known by its SHA-256; marked when used, so that a second use is noticed."""

    __tablename__ = "oauth_codes"

    code_hash: str = Field(primary_key=True, max_length=64)
    client_id: str = Field(foreign_key="oauth_clients.id", ondelete="CASCADE", index=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    family_id: UUID | None = Field(
        default=None, foreign_key="token_families.id", ondelete="CASCADE", index=True
    )
    """The tokens that it was exchanged for."""
    redirect_uri: str = Field(max_length=500)
    scope: str = Field(max_length=1_000)
    code_challenge: str = Field(max_length=128)
    dpop_jkt: str | None = Field(default=None, max_length=43)
    """The key that whoever exchanges the code must prove to have (RFC 9449 section 10)."""
    nonce: str | None = Field(default=None, max_length=500)
    authenticated_at: datetime = created_at_field()
    amr: str = Field(default="", max_length=60, sa_column_kwargs={"server_default": ""})
    """How the person proved who they are, for the ID token."""
    created_at: datetime = created_at_field()
    used_at: datetime | None = timestamp_field()


class Consent(SQLModel, table=True):
    """What somebody allowed an app."""

    __tablename__ = "oauth_consents"

    user_id: UUID = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    client_id: str = Field(
        primary_key=True, foreign_key="oauth_clients.id", ondelete="CASCADE", max_length=64
    )
    scope: str = Field(max_length=1_000)
    created_at: datetime = created_at_field()


class DeviceCode(SQLModel, table=True):
    """A device that waits until somebody allows it (RFC 8628)."""

    __tablename__ = "oauth_device_codes"

    code_hash: str = Field(primary_key=True, max_length=64)
    user_code_hash: str = Field(max_length=64, unique=True)
    client_id: str = Field(foreign_key="oauth_clients.id", ondelete="CASCADE", index=True)
    family_id: UUID | None = Field(
        default=None, foreign_key="token_families.id", ondelete="CASCADE", index=True
    )
    """The sign-in that somebody allowed."""
    scope: str = Field(max_length=1_000)
    interval: int
    """Seconds to wait between two polls."""
    authenticated_at: datetime | None = timestamp_field()
    created_at: datetime = created_at_field()
    expires_at: datetime = Field(sa_type=UTCDateTime)
    polled_at: datetime | None = timestamp_field()
    denied_at: datetime | None = timestamp_field()
    used_at: datetime | None = timestamp_field()


class UserCodeGuesses(SQLModel, table=True):
    """How often an account or an address typed a code that no device shows."""

    __tablename__ = "oauth_user_code_guesses"

    guesser_hash: str = Field(primary_key=True, max_length=64)
    failures: int
    began_at: datetime = created_at_field()


class PushedRequest(SQLModel, table=True):
    """What an app will ask of `/oauth/authorize` (RFC 9126)."""

    __tablename__ = "oauth_pushed_requests"

    uri_hash: str = Field(primary_key=True, max_length=64)
    client_id: str = Field(foreign_key="oauth_clients.id", ondelete="CASCADE", index=True)
    parameters: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    subject: UUID | None = Field(default=None)
    """Whom the app expects: an ID token itself is not kept."""
    created_at: datetime = created_at_field()
    begun_at: datetime | None = timestamp_field()
    """When somebody came with it."""

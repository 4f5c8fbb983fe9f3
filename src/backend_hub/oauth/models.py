"""Apps that sign people in through the hub, what people allowed them, and one-time codes."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from backend_hub.db import created_at_field, timestamp_field


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
    """None: built in."""
    name: str = Field(max_length=80)
    type: str = Field(max_length=20)
    homepage_url: str | None = Field(default=None, max_length=500)
    secret_hash: str | None = Field(default=None, max_length=64)
    redirect_uris: list[str] = Field(sa_column=Column(ARRAY(String(500)), nullable=False))
    scope: str = Field(max_length=1_000)
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

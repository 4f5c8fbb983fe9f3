"""Outside sign-ins that the hub offers, whom they belong to, and those that are under way."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from backend_hub.db import created_at_field, id_field, timestamp_field


class ProviderKind(StrEnum):
    """How the hub asks who somebody is."""

    oidc = "oidc"
    github = "github"


class IdentityProvider(SQLModel, table=True):
    """Somebody else whom people may sign in with. An issuer stands here once."""

    __tablename__ = "identity_providers"
    __table_args__ = (
        CheckConstraint("kind IN ('oidc', 'github')", name="kind"),
        UniqueConstraint("slug", name="uq_identity_providers_slug"),
        UniqueConstraint("issuer", name="uq_identity_providers_issuer"),
    )

    id: UUID = id_field()
    slug: str = Field(max_length=40)
    name: str = Field(max_length=60)
    kind: str = Field(max_length=20)
    issuer: str = Field(max_length=300)
    client_id: str = Field(max_length=300)
    sealed_secret: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    """The client secret (auth/secret_box.py); None for a public client."""
    scope: str = Field(max_length=500)
    trusts_email: bool = Field(default=False)
    """Whether an address that it verified joins a sign-in to the account which verified it too."""
    enabled: bool = Field(default=True)
    configured: bool = Field(default=False)
    """Comes from the settings: the API cannot change it."""
    version: int = Field(default=1)
    created_at: datetime = created_at_field()


class LinkedAccount(SQLModel, table=True):
    """A person as an issuer knows them (OpenID Connect Core 5.7: `iss` and `sub` together)."""

    __tablename__ = "linked_accounts"
    __table_args__ = (
        UniqueConstraint("issuer", "subject", name="uq_linked_accounts_issuer_subject"),
    )

    id: UUID = id_field()
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    issuer: str = Field(max_length=300)
    subject: str = Field(max_length=255)
    label: str = Field(max_length=254)
    """What the provider calls them, for their own eyes."""
    created_at: datetime = created_at_field()
    used_at: datetime | None = timestamp_field()


class LoginTransaction(SQLModel, table=True):
    """A browser that was sent to a provider; taken once, when it comes back."""

    __tablename__ = "login_transactions"

    state_hash: str = Field(primary_key=True, max_length=64)
    browser_hash: str = Field(max_length=64, index=True)
    """SHA-256 of the session cookie that the browser left with."""
    provider_id: UUID = Field(foreign_key="identity_providers.id", ondelete="CASCADE", index=True)
    user_id: UUID | None = Field(
        default=None, foreign_key="users.id", ondelete="CASCADE", index=True
    )
    """Who links the identity to their account; None for signing in."""
    issuer: str = Field(max_length=300)
    nonce: str = Field(max_length=64)
    sealed_verifier: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    target: str = Field(max_length=4_000)
    created_at: datetime = created_at_field(index=True)


class PendingIdentity(SQLModel, table=True):
    """Somebody whom a provider named and the hub does not know: they choose what becomes of it."""

    __tablename__ = "pending_identities"

    token_hash: str = Field(primary_key=True, max_length=64)
    browser_hash: str = Field(max_length=64, index=True)
    provider_id: UUID = Field(foreign_key="identity_providers.id", ondelete="CASCADE", index=True)
    issuer: str = Field(max_length=300)
    subject: str = Field(max_length=255)
    label: str = Field(max_length=254)
    name: str = Field(max_length=80)
    nickname: str = Field(max_length=254)
    email: str | None = Field(default=None, max_length=254)
    email_verified: bool = Field(default=False)
    target: str = Field(max_length=4_000)
    created_at: datetime = created_at_field(index=True)

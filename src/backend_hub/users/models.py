"""People."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from backend_hub.db import created_at_field, id_field, timestamp_field


class Role(StrEnum):
    """Each role may do what the ones before it may."""

    member = "member"
    reviewer = "reviewer"
    moderator = "moderator"
    admin = "admin"


ROLES = tuple(Role)


class User(SQLModel, table=True):
    """An account. Names are unique whatever their case, and so are verified addresses.

    An address that was not verified proves nothing, so two accounts may name it: registering
    never tells whether somebody else has it.
    """

    __tablename__ = "users"
    __table_args__ = (
        Index("uq_users_username_lower", text("lower(username)"), unique=True),
        Index(
            "uq_users_verified_email",
            text("lower(email)"),
            unique=True,
            postgresql_where=text("email_verified_at IS NOT NULL"),
        ),
        CheckConstraint("role IN ('member', 'reviewer', 'moderator', 'admin')", name="role"),
    )

    id: UUID = id_field()
    username: str = Field(max_length=30)
    display_name: str = Field(max_length=80)
    bio: str = Field(default="", max_length=1_000)
    email: str | None = Field(default=None, max_length=254)
    email_verified_at: datetime | None = timestamp_field()
    password_hash: str | None = Field(default=None, max_length=200)
    """None: this account cannot sign in with a password (the catalogue's, an importer's)."""
    role: str = Field(default=Role.member, max_length=20)
    version: int = Field(default=1)
    disabled_at: datetime | None = timestamp_field()
    deleted_at: datetime | None = timestamp_field()
    """Its person left: what remains is a name for what they wrote (account/deletion.py)."""
    created_at: datetime = created_at_field()

"""Links, code samples and projects."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


class ResourceKind(StrEnum):
    link = "link"
    code_sample = "code_sample"
    project = "project"


class LinkType(StrEnum):
    article = "article"
    documentation = "documentation"
    video = "video"
    book = "book"
    course = "course"
    tool = "tool"


class Level(StrEnum):
    beginner = "beginner"
    intermediate = "intermediate"
    advanced = "advanced"


class Difficulty(StrEnum):
    easy = "easy"
    medium = "medium"
    hard = "hard"


class Resource(SQLModel, table=True):
    """What a resource has beside its post; `details` holds what only its kind has."""

    __tablename__ = "resources"
    __table_args__ = (
        CheckConstraint("kind IN ('link', 'code_sample', 'project')", name="kind"),
        CheckConstraint("(kind = 'link') = (url IS NOT NULL)", name="only_links_have_a_url"),
        Index("uq_resources_url_key", "url_key", unique=True),
        Index("ix_resources_kind_post_id", "kind", "post_id"),
    )

    post_id: UUID = Field(foreign_key="posts.id", ondelete="CASCADE", primary_key=True)
    kind: str = Field(max_length=20)
    level: str | None = Field(default=None, max_length=20)
    link_type: str | None = Field(default=None, max_length=20)
    url: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    url_key: str | None = Field(default=None, max_length=64)
    """SHA-256 of the normalised URL; None while deleted, so that it may be added anew."""
    details: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSONB, nullable=False, server_default="{}")
    )
    catalogue_key: str | None = Field(default=None, max_length=120, unique=True)
    catalogue_revision: int | None = None
    """The revision that the shipped catalogue wrote last; another one means people edited it."""
    source: dict[str, Any] | None = Field(
        default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True)
    )
    """Where an imported link came from: list, line and heading path."""

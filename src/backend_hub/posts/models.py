"""What every kind of post shares; resources, questions, answers and contributions extend it."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlmodel import Field, SQLModel

from backend_hub.db import UTCDateTime, created_at_field, id_field, timestamp_field, utcnow


class PostKind(StrEnum):
    resource = "resource"
    question = "question"
    answer = "answer"
    contribution = "contribution"


class Post(SQLModel, table=True):
    """Author, text, score and dates of a post; the kind's own row has the same id.

    `revision` counts edits; `version` grows with every change of the post's state (edit, close,
    accept, delete) and heads its ETag; votes and comments touch neither.
    """

    __tablename__ = "posts"
    __table_args__ = (
        CheckConstraint("kind IN ('resource', 'question', 'answer', 'contribution')", name="kind"),
        Index("ix_posts_search", "search", postgresql_using="gin"),
        Index("ix_posts_search_config", "search_config"),
        Index("ix_posts_author_id_kind_id", "author_id", "kind", "id"),
        Index("ix_posts_kind_id", "kind", "id"),
        Index("ix_posts_kind_score_id", "kind", "score", "id"),
        Index("ix_posts_kind_last_activity_at_id", "kind", "last_activity_at", "id"),
        Index("ix_posts_topic_id_kind_id", "topic_id", "kind", "id"),
        # What topics count, and no more: read without the rows themselves.
        Index(
            "ix_posts_topic_id_kind_shown",
            "topic_id",
            "kind",
            postgresql_where=text("deleted_at IS NULL AND NOT draft AND topic_id IS NOT NULL"),
        ),
        # What tags do not count.
        Index("ix_posts_hidden", "id", postgresql_where=text("deleted_at IS NOT NULL OR draft")),
    )

    id: UUID = id_field()
    kind: str = Field(max_length=20)
    author_id: UUID = Field(foreign_key="users.id")
    parent_id: UUID | None = Field(default=None, foreign_key="posts.id", index=True)
    """An answer's question."""
    topic_id: UUID | None = Field(default=None, foreign_key="topics.id")
    title: str = Field(default="", max_length=200)
    body: str = Field(sa_column=Column(Text, nullable=False))
    body_html: str = Field(sa_column=Column(Text, nullable=False))
    language: str = Field(max_length=35)
    license: str = Field(max_length=60)
    score: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    comment_count: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    revision: int = Field(default=1)
    version: int = Field(default=1)
    created_at: datetime = created_at_field()
    updated_at: datetime = Field(default_factory=utcnow, sa_type=UTCDateTime)
    last_activity_at: datetime = Field(default_factory=utcnow, sa_type=UTCDateTime)
    draft: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """A contribution that was not submitted yet: only its author sees it."""
    deleted_at: datetime | None = timestamp_field()
    deleted_by_id: UUID | None = Field(default=None, foreign_key="users.id")
    parent_deleted: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """The question of this answer was deleted."""
    search_config: str = Field(default="simple", max_length=30)
    """The PostgreSQL text search configuration that `search` was built with."""
    search: str | None = Field(default=None, sa_column=Column(TSVECTOR, nullable=True))


class PostTag(SQLModel, table=True):
    """A tag on a post; `position` keeps the author's order."""

    __tablename__ = "post_tags"
    __table_args__ = (Index("ix_post_tags_tag_id_post_id", "tag_id", "post_id"),)

    post_id: UUID = Field(foreign_key="posts.id", ondelete="CASCADE", primary_key=True)
    tag_id: UUID = Field(foreign_key="tags.id", primary_key=True)
    position: int = Field(default=0)


class Revision(SQLModel, table=True):
    """The full text of a post after one edit, and who is credited for it."""

    __tablename__ = "revisions"

    post_id: UUID = Field(foreign_key="posts.id", ondelete="CASCADE", primary_key=True)
    number: int = Field(primary_key=True)
    editor_id: UUID = Field(foreign_key="users.id", index=True)
    reviewer_id: UUID | None = Field(default=None, foreign_key="users.id", index=True)
    """Who approved the contribution that this revision came from."""
    contribution_id: UUID | None = Field(default=None, foreign_key="posts.id", index=True)
    summary: str = Field(default="", max_length=300)
    content: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = created_at_field()


class Vote(SQLModel, table=True):
    __tablename__ = "votes"
    __table_args__ = (CheckConstraint("value IN (-1, 1)", name="value"),)

    post_id: UUID = Field(foreign_key="posts.id", ondelete="CASCADE", primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", primary_key=True, index=True)
    value: int
    created_at: datetime = created_at_field()


class Bookmark(SQLModel, table=True):
    __tablename__ = "bookmarks"
    __table_args__ = (Index("ix_bookmarks_user_id_created_at", "user_id", "created_at"),)

    post_id: UUID = Field(foreign_key="posts.id", ondelete="CASCADE", primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", primary_key=True)
    created_at: datetime = created_at_field()


class Comment(SQLModel, table=True):
    """A remark under a post; comments have no comments."""

    __tablename__ = "comments"
    __table_args__ = (Index("ix_comments_post_id_id", "post_id", "id"),)

    id: UUID = id_field()
    post_id: UUID = Field(foreign_key="posts.id", ondelete="CASCADE")
    author_id: UUID = Field(foreign_key="users.id", index=True)
    body: str = Field(sa_column=Column(Text, nullable=False))
    body_html: str = Field(sa_column=Column(Text, nullable=False))
    version: int = Field(default=1)
    created_at: datetime = created_at_field()
    updated_at: datetime = Field(default_factory=utcnow, sa_type=UTCDateTime)
    deleted_at: datetime | None = timestamp_field()

"""The tree of topics, and tags with their synonyms."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Text
from sqlmodel import Field, SQLModel

from backend_hub.db import created_at_field, id_field


class Topic(SQLModel, table=True):
    """A node of the tree; its slug is unique in the whole hub."""

    __tablename__ = "topics"
    __table_args__ = (CheckConstraint("parent_id <> id", name="not_its_own_parent"),)

    id: UUID = id_field()
    parent_id: UUID | None = Field(default=None, foreign_key="topics.id", index=True)
    slug: str = Field(max_length=120, unique=True)
    name: str = Field(max_length=120)
    description: str = Field(default="", max_length=500)
    overview: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    overview_html: str = Field(
        default="", sa_column=Column(Text, nullable=False, server_default="")
    )
    position: int = Field(default=0)
    version: int = Field(default=1)
    catalogue_version: int | None = None
    """The version that the shipped catalogue wrote last; another one means people edited it."""
    created_at: datetime = created_at_field()


class TopicMaintainer(SQLModel, table=True):
    """A person who reviews the contributions of a topic and of its sub-topics."""

    __tablename__ = "topic_maintainers"

    topic_id: UUID = Field(foreign_key="topics.id", ondelete="CASCADE", primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", primary_key=True, index=True)
    created_at: datetime = created_at_field()


class Tag(SQLModel, table=True):
    """A word that posts are found by."""

    __tablename__ = "tags"

    id: UUID = id_field()
    name: str = Field(max_length=40, unique=True)
    description: str = Field(default="", max_length=500)
    version: int = Field(default=1)
    created_at: datetime = created_at_field()


class TagSynonym(SQLModel, table=True):
    """Another word for a tag: whoever writes it gets the tag."""

    __tablename__ = "tag_synonyms"

    name: str = Field(max_length=40, primary_key=True)
    tag_id: UUID = Field(foreign_key="tags.id", ondelete="CASCADE", index=True)

"""The append-only log of everything that happened."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Identity, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from backend_hub.db import created_at_field


class Event(SQLModel, table=True):
    """One change, written in the transaction that made it.

    Readers page by (transaction_id, id) and stop before the oldest transaction still running, so
    that an event which commits late is never skipped (docs/decisions/0005-events.md).
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_transaction_id_id", "transaction_id", "id"),
        Index("ix_events_post_id", "post_id"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    transaction_id: int | None = Field(
        default=None,
        sa_column=Column(
            BigInteger,
            nullable=False,
            server_default=text("(pg_current_xact_id()::text)::bigint"),
        ),
    )
    type: str = Field(max_length=60)
    """`subject.verb`, such as `answer.accepted`."""
    actor_id: UUID | None = Field(default=None, foreign_key="users.id", index=True)
    post_id: UUID | None = Field(default=None, foreign_key="posts.id", ondelete="CASCADE")
    """The post it happened to: who may see the post may see the event."""
    subject_id: str = Field(max_length=120)
    audience: str = Field(default="everyone", max_length=20)
    """`everyone`, or `actor`: only the person who did it, and moderators."""
    data: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSONB, nullable=False, server_default="{}")
    )
    created_at: datetime = created_at_field()

"""Questions and answers."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, text
from sqlmodel import Field, SQLModel

from backend_hub.db import timestamp_field


class CloseReason(StrEnum):
    duplicate = "duplicate"
    off_topic = "off_topic"
    needs_details = "needs_details"
    too_broad = "too_broad"
    opinion_based = "opinion_based"


class Question(SQLModel, table=True):
    __tablename__ = "questions"
    __table_args__ = (
        CheckConstraint("duplicate_of_id <> post_id", name="not_its_own_duplicate"),
        CheckConstraint("(closed_at IS NULL) = (close_reason IS NULL)", name="closed_with_reason"),
    )

    post_id: UUID = Field(foreign_key="posts.id", ondelete="CASCADE", primary_key=True)
    answer_count: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    accepted_answer_id: UUID | None = Field(default=None, foreign_key="posts.id", index=True)
    closed_at: datetime | None = timestamp_field()
    closed_by_id: UUID | None = Field(default=None, foreign_key="users.id")
    close_reason: str | None = Field(default=None, max_length=20)
    duplicate_of_id: UUID | None = Field(default=None, foreign_key="posts.id", index=True)


class Answer(SQLModel, table=True):
    __tablename__ = "answers"

    post_id: UUID = Field(foreign_key="posts.id", ondelete="CASCADE", primary_key=True)
    question_id: UUID = Field(foreign_key="posts.id", ondelete="CASCADE", index=True)

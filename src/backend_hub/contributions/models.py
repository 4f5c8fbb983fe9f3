"""Proposals and their reviews."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from backend_hub.db import created_at_field, id_field, timestamp_field


class ContributionState(StrEnum):
    draft = "draft"
    submitted = "submitted"
    changes_requested = "changes_requested"
    approved = "approved"
    merged = "merged"
    rejected = "rejected"
    withdrawn = "withdrawn"


class Decision(StrEnum):
    approve = "approve"
    request_changes = "request_changes"
    reject = "reject"


class Contribution(SQLModel, table=True):
    """A proposed resource, or a proposed change to one; its post holds title and explanation."""

    __tablename__ = "contributions"
    __table_args__ = (
        CheckConstraint(
            "state IN ('draft', 'submitted', 'changes_requested', 'approved', 'merged',"
            " 'rejected', 'withdrawn')",
            name="state",
        ),
        CheckConstraint(
            "(resource_id IS NULL) = (base_revision IS NULL) OR state = 'merged'",
            name="base_of_a_change",
        ),
        Index("ix_contributions_state_post_id", "state", "post_id"),
    )

    post_id: UUID = Field(foreign_key="posts.id", ondelete="CASCADE", primary_key=True)
    resource_id: UUID | None = Field(default=None, foreign_key="posts.id", index=True)
    """The resource to change; for a new one None until it is merged."""
    base_revision: int | None = None
    """The revision that the proposal was written against; None for a new resource."""
    proposal: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    """The whole proposed content, in the form of a revision's content."""
    state: str = Field(default=ContributionState.draft, max_length=20)
    submitted_at: datetime | None = timestamp_field()
    decided_at: datetime | None = timestamp_field()
    merged_at: datetime | None = timestamp_field()
    merged_by_id: UUID | None = Field(default=None, foreign_key="users.id")
    merged_revision: int | None = None


class Review(SQLModel, table=True):
    """One reviewer's word on a contribution as it then stood."""

    __tablename__ = "reviews"
    __table_args__ = (
        CheckConstraint("decision IN ('approve', 'request_changes', 'reject')", name="decision"),
        Index("ix_reviews_contribution_id_id", "contribution_id", "id"),
    )

    id: UUID = id_field()
    contribution_id: UUID = Field(foreign_key="contributions.post_id", ondelete="CASCADE")
    reviewer_id: UUID = Field(foreign_key="users.id", index=True)
    contribution_revision: int
    """The revision of the proposal that was reviewed."""
    decision: str = Field(max_length=20)
    body: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    body_html: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    created_at: datetime = created_at_field()

"""Mails that wait for their delivery."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from backend_hub.db import UTCDateTime, created_at_field, id_field


class Mail(SQLModel, table=True):
    """One mail, written in the transaction of the change that it tells of; deleted when it left.

    It is composed when it is delivered: what a dump holds of it is no usable secret.
    """

    __tablename__ = "mails"
    __table_args__ = (Index("ix_mails_next_try_at", "next_try_at"),)

    id: UUID = id_field()
    recipient: str | None = Field(default=None, max_length=254)
    """None: to nobody. It was written all the same, so that an answer's time tells nothing."""
    template: str = Field(max_length=40)
    details: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSONB, nullable=False, server_default="{}")
    )
    sealed: str | None = Field(default=None, max_length=500)
    """The secret of its link, encrypted with a key that follows from the hub's."""
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    next_try_at: datetime = created_at_field()
    expires_at: datetime = Field(sa_type=UTCDateTime)
    created_at: datetime = created_at_field()

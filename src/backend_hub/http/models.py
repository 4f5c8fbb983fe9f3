"""The answers kept for clients that retry."""

from datetime import datetime

from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, SQLModel

from backend_hub.db import created_at_field


class IdempotencyRecord(SQLModel, table=True):
    """The first answer to a keyed request, written in the transaction of the write itself."""

    __tablename__ = "idempotency_records"

    owner: str = Field(primary_key=True, max_length=64)
    key: str = Field(primary_key=True, max_length=200)
    request_hash: str = Field(max_length=64)
    status: int | None = None
    location: str | None = Field(default=None, max_length=500)
    etag: str | None = Field(default=None, max_length=100)
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    created_at: datetime = created_at_field(index=True)

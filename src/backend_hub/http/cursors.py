"""Keyset paging: an order, an opaque cursor, and the one place that pages a statement.

A page begins after the last row seen, by value and not by count, so that nothing is repeated or
missed while others insert, and page 25,000 costs what page 1 costs.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, RowMapping, Select, func, literal, select, tuple_

from backend_hub.db import AsyncSession
from backend_hub.errors import Unprocessable

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_CURSOR = 3_000
"""Characters; the longest names a path of topics."""
BIGINT_MAX = 2**63 - 1


class Page(BaseModel, Generic[T]):
    """Some of the items, and where to go on."""

    items: list[T] = Field(max_length=MAX_LIMIT)
    next_cursor: str | None = Field(
        max_length=MAX_CURSOR,
        description="Send it as `cursor` for the next page; null on the last.",
    )
    total: int | None = Field(
        ge=0, le=BIGINT_MAX, description="Only with `include_total=true`, else null."
    )


@dataclass
class PageParams:
    """What the client asked for; `next_cursor` is filled in by `fetch_page`."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    include_total: bool = False
    next_cursor: str | None = field(default=None, init=False)


@dataclass(frozen=True)
class Order:
    """Columns from most to least significant, all in one direction; the last one is unique."""

    name: str
    columns: Sequence[Any]
    descending: bool = True


def encode_cursor(name: str, values: Sequence[Any]) -> str:
    # asyncpg's UUID is a subclass of Python's, which orjson does not know.
    raw = orjson.dumps([name, *values], default=str)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_cursor(cursor: str, order: Order) -> list[Any]:
    """The values of the last row seen; raises Unprocessable for a cursor of another order."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        name, *values = orjson.loads(raw)
        if name != order.name or len(values) != len(order.columns):
            raise ValueError("another order")
        return [
            _parse(value, column.type.python_type)
            for value, column in zip(values, order.columns, strict=True)
        ]
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise Unprocessable(
            "The cursor is not one of this list's", loc=("query", "cursor")
        ) from None


def _parse(value: Any, kind: type) -> Any:
    if kind in {datetime, UUID} and not isinstance(value, str):
        raise ValueError("not a text")
    if kind is datetime:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None or not 1 < moment.year < 9999:
            raise ValueError("a moment needs its time zone, and room to be moved to UTC")
        return moment.astimezone(UTC)
    if kind is UUID:
        return UUID(str(value))
    if kind is int:
        if type(value) is not int or abs(value) > BIGINT_MAX:
            raise ValueError("not a number of this order")
        return value
    if kind is float:
        if not isinstance(value, int | float):
            raise ValueError("not a number of this order")
        return float(value)
    if type(value) is not str or "\x00" in value or len(value) > 2_000:
        raise ValueError("not a text of this order")
    return value


def one_page(
    statement: Select[Any], order: Order, limit: Any, after: Sequence[Any] | None
) -> Select[Any]:
    """The statement for the rows of one page and one more, each with the keys of its order.

    `limit` and the values of `after` may be bound parameters of a statement that is kept.
    """
    keys = [column.label(f"_key{i}") for i, column in enumerate(order.columns)]
    paged = statement.add_columns(*keys)
    if after is not None:
        values = [
            value if isinstance(value, ColumnElement) else literal(value, column.type)
            for value, column in zip(after, order.columns, strict=True)
        ]
        here, there = tuple_(*order.columns), tuple_(*values)
        paged = paged.where(here < there if order.descending else here > there)
    directions = [c.desc() if order.descending else c.asc() for c in order.columns]
    return paged.order_by(*directions).limit(limit)


def cut(rows: Sequence[RowMapping], order: Order, page: PageParams) -> Sequence[RowMapping]:
    """The rows of the page; when there are more, it also learns its `next_cursor`."""
    if len(rows) <= page.limit:
        return rows
    rows = rows[: page.limit]
    last = [rows[-1][f"_key{i}"] for i in range(len(order.columns))]
    page.next_cursor = encode_cursor(order.name, last)
    return rows


async def fetch_page(
    session: AsyncSession, statement: Select[Any], order: Order, page: PageParams
) -> tuple[Sequence[RowMapping], int | None]:
    """Run a statement for one page: its rows as mappings, and the total when it was asked for."""
    after = decode_cursor(page.cursor, order) if page.cursor is not None else None
    result = await session.exec(one_page(statement, order, page.limit + 1, after))  # type: ignore[call-overload]
    rows = cut(result.mappings().all(), order, page)
    total = None
    if page.include_total:
        counted = select(func.count()).select_from(statement.order_by(None).subquery())
        total = (await session.exec(counted)).scalar_one()  # type: ignore[call-overload]
    return rows, total


async def read_page(
    session: AsyncSession, statement: Select[Any], order: Order, page: PageParams, model: type[M]
) -> Page[M]:
    """One page of a statement whose columns are the fields of `model`."""
    rows, total = await fetch_page(session, statement, order, page)
    items = [model.model_validate(dict(row)) for row in rows]
    return Page[model](items=items, next_cursor=page.next_cursor, total=total)  # type: ignore[valid-type]

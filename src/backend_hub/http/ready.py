"""Answers whose JSON is made of rows, without a Pydantic object for each.

The route keeps its `response_model`, which the OpenAPI document shows; that these bytes are what
the model would have written is tested for every route that returns them
(tests/http/test_ready.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import orjson
from pydantic import TypeAdapter
from sqlalchemy import Integer, Select, bindparam, func, select
from starlette.responses import Response

from backend_hub.http.cursors import Order, PageParams, cut, decode_cursor, one_page
from backend_hub.statements import Prepared, Reader, Row, prepare

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ready(Generic[T]):
    """The JSON of a T, and the version that heads its ETag."""

    body: bytes
    adapter: TypeAdapter[T]
    version: int | None = None

    def parsed(self) -> T:
        """The T itself, for who needs the object."""
        return self.adapter.validate_json(self.body)


def dump(value: Any) -> bytes:
    """JSON as Pydantic writes it: UTC as `Z`, ids as text."""
    # asyncpg's UUID is a subclass of Python's, which orjson does not know.
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z)


def fields_of(row: Row, statement: Prepared) -> dict[str, Any]:
    """A row as an object to dump; JSON that PostgreSQL made goes into it as it is."""
    fields = dict(row)
    for name in statement.json:
        if (text := fields[name]) is not None:
            fields[name] = orjson.Fragment(text)
    return fields


def answer(found: Ready[Any], location: str | None = None) -> Response:
    """What the route returns: 201 when it made what is at the location, else 200.

    FastAPI sends a Response as it is.
    """
    response = Response(found.body, 201 if location else 200, media_type="application/json")
    if location is not None:
        response.headers["Location"] = location
    if found.version is not None:
        response.headers["ETag"] = f'"{found.version}"'
    return response


class Listing(Generic[T]):
    """A list of one shape: its statements for the first page, a later page and the total.

    `shown` makes the object of an item out of its row.
    """

    def __init__(
        self,
        statement: Select[Any],
        order: Order,
        adapter: TypeAdapter[T],
        shown: Callable[[Row, Prepared], dict[str, Any]] = fields_of,
    ) -> None:
        self.statement, self.order = statement, order
        self.adapter, self.shown = adapter, shown
        self._keys = [f"_key{number}" for number in range(len(order.columns))]

    @cached_property
    def first(self) -> Prepared:
        return prepare(one_page(self.statement, self.order, LIMIT, None))

    @cached_property
    def later(self) -> Prepared:
        return prepare(one_page(self.statement, self.order, LIMIT, after_parameters(self.order)))

    @cached_property
    def total(self) -> Prepared:
        counted = self.statement.order_by(None).subquery()
        return prepare(select(func.count().label("total")).select_from(counted))

    async def read(self, reader: Reader, values: Mapping[str, Any], page: PageParams) -> Ready[T]:
        """One page."""
        statement = self.first if page.cursor is None else self.later
        paging = page_values(self.order, page)
        rows = await reader.fetch(statement, {**values, **paging})
        items = [self._item(row, statement) for row in cut(rows, self.order, page)]
        total = None
        if page.include_total:
            total = (await reader.fetch(self.total, values))[0]["total"]
        content = {"items": items, "next_cursor": page.next_cursor, "total": total}
        return Ready(dump(content), self.adapter)

    def _item(self, row: Row, statement: Prepared) -> dict[str, Any]:
        fields = self.shown(row, statement)
        for key in self._keys:
            del fields[key]
        return fields


LIMIT = bindparam("limit", type_=Integer())


def after_parameters(order: Order) -> Sequence[Any]:
    """The last row seen, as parameters of a statement that is kept."""
    return [
        bindparam(f"after_{number}", type_=column.type)
        for number, column in enumerate(order.columns)
    ]


def page_values(order: Order, page: PageParams) -> dict[str, Any]:
    """The values of those parameters; raises Unprocessable for a cursor of another list."""
    after = decode_cursor(page.cursor, order) if page.cursor is not None else []
    return {"limit": page.limit + 1} | {f"after_{n}": value for n, value in enumerate(after)}

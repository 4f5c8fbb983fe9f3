"""Answers whose JSON is made of rows, without a Pydantic object for each.

The route keeps its `response_model`, which the OpenAPI document shows; that these bytes are what
the model would have written is tested for every route that returns them
(tests/http/test_ready.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import orjson
from pydantic import TypeAdapter
from sqlalchemy import (
    Integer,
    Select,
    Subquery,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from starlette.responses import Response

from backend_hub.http.cursors import (
    DEFAULT_LIMIT,
    Order,
    PageParams,
    decode_cursor,
    encode_cursor,
    one_page,
)
from backend_hub.json_text import as_json
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
    """A list of one shape: its statements for the first page, a later page and the total."""

    def __init__(self, statement: Select[Any], order: Order, adapter: TypeAdapter[T]) -> None:
        self.statement, self.order, self.adapter = statement, order, adapter
        self._pages: dict[tuple[bool, bool], Prepared] = {}

    @cached_property
    def total(self) -> Prepared:
        counted = self.statement.order_by(None).subquery()
        return prepare(select(func.count().label("total")).select_from(counted))

    async def read(self, reader: Reader, values: Mapping[str, Any], page: PageParams) -> Ready[T]:
        """One page."""
        paging = page_values(self.order, page)
        found = (await reader.fetch(self._page(page), {**values, **paging}))[0]
        total = None
        if page.include_total:
            total = (await reader.fetch(self.total, values))[0]["total"]
        return Ready(page_json(found, self.order, page, total=total), self.adapter)

    def _page(self, page: PageParams) -> Prepared:
        """The statement of such a page: one row, with the items in one text."""
        continued, default = shape = (page.cursor is not None, page.limit == DEFAULT_LIMIT)
        if shape not in self._pages:
            after = after_parameters(self.order) if continued else None
            paged = one_page(self.statement, self.order, limit_parameter(default), after)
            self._pages[shape] = prepare(together(as_json(paged).subquery("listed"), default))
        return self._pages[shape]


def page_json(found: Row, order: Order, page: PageParams, **rest: Any) -> bytes:
    """A page as it is sent; when there are more items, it also learns its `next_cursor`."""
    if found["more"]:
        keys = [found[f"_key{number}"] for number in range(len(order.columns))]
        page.next_cursor = encode_cursor(order.name, keys)
    others = dump({"next_cursor": page.next_cursor, **rest})
    items: bytes = found["items"].encode()
    return b'{"items":[' + items + b"]," + others[1:]


def together(rows: Subquery, default: bool, more: Any = None) -> Select[Any]:
    """The JSON of a page's items, the keys of its last one, and whether there are more.

    Aggregates take the rows in the order in which the subquery gives them. Rows that end with the
    page come with `more`.
    """
    size = size_parameter(default)
    if more is None:
        more = func.count() > size
    texts = func.array_agg(cast(rows.c.json, Text), type_=ARRAY(Text))
    items = func.array_to_string(texts[1:size], literal_column("','"))
    last = [
        func.array_agg(column, type_=ARRAY(column.type))[size].label(column.name)
        for column in rows.c
        if column.name.startswith("_")
    ]
    shown = func.coalesce(items, literal_column("''")).label("items")
    return select(shown, more.label("more"), *last)


def size_parameter(default: bool) -> Any:
    """How many items a page has."""
    return literal_column(str(DEFAULT_LIMIT)) if default else bindparam("size", type_=Integer())


def limit_parameter(default: bool) -> Any:
    """One row more than a page has; of a page of another size PostgreSQL makes a plan each time."""
    return (
        literal_column(str(DEFAULT_LIMIT + 1)) if default else bindparam("limit", type_=Integer())
    )


def after_parameters(order: Order) -> Sequence[Any]:
    """The last row seen, as parameters of a statement that is kept."""
    return [
        bindparam(f"after_{number}", type_=column.type)
        for number, column in enumerate(order.columns)
    ]


def page_values(order: Order, page: PageParams) -> dict[str, Any]:
    """The values of those parameters; raises Unprocessable for a cursor of another list."""
    after = decode_cursor(page.cursor, order) if page.cursor is not None else []
    limits = {"size": page.limit, "limit": page.limit + 1}
    return limits | {f"after_{n}": value for n, value in enumerate(after)}

"""JSON that PostgreSQL writes as text, as Pydantic would write it.

`row_to_json` and `json_build_object` look up the type of each value in each row, and write each
name anew. What is known before, names and commas and that an id needs no escaping, is constant
text here (docs/performance.md).
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    Boolean,
    DateTime,
    Integer,
    Join,
    Label,
    Null,
    Select,
    String,
    Text,
    TypeDecorator,
    Uuid,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.sql.visitors import iterate

_RFC_3339: Any = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")


class JsonText(TypeDecorator[Any]):
    """Text in PostgreSQL, which is JSON; what it says in Python."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, _dialect: Any) -> Any:
        return None if value is None else orjson.loads(value)


def json_object(columns: Iterable[Any]) -> Any:
    """An object of columns under their names; any of them may be null."""
    return _object(columns, None)


def json_array(statement: Select[Any]) -> Any:
    """Its rows as objects, in its order."""
    rows = as_json(statement).subquery()
    objects = func.string_agg(rows.c.json, _text(","), type_=Text)
    array = func.concat(_text("["), objects, _text("]"), type_=JsonText())
    return select(array).select_from(rows).scalar_subquery()


def as_json(statement: Select[Any]) -> Select[Any]:
    """Its rows as one object each, `json`; columns whose name begins with `_` stay beside it."""
    columns: list[Any] = list(statement.inner_columns)
    fields = [column for column in columns if not column.name.startswith("_")]
    others = [column for column in columns if column.name.startswith("_")]
    joins = [one for source in statement.get_final_froms() for one in iterate(source)]
    optional = {join.right for join in joins if isinstance(join, Join) and join.isouter}
    whole = _object(fields, optional).label("json")
    return statement.with_only_columns(whole, *others, maintain_column_froms=True)


def _object(columns: Iterable[Any], optional: Collection[Any] | None) -> Any:
    """`optional` are the tables of which a row may be missing; None for any."""
    parts = ["{"]
    for column in columns:
        value = unlabelled(column)
        has_value = getattr(value, "nullable", None) is False
        required = has_value and optional is not None and value.table not in optional
        parts += [f'"{column.name}":', *_written(value, column.type, required), ","]
    parts[-1] = "}"
    return func.concat(*_joined(parts), type_=JsonText())


def _joined(parts: Iterable[Any]) -> Iterator[Any]:
    """With constants that follow each other as one."""
    for constant, some in groupby(parts, key=lambda part: isinstance(part, str)):
        run = list(some)
        yield from [_text("".join(run))] if constant else run


def _written(value: Any, kind: Any, required: bool) -> list[Any]:
    """A value as JSON."""
    if isinstance(value, Null):
        return ["null"]
    quoted = isinstance(kind, Uuid | DateTime)
    text = _moment(value) if isinstance(kind, DateTime) else value
    if isinstance(kind, Boolean):  # `concat` writes t and f
        text = cast(value, Text)
    elif not isinstance(kind, Uuid | DateTime | Integer | JSON | JsonText):
        text = func.to_json(cast(value, Text) if isinstance(kind, String) else value)
    if required:
        return ['"', text, '"'] if quoted else [text]
    text = cast(text, Text)
    if quoted:
        text = _text('"').op("||")(text).op("||")(_text('"'))
    return [func.coalesce(text, _text("null"), type_=Text)]


def _moment(moment: Any) -> Any:
    """The session's time zone is UTC (db.py)."""
    whole = func.to_char(moment, _RFC_3339, type_=Text)
    return func.replace(whole, _text(".000000"), _text(""), type_=Text)


def _text(constant: str) -> Any:
    return literal_column(f"'{constant}'")


def unlabelled(column: Any) -> Any:
    return column.element if isinstance(column, Label) else column

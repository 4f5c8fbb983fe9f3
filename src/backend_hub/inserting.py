"""Rows of several tables, inserted by one statement.

SQLAlchemy's unit of work sends a statement for each table, and takes longer to prepare one than
PostgreSQL to run it. What is written often goes at once: foreign keys are checked when the
statement ends, so that the rows may refer to each other.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import JSON, ColumnElement, Table, bindparam, insert, literal_column, select
from sqlmodel import SQLModel

from backend_hub.db import AsyncSession
from backend_hub.statements import Prepared, prepare

Shape = tuple[tuple[Table, tuple[str, ...]], ...]
"""The tables of the rows, and which columns of each have a value."""
Computed = tuple[tuple[str, ColumnElement[Any]], ...]


async def insert_together(
    session: AsyncSession,
    rows: Iterable[SQLModel],
    computed: Mapping[str, ColumnElement[Any]] | None = None,
    values: Mapping[str, Any] | None = None,
) -> None:
    """Insert rows that are not the session's, which does not learn of them.

    What is None is left to the table's default. `computed` are columns that PostgreSQL works out,
    each by an expression that is kept; its parameters are `values`.
    """
    shape: list[tuple[Table, tuple[str, ...]]] = []
    given: dict[str, Any] = dict(values or {})
    for number, row in enumerate(rows):
        table: Table = row.__table__  # type: ignore[attr-defined]
        fields = {name: row.__dict__.get(name) for name in (column.name for column in table.c)}
        fields = {name: value for name, value in fields.items() if value is not None}
        for name, value in fields.items():
            is_json = isinstance(table.c[name].type, JSON)
            given[f"{name}_{number}"] = orjson.dumps(value).decode() if is_json else value
        shape.append((table, tuple(fields)))
    await session.fetch(_statement(tuple(shape), tuple((computed or {}).items())), given)


@lru_cache(256)
def _statement(shape: Shape, computed: Computed) -> Prepared:
    ctes = []
    for number, (table, names) in enumerate(shape):
        values: dict[str, Any] = {
            name: bindparam(f"{name}_{number}", type_=table.c[name].type) for name in names
        }
        values |= {name: expression for name, expression in computed if name in table.c}
        ctes.append(insert(table).values(values).cte(f"row_{number}"))
    return prepare(select(literal_column("1").label("done")).add_cte(*ctes))

"""Rows of several tables, inserted by one statement that can read them too.

SQLAlchemy's unit of work sends a statement for each table, and takes longer to prepare one than
PostgreSQL to run it. What is written often goes at once: foreign keys are checked when the
statement ends, so that the rows may refer to each other.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import (
    CTE,
    JSON,
    ColumnElement,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    select,
)
from sqlmodel import SQLModel

from backend_hub.db import Writer
from backend_hub.statements import Prepared, prepare
from backend_hub.statements import Row as FoundRow

Row = tuple[type[SQLModel], Mapping[str, Any]]
"""Of a model's table, with the columns that are not left to their defaults in PostgreSQL."""
Shape = tuple[tuple[type[SQLModel], tuple[str, ...], int], ...]
"""The models, which columns of each have a value, and the number of their rows."""
Computed = tuple[tuple[Any, ColumnElement[Any]], ...]


def row_of(model: SQLModel) -> Row:
    """A model as a row; what is None is left to the table's default."""
    values = {column.name: model.__dict__.get(column.name) for column in _table(type(model)).c}
    return type(model), {name: value for name, value in values.items() if value is not None}


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


async def insert_together(
    writer: Writer,
    rows: Iterable[Row],
    computed: Mapping[Any, ColumnElement[Any]] | None = None,
    values: Mapping[str, Any] | None = None,
    *,
    reading: Select[Any] | None = None,
    kept_in: Any = None,
) -> Sequence[FoundRow]:
    """Insert rows; those of one table have the same columns. No session learns of them.

    `computed` are attributes that PostgreSQL works out, each by an expression that is kept; its
    parameters are among `values`. `reading` is a statement that is kept and finds the new rows:
    what it reads of their tables is them and nothing else. `kept_in` is the attribute of a row
    that takes the `json` that was read.
    """
    given: dict[str, Any] = dict(values or {})
    names: dict[type[SQLModel], tuple[str, ...]] = {}
    counts: Counter[type[SQLModel]] = Counter()
    for model, fields in rows:
        names.setdefault(model, tuple(fields))
        given |= values_of((model, fields), counts[model])
        counts[model] += 1
    shape = tuple((model, names[model], count) for model, count in counts.items())
    statement = _statement(shape, tuple((computed or {}).items()), reading, kept_in)
    return await writer.write(statement, given)


def values_of(row: Row, number: int = 0) -> dict[str, Any]:
    """The values of a row's parameters, which `parameters` names."""
    model, fields = row
    names, in_json = _parameters(model, tuple(fields), number)
    values = dict(zip(names, fields.values(), strict=True))
    for name in in_json:
        values[name] = orjson.dumps(values[name]).decode()
    return values


def parameters(model: type[SQLModel], names: Iterable[str], number: int = 0) -> dict[str, Any]:
    """By the name of a column, the parameter of a row; `number` tells rows of one table apart."""
    columns = _table(model).c
    return {
        name: bindparam(_parameter(model, name, number), type_=columns[name].type) for name in names
    }


@lru_cache(1_024)
def _parameters(
    model: type[SQLModel], columns: tuple[str, ...], number: int
) -> tuple[list[str], list[str]]:
    """The names of a row's parameters, and of those the ones that are sent as JSON."""
    names = {name: _parameter(model, name, number) for name in columns}
    types = _table(model).c
    in_json = [names[name] for name in columns if isinstance(types[name].type, JSON)]
    return list(names.values()), in_json


def _parameter(model: type[SQLModel], name: str, number: int) -> str:
    return f"{model.__tablename__}_{number}_{name}"


@lru_cache(256)
def _statement(
    shape: Shape, computed: Computed, reading: Select[Any] | None, kept_in: Any
) -> Prepared:
    # A common table expression hides the table of its name from what is read.
    read = reading.cte("answer") if reading is not None else None
    if kept_in is not None and read is not None:
        text = cast(select(read.c.json).scalar_subquery(), Text)
        computed = (*computed, (kept_in, func.convert_to(text, literal_column("'UTF8'"))))
        # What is read comes before it, and all that is to be found before that.
        shape = tuple(sorted(shape, key=lambda of_model: of_model[0] is kept_in.class_))
    inserts = [_insert(*of_model, computed) for of_model in shape]
    shown: Select[Any] = select(read) if read is not None else select(literal_column("1"))
    return prepare(shown.add_cte(*inserts))


def _insert(model: type[SQLModel], names: tuple[str, ...], count: int, computed: Computed) -> CTE:
    table = _table(model)
    worked_out = {what.key: expression for what, expression in computed if what.class_ is model}
    rows = [parameters(model, names, number) | worked_out for number in range(count)]
    return insert(table).values(rows).returning(*table.c).cte(table.name)

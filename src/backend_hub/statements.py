"""Statements that are built and compiled once, and sent as they are.

To build and compile a statement takes SQLAlchemy longer than PostgreSQL takes to run it. So what
is asked often is compiled once for each shape of a request, and its values come as parameters
(docs/performance.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import (
    JSON,
    DateTime,
    Label,
    RowMapping,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, dialect

_RFC_3339: Any = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")


class _Compiler(PGCompiler_asyncpg):
    def visit_bindparam(  # type: ignore[override]
        self, bindparam: Any, literal_binds: bool = False, **kwargs: Any
    ) -> Any:
        """Write constants into the text: PostgreSQL plans such a statement once, and one with
        many parameters at every execution.

        A default of Python's has no value here: a statement that is kept would keep it.
        """
        if not bindparam.required and bindparam.effective_value is None:
            raise TypeError(f"{bindparam.key} has no value: name a parameter")
        return super().visit_bindparam(  # type: ignore[no-untyped-call]
            bindparam, literal_binds=literal_binds or not bindparam.required, **kwargs
        )

    def render_literal_value(self, value: Any, type_: Any) -> Any:
        ending = ""
        if isinstance(type_, REGCONFIG):  # which SQLAlchemy does not know how to write
            type_, ending = Text(), "::regconfig"
        written: str = super().render_literal_value(value, type_)  # type: ignore[no-untyped-call]
        return written + ending


_DIALECT = dialect()  # type: ignore[no-untyped-call]
_DIALECT.statement_compiler = _Compiler
_DIALECT._backslash_escapes = False

Row = RowMapping
"""Or asyncpg's Record, which reads the same."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A compiled statement; `json` names its columns that hold JSON, which come as text."""

    sql: str
    names: tuple[str, ...]
    json: tuple[str, ...]

    def arguments(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values of `$1`, `$2` and so on."""
        return tuple([values[name] for name in self.names])


class Reader(Protocol):
    """What a prepared statement can be sent to: the pool, or a session."""

    async def fetch(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Row]: ...


def prepare(statement: Select[Any]) -> Prepared:
    """Compile a statement whose values are named parameters."""
    columns: list[Any] = list(statement.inner_columns)
    json = tuple(column.name for column in columns if isinstance(column.type, JSON))
    shown = [
        cast(_unlabelled(column), Text).label(column.name) if column.name in json else column
        for column in columns
    ]
    statement = statement.with_only_columns(*shown, maintain_column_froms=True)
    compiled: Any = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return Prepared(compiled.string, tuple(compiled.positiontup), json)


def _unlabelled(column: Any) -> Any:
    return column.element if isinstance(column, Label) else column


def as_json(statement: Select[Any]) -> Any:
    """The rows of a statement as one JSON object each; the name of the others begins with `_`.

    What an object holds is written as Pydantic writes it.
    """
    rows = with_moments_as_text(statement).subquery("rows")
    fields = [column for column in rows.c if not column.name.startswith("_")]
    shown = select(*fields).correlate(rows).subquery("shown")
    whole = select(func.row_to_json(shown.table_valued(), type_=JSON)).correlate(rows)
    others = [column for column in rows.c if column.name.startswith("_")]
    return select(whole.scalar_subquery().label("json"), *others).select_from(rows)


def with_moments_as_text(statement: Select[Any]) -> Select[Any]:
    """The same rows for a JSON array: moments as the hub writes them, and not as PostgreSQL does.

    The session's time zone is UTC (db.py).
    """
    columns: list[Any] = list(statement.inner_columns)
    shown = [
        _moment_text(_unlabelled(column)).label(column.name)
        if isinstance(column.type, DateTime)
        else column
        for column in columns
    ]
    return statement.with_only_columns(*shown, maintain_column_froms=True)


def _moment_text(moment: Any) -> Any:
    whole = func.to_char(moment, _RFC_3339, type_=Text)
    return func.replace(whole, literal_column("'.000000'"), literal_column("''"), type_=Text)


def text_parameter(name: str) -> Any:
    return bindparam(name, type_=Text())

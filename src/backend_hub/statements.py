"""Statements that are built and compiled once, and sent as they are.

To build and compile a statement takes SQLAlchemy longer than PostgreSQL takes to run it. So what
is asked often is compiled once for each shape of a request, and its values come as parameters
(docs/performance.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import JSON, RowMapping, Select, Text, bindparam, cast
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, dialect

from backend_hub.json_text import JsonText, unlabelled


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
    json = tuple(column.name for column in columns if isinstance(column.type, JSON | JsonText))
    shown = [
        cast(unlabelled(column), Text).label(column.name) if column.name in json else column
        for column in columns
    ]
    statement = statement.with_only_columns(*shown, maintain_column_froms=True)
    compiled: Any = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return Prepared(compiled.string, tuple(compiled.positiontup), json)


def text_parameter(name: str) -> Any:
    return bindparam(name, type_=Text())

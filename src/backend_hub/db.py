"""Engine, sessions, base columns, and what PostgreSQL's errors mean to a client.

One request is one transaction, and only this module and `cli.py` commit
(docs/decisions/0002-one-request-one-transaction.md).
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import orjson
from asyncpg import InterfaceError, InternalClientError, PostgresConnectionError, PostgresError
from asyncpg.exceptions import (
    AdminShutdownError,
    CrashShutdownError,
    TargetServerAttributeNotMatched,
)
from sqlalchemy import (
    ColumnElement,
    DateTime,
    Interval,
    MetaData,
    PoolProxiedConnection,
    event,
    func,
)
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.ext.asyncio import AsyncSession as SQLAlchemyAsyncSession
from sqlalchemy.orm import Session as SQLAlchemySession
from sqlmodel import Field, SQLModel
from sqlmodel import Session as SQLModelSession
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelAsyncSession
from uuid_utils.compat import uuid7

from backend_hub.coalescing import Coalescing
from backend_hub.errors import Conflict, HubError, Unavailable, Unprocessable
from backend_hub.leases import Lease, Leases
from backend_hub.settings import Settings
from backend_hub.statements import Prepared, Reader, Row

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata: MetaData = SQLModel.metadata

UTCDateTime = DateTime(timezone=True)


def utcnow() -> datetime:
    return datetime.now(UTC)


def seconds_after(moment: ColumnElement[datetime], seconds: Any) -> Any:
    """A moment in SQL; `seconds` may be an expression of float type."""
    interval: Any = func.make_interval(0, 0, 0, 0, 0, 0, seconds, type_=Interval)
    return moment + interval


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): unique without coordination, and sorted by time."""
    return uuid7()


def id_field() -> Any:
    return Field(default_factory=new_id, primary_key=True)


def created_at_field(**kwargs: Any) -> Any:
    return Field(
        default_factory=utcnow,
        sa_type=UTCDateTime,
        sa_column_kwargs={"server_default": func.now()},
        nullable=False,
        **kwargs,
    )


def timestamp_field(**kwargs: Any) -> Any:
    """A nullable moment: when it happened, or None when it has not."""
    return Field(default=None, sa_type=UTCDateTime, nullable=True, **kwargs)


class _SyncSession(SQLModelSession):
    execute = SQLAlchemySession.execute


class AsyncSession(SQLModelAsyncSession):
    """SQLModel's session: `exec` for models, and `execute` for rows of Core statements.

    SQLModel marks `execute` as deprecated in favour of `exec`; here each has its use.
    """

    sync_session_class = _SyncSession
    execute = SQLAlchemyAsyncSession.execute

    async def fetch(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Row]:
        """The rows of a prepared statement, in this session's transaction."""
        arguments = statement.arguments(values)

        def run(session: SQLAlchemySession) -> Sequence[Row]:
            session.flush()
            result = session.connection().exec_driver_sql(statement.sql, arguments)
            return result.mappings().all()

        return await self.run_sync(run)

    write = fetch

    async def session(self) -> "AsyncSession":
        """Itself: what is a `Writing` elsewhere has begun here."""
        return self


LOST = (
    PostgresConnectionError,
    AdminShutdownError,
    CrashShutdownError,
    InterfaceError,
    InternalClientError,
    ConnectionError,
)
"""asyncpg's words for a connection that broke; `InternalClientError` while it breaks."""


PLANNING = {
    "jit": "off",
    # To begin in the middle of a list, a merge walks the other table's index from its end.
    "enable_mergejoin": "off",
}
"""How PostgreSQL plans for many small statements."""


class Database:
    """The pool, and the ways to use it: a transaction, a statement that is one, and reads."""

    def __init__(self, settings: Settings, url: str) -> None:
        server_settings = {
            "application_name": "backend-hub",
            # Moments inside JSON that PostgreSQL builds are written in the session's time zone.
            "timezone": "UTC",
            "statement_timeout": str(settings.database_statement_timeout),
            "lock_timeout": str(settings.database_lock_timeout),
            "idle_in_transaction_session_timeout": "60000",
            **PLANNING,
        }
        self.pool_size = settings.database_pool_size
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_pool_timeout,
            pool_use_lifo=True,
            json_deserializer=orjson.loads,
            hide_parameters=True,  # an error in the log shows no address and no hash
            connect_args={
                "server_settings": server_settings,
                "timeout": 3,
                "command_timeout": 10,
                "max_cacheable_statement_size": 0,  # whatever its length
            },
        )
        _watch_connections(self.engine)
        # A read needs no BEGIN and no COMMIT: two round trips less.
        self._reading: AsyncEngine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        # Single statements leave connections to sessions, which may hold one for longer.
        most = max(1, settings.database_pool_size * 4 // 5)
        self._leases = Leases(self._connect, most, settings.database_pool_timeout)
        self._reads = Coalescing(self._leases.take, self._ask)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session that commits when the block returns and rolls back when it raises."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session for reads: each statement sees what was committed when it began."""
        async with AsyncSession(self._reading, expire_on_commit=False) as session:
            yield session

    async def fetch(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Row]:
        """The rows of a prepared statement, read on a connection of the pool's own driver.

        asyncpg keeps the statement prepared on each connection. A connection that turns out to be
        lost is replaced once: a read may be repeated. Reads that wait and ask the same are asked
        once, so values have to be hashable: a tuple for an array.
        """
        arguments = statement.arguments(values)
        token = _REPEATABLE.set(True)
        try:
            return await self._reads.read(statement.sql, arguments)
        except LOST as error:
            if isinstance(error, ValueError):  # a value that the statement cannot take
                raise
            return await self._reads.read(statement.sql, arguments)
        finally:
            _REPEATABLE.reset(token)

    async def write(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Row]:
        """What a prepared statement returns that is a transaction of its own, and is run once."""
        arguments = statement.arguments(values)
        return await self._ask(await self._leases.take(), statement.sql, arguments)

    async def _ask(self, lease: Lease, sql: str, arguments: tuple[Any, ...]) -> Sequence[Row]:
        lost = False
        try:
            rows: Sequence[Row] = await lease.driver.fetch(sql, *arguments)
            return rows
        except LOST as error:
            lost = not isinstance(error, ValueError)
            raise
        finally:
            await self._leases.give_back(lease, lost=lost)

    def _connect(self) -> PoolProxiedConnection:
        """For prepared statements, in a greenlet, as SQLAlchemy's pool wants it."""
        try:
            return self.engine.pool.connect()
        except self.engine.dialect.loaded_dbapi.Error as error:
            raise error.__cause__ or error from None  # asyncpg's own, as those of statements

    async def ping(self) -> None:
        """Read nothing, as what is asked most reads: raises what that would raise."""
        await self.fetch(Prepared("SELECT 1", (), ()), {})

    async def dispose(self) -> None:
        await self.engine.dispose()


class Writer(Reader, Protocol):
    """What writes: a session, or what has yet to become a transaction."""

    async def write(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Row]: ...
    async def session(self) -> AsyncSession: ...


class Writing:
    """A request's one transaction, which begins when it is known what kind it has to be: one
    statement, or a session's, which ends with the stack.

    What is read before is read by itself. A write that is one statement needs no BEGIN and no
    COMMIT: two round trips less. Whatever takes several asks for the session first.
    """

    def __init__(self, database: Database, stack: AsyncExitStack) -> None:
        self._database, self._stack = database, stack
        self._session: AsyncSession | None = None
        self._written = False

    async def session(self) -> AsyncSession:
        """The transaction's session, which has begun."""
        if self._written:
            raise RuntimeError("What was written before is committed: ask for the session first")
        if self._session is None:
            self._session = await self._stack.enter_async_context(self._database.transaction())
        return self._session

    async def fetch(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Row]:
        return await (self._session or self._database).fetch(statement, values)

    async def write(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Row]:
        """Write as part of the session's transaction, or as the whole of it."""
        if self._session is not None:
            return await self._session.write(statement, values)
        if self._written:
            raise RuntimeError("Two writes are two statements: ask for the session first")
        found = await self._database.write(statement, values)
        self._written = True
        return found


RESTED = 0.001
"""Seconds after which a pooled connection is asked whether it lives; under load none rests."""
_REPEATABLE: ContextVar[bool] = ContextVar("repeatable", default=False)
"""Whether what the connection is wanted for may be done again, so that nobody needs to ask."""


def _watch_connections(engine: AsyncEngine) -> None:
    """Replace a connection that was lost while it rested, before a request gets it.

    SQLAlchemy's `pool_pre_ping` asks before every use, at the price of up to three round trips.
    """

    def leave(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    def enter(connection: Any, record: Any, _fairy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError
        if _REPEATABLE.get():
            return
        if time.monotonic() - record.info.get("rests_since", float("inf")) > RESTED:
            try:
                connection.run_async(lambda driver: driver.fetchval("SELECT 1"))
            except (PostgresError, InterfaceError, InternalClientError, OSError) as error:
                raise DisconnectionError from error

    event.listen(engine.sync_engine, "checkin", leave)
    event.listen(engine.sync_engine, "checkout", enter)


RETRYABLE = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected: the same request may succeed when run again."""


BAD_VALUES = frozenset(
    {"22000", "22001", "22003", "22008", "22021", "22P02", "22P05", "23502", "23514", "54000"}
)
BUSY = frozenset({"55P03", "57014", "25006", "25P03", "3D000"})
"""Locked, cancelled, read-only for now, timed out; or the database is gone (being restored)."""


def sqlstate(error: BaseException) -> str | None:
    """The five characters of PostgreSQL's error, or None when it did not come from PostgreSQL."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def constraint_name(error: Exception) -> str | None:
    """The constraint that refused a row; asyncpg keeps it on its own exception."""
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else error
    return getattr(cause, "constraint_name", None)


def refusal_for(error: BaseException) -> HubError | None:
    """What a database error means to the client, or None when it is our own mistake.

    The classes are PostgreSQL's (appendix A, "PostgreSQL Error Codes").
    """
    if isinstance(error, PoolTimeout):
        return Unavailable("The hub is busy", retry_after=2)
    if isinstance(error, OSError):
        return Unavailable("The database cannot be reached", retry_after=2)
    if not isinstance(error, DBAPIError | PostgresError | _DRIVERS_OWN):
        return None
    state = sqlstate(error)
    if state is None and isinstance(error, ValueError):
        return Unprocessable("A value is not acceptable to the database")
    if state is None:
        return Unavailable("The database cannot be reached") if _lost(error) else None
    if state in BAD_VALUES:
        return Unprocessable("A value is not acceptable to the database")
    if state in {"23505", "23503"}:
        return Conflict("It conflicts with something that exists, or refers to something gone")
    if state in RETRYABLE:
        return Unavailable("Too many requests changed the same thing at once")
    if state in BUSY or state[:3] == "57P" or state[:2] in {"08", "28", "53"}:
        return Unavailable("The database is busy or restarting", retry_after=2)
    return None


_DRIVERS_OWN = InterfaceError | InternalClientError


def _lost(error: BaseException) -> bool:
    """A connection that broke under us, or none to a writable server (a failover is under way).

    asyncpg raises these without an SQLSTATE.
    """
    if not isinstance(error, DBAPIError):
        return True
    return error.connection_invalidated or isinstance(
        error.orig.__cause__ if error.orig else None, OSError | TargetServerAttributeNotMatched
    )

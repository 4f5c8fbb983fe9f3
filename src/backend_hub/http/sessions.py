"""The database sessions that a router may ask for, and the door for prepared reads."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from backend_hub.db import AsyncSession, Database, Writer, Writing
from backend_hub.http.callers import is_visitor
from backend_hub.replica import Replica
from backend_hub.statements import Reader


def get_database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _replica(request: Request) -> Replica | None:
    """The replica, for a visitor's read while it is near enough.

    Whoever says who they are reads from the primary, and finds there what they wrote.
    """
    replica: Replica | None = request.app.state.replica
    if replica is None or getattr(request.state, "replica_failed", False):
        return None
    return replica if replica.near and is_visitor(request.scope) else None


def leave_replica(request: Request, error: BaseException) -> bool:
    """Whether it was the replica that failed this read: it is run again on the primary."""
    replica: Replica | None = getattr(request.state, "replica", None)
    if replica is None or not replica.failed(error):
        return False
    request.state.replica, request.state.replica_failed = None, True
    return True


async def _reader(request: Request) -> Reader:
    return _replica(request) or get_database(request)


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """The request's one transaction.

    `scope="function"` below ends it before the answer leaves: a client that got its 201 finds
    the row on its next call.
    """
    async with get_database(request).transaction() as session:
        request.state.session = session
        yield session


async def _writing(request: Request) -> Writer:
    """The request's one transaction, which ends where `run_once` says."""
    return Writing(get_database(request), request.scope["fastapi_function_astack"])


async def get_read_session(request: Request) -> AsyncIterator[AsyncSession]:
    request.state.replica = replica = _replica(request)
    database = replica.database if replica else get_database(request)
    async with database.reading() as session:
        yield session


async def get_newest_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with get_database(request).reading() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session, scope="function")]
Writes = Annotated[Writer, Depends(_writing)]
"""For what is written by one prepared statement, which is a transaction without BEGIN and COMMIT;
or by several after all, with `await writer.session()`."""
Reads = Annotated[Reader, Depends(_reader)]
"""For prepared statements: each sees what was committed when it began. A visitor's may see what
was committed seconds ago, where the hub has a replica."""
ReadSession = Annotated[AsyncSession, Depends(get_read_session, scope="function")]
"""The same for a session. For GET only: what the replica fails at is run again."""
NewestReads = Annotated[AsyncSession, Depends(get_newest_session, scope="function")]
"""From the primary, whoever asks."""

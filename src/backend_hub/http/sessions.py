"""The two database sessions that a router may ask for, and the door for prepared reads."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from backend_hub.db import AsyncSession, Database
from backend_hub.statements import Reader


async def _reader(request: Request) -> Reader:
    return get_database(request)


def get_database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """The request's one transaction.

    `scope="function"` below ends it before the answer leaves: a client that got its 201 finds
    the row on its next call.
    """
    async with get_database(request).transaction() as session:
        request.state.session = session
        yield session


async def get_read_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with get_database(request).reading() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session, scope="function")]
Reads = Annotated[Reader, Depends(_reader)]
"""For prepared statements: each sees what was committed when it began."""
ReadSession = Annotated[AsyncSession, Depends(get_read_session, scope="function")]

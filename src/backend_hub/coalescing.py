"""Reads that ask the same are asked once, as long as they wait.

Under load reads wait: for a connection, or for others that came with them. One with the statement
and the values of another that was not sent yet gets that one's rows. They are read after both have
come, so nobody sees an older state than by asking alone, and nothing is kept
(docs/decisions/0018-waiting-reads-are-asked-once.md).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from backend_hub.leases import Lease
from backend_hub.statements import Row

Question = tuple[str, tuple[Any, ...]]
"""A statement and its values: the reader's id too, where it decides what may be seen."""
Rows = Sequence[Row]
Place = asyncio.Future[Rows | None]
"""Where somebody waits for rows; None when whoever asked for them has left."""


class Coalescing:
    def __init__(
        self,
        take: Callable[[], Awaitable[Lease]],
        ask: Callable[[Lease, str, tuple[Any, ...]], Awaitable[Rows]],
    ) -> None:
        self._take, self._ask = take, ask
        self._waiting: dict[Question, list[Place]] = {}
        """What is going to be sent, and who joined the one that sends it."""
        self._sent: set[Question] = set()

    async def read(self, sql: str, arguments: tuple[Any, ...]) -> Rows:
        """Raises what the one that is sent raises."""
        question = sql, arguments
        while (others := self._waiting.get(question)) is not None:
            place: Place = asyncio.get_running_loop().create_future()
            others.append(place)
            if (rows := await place) is not None:
                return rows
        others = self._waiting[question] = []
        try:
            rows = await self._read(question)
        except Exception as error:
            for place in _present(others):
                place.set_exception(error)
            raise
        except BaseException:
            for place in _present(others):
                place.set_result(None)
            raise
        for place in _present(others):
            place.set_result(rows)
        return rows

    async def _read(self, question: Question) -> Rows:
        try:
            if question in self._sent:
                await asyncio.sleep(0)  # much wanted: more of the same may have come by now
            lease = await self._take()
        finally:
            del self._waiting[question]
        self._sent.add(question)
        try:
            return await self._ask(lease, *question)
        finally:
            self._sent.discard(question)


def _present(places: Iterable[Place]) -> Iterable[Place]:
    return (place for place in places if not place.done())

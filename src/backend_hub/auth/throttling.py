"""Guessing made slow, in PostgreSQL, so that it holds across processes (promise 65).

A try is counted before it is judged, in a transaction of its own: parallel guesses are all
counted, and no rollback loses one. The first tries are free; then each has to wait for twice as
long as the one before. Tries are forgotten one by one as time passes.
"""

import hashlib
import math
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import NamedTuple

from sqlalchemy import bindparam, case, delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from backend_hub.auth.models import Throttle
from backend_hub.db import AsyncSession, Database, UTCDateTime, seconds_after, utcnow
from backend_hub.errors import RateLimited
from backend_hub.statements import Prepared, prepare, text_parameter


@dataclass(frozen=True, slots=True)
class Rule:
    """How many tries are free, and how long the next ones wait. Times are in seconds."""

    name: str
    free: int
    first_wait: float
    longest_wait: float
    forgets_every: float
    """One try is forgotten after so long."""


SIGN_IN = Rule("sign-in", 10, 2, 900, 900)
"""Guesses of one account's password, from anywhere that the account does not know."""
SIGN_IN_KNOWN = Rule("sign-in-known", 10, 2, 900, 900)
"""The same from one place that it knows, so that guesses from elsewhere lock nobody out."""
SIGN_IN_ADDRESS = Rule("sign-in-address", 50, 1, 60, 60)
"""Wrong guesses from one network, at any accounts: a classroom may share it."""
MAIL = Rule("mail", 3, 60, 3_600, 3_600)
"""Mails that anyone can have sent to one address."""
MAIL_ADDRESS = Rule("mail-address", 20, 10, 600, 300)
"""The same from one network, to any addresses."""
CODE = Rule("code", 5, 2, 900, 900)
"""Guesses of a second factor's code, or of a device's."""

LONGEST_MEMORY = timedelta(days=3)
SKEW = timedelta(minutes=1)
"""Whoever has not to wait may have read the clock a little earlier than the one before."""


class TooManyTries(RateLimited):
    code, title = "too_many_tries", "Too many tries"

    def __init__(self, seconds: int) -> None:
        minutes = math.ceil(seconds / 60)
        wait = f"{seconds} seconds" if seconds < 90 else f"{minutes} minutes"
        super().__init__(
            f"Too many tries: try again in {wait}", headers={"Retry-After": str(seconds)}
        )


class Try(NamedTuple):
    """Something that is tried, and by whom or on whom: an account, a network, an address."""

    rule: Rule
    subject: str

    @property
    def key(self) -> str:
        """What was typed as a name may be a password: only its hash is kept."""
        return f"{self.rule.name}:{hashlib.sha256(self.subject.encode()).hexdigest()}"


async def count_try(database: Database, *tries: Try) -> None:
    """Count before judging, in a transaction of its own; raises TooManyTries.

    Call it before the request's own session has asked the database anything: no request waits
    for a second connection while it holds one.
    """
    async with database.transaction() as session:
        await reserve(session, *tries)


async def reserve(session: AsyncSession, *tries: Try) -> None:
    """Count within a transaction that the caller commits; raises TooManyTries."""
    for one in sorted(tries, key=lambda one: one.key):  # always in this order: no deadlock
        await _reserve(session, one)


async def _reserve(session: AsyncSession, one: Try) -> None:
    now = utcnow()
    values = {"key": one.key, "now": now, "soon": now - SKEW}
    if not await session.fetch(_counting(one.rule), values):
        blocked = select(Throttle.free_at).where(Throttle.key == one.key)
        until = (await session.exec(blocked)).first() or now  # a success just cleared it
        raise TooManyTries(max(1, math.ceil((until - now).total_seconds())))


@cache
def _counting(rule: Rule) -> Prepared:
    """Counts a try, of which it finds a row; none while the next one has to wait."""
    now = bindparam("now", type_=UTCDateTime)
    soon = bindparam("soon", type_=UTCDateTime)
    row = insert(Throttle).values(key=text_parameter("key"), tries=1, tried_at=now, free_at=soon)
    since = func.extract("epoch", now - col(Throttle.tried_at))
    tries = func.greatest(col(Throttle.tries) - since / rule.forgets_every, 0) + 1
    beyond = func.round(tries) - rule.free
    seconds = func.least(rule.first_wait * func.power(2, func.least(beyond, 20)), rule.longest_wait)
    free_at = case((beyond >= 0, seconds_after(now, seconds)), else_=col(Throttle.free_at))
    counted = row.on_conflict_do_update(
        index_elements=["key"],
        set_={"tries": tries, "tried_at": now, "free_at": free_at},
        where=col(Throttle.free_at) <= now,
    ).returning(col(Throttle.key))
    return prepare(select(counted.cte("counted")))


async def clear(session: AsyncSession, *tries: Try) -> None:
    """Success: nothing was guessed, and the account starts afresh."""
    keys = sorted(one.key for one in tries)
    await session.execute(delete(Throttle).where(col(Throttle.key).in_(keys)))


async def succeed(session: AsyncSession, place: Try, *elsewhere: Try) -> None:
    """Success: the place starts afresh, and elsewhere this one try does not count.

    The others there do: an attacker may have an account too. The rows are taken in the order of
    `reserve`, or two sign-ins would wait for each other.
    """
    for one in sorted([place, *elsewhere], key=lambda one: one.key):
        if one == place:
            await clear(session, one)
        else:
            mine = update(Throttle).where(col(Throttle.key) == one.key)
            fewer = func.greatest(col(Throttle.tries) - 1, 0)
            await session.execute(mine.values(tries=fewer, free_at=utcnow() - SKEW))


async def purge_old_throttles(session: AsyncSession) -> None:
    old = col(Throttle.tried_at) < utcnow() - LONGEST_MEMORY
    await session.execute(delete(Throttle).where(old))

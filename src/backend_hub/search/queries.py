"""A page of search results."""

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, RowMapping
from sqlalchemy.dialects.postgresql.base import PGCompiler

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.errors import Unprocessable
from backend_hub.http.cursors import Order, PageParams, cut, decode_cursor
from backend_hub.search import highlights
from backend_hub.search.conditions import terms_of
from backend_hub.search.query_language import Qualifier, Query, SearchKind, parse
from backend_hub.search.schemas import Facets, SearchHit, SearchPage
from backend_hub.search.statements import (
    KEYS,
    SearchSort,
    Shape,
    page_statement,
    total_statement,
)

NO_FACETS = Facets(kind=[], topic=[], tag=[], exact=True)


@dataclass(frozen=True)
class Search:
    """What is searched for, and in which order it comes."""

    q: str
    kind: SearchKind | None = None
    topic: str | None = None
    sort: SearchSort = "relevance"

    def required(self) -> list[Qualifier]:
        """What the parameters ask for beside `q`."""
        given = {"kind": self.kind, "topic": self.topic}
        return [Qualifier(name, value) for name, value in given.items() if value is not None]

    def order(self, query: Query) -> Order:
        """The cursor's name has a hash of the search: it cannot go on in another one."""
        sort = self.sort if query.words or self.sort != "relevance" else "newest"
        searched = repr((sort, self.q, self.kind, self.topic)).encode()
        digest = hashlib.blake2b(searched, digest_size=6).hexdigest()
        return Order(f"{sort}-{digest}", KEYS[sort])


async def search(
    session: AsyncSession, actor: Actor | None, wanted: Search, page: PageParams
) -> SearchPage:
    """The matches that the actor may see; raises Unprocessable for a query that makes no sense."""
    if not wanted.q.strip():
        raise Unprocessable("Type a word or a qualifier", loc=("query", "q"))
    query = parse(wanted.q)
    terms, values = terms_of(query.qualifiers, wanted.required())
    order = wanted.order(query)
    after = decode_cursor(page.cursor, order) if page.cursor is not None else []
    values |= {f"after_{number}": value for number, value in enumerate(after)}
    values |= {"words": query.words, "limit": page.limit + 1, "actor_id": actor and actor.id}
    sort: Any = order.name.partition("-")[0]
    shape = Shape(bool(query.words), terms, sort, actor is not None, bool(after))
    rows = (await _run(session, page_statement(shape), values)).mappings().all()
    total = None
    if page.include_total:
        total = (await _run(session, total_statement(shape), values)).scalar_one()
    return SearchPage(
        items=[_hit(row) for row in cut(rows, order, page)],
        next_cursor=page.next_cursor,
        total=total,
        facets=None if after else _facets(rows),
    )


async def _run(
    session: AsyncSession, statement: PGCompiler, values: dict[str, Any]
) -> CursorResult[Any]:
    """Send a compiled statement."""
    names = statement.positiontup or []
    constants = statement.params
    parameters = tuple(values[name] if name in values else constants[name] for name in names)
    connection = await session.connection()
    return await connection.exec_driver_sql(statement.string, parameters)


def _facets(rows: Any) -> Facets:
    return Facets.model_validate(rows[0]["facets"]) if rows else NO_FACETS


def _hit(row: RowMapping) -> SearchHit:
    fields = dict(row)
    fields["title_highlighted"] = highlights.marked(fields["title_highlighted"])
    fields["snippet"] = highlights.marked_html(fields["snippet"])
    return SearchHit.model_validate(fields)

"""A page of search results."""

import hashlib
from dataclasses import dataclass
from typing import Any

from orjson import Fragment
from pydantic import TypeAdapter

from backend_hub.auth.actor import Actor
from backend_hub.errors import Unprocessable
from backend_hub.http.cursors import DEFAULT_LIMIT, Order, PageParams
from backend_hub.http.ready import Ready, page_json, page_values
from backend_hub.search.conditions import terms_of
from backend_hub.search.query_language import Qualifier, Query, SearchKind, parse
from backend_hub.search.schemas import SearchPage
from backend_hub.search.statements import (
    KEYS,
    SearchSort,
    Shape,
    page_statement,
    total_statement,
)
from backend_hub.statements import Reader

SEARCH_PAGE = TypeAdapter(SearchPage)


@dataclass(frozen=True)
class Search:
    """What is searched for, and in which order it comes."""

    q: str
    kind: SearchKind | None = None
    topic: str | None = None
    sort: SearchSort = "relevance"
    facets: bool = True

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
    reader: Reader, actor: Actor | None, wanted: Search, page: PageParams
) -> Ready[SearchPage]:
    """The matches that the actor may see; raises Unprocessable for a query that makes no sense."""
    if not wanted.q.strip():
        raise Unprocessable("Type a word or a qualifier", loc=("query", "q"))
    query = parse(wanted.q)
    terms, values = terms_of(query.qualifiers, wanted.required())
    order = wanted.order(query)
    values |= {"words": query.words, "actor_id": actor and actor.id, **page_values(order, page)}
    sort: Any = order.name.partition("-")[0]
    continued = page.cursor is not None
    shape = Shape(
        words=bool(query.words),
        terms=terms,
        sort=sort,
        signed_in=actor is not None,
        continued=continued,
        default_limit=page.limit == DEFAULT_LIMIT,
        facets=wanted.facets and not continued,
    )
    found = (await reader.fetch(page_statement(shape), values))[0]
    total = None
    if page.include_total:
        total = (await reader.fetch(total_statement(shape), values))[0]["total"]
    facets = Fragment(found["facets"]) if shape.facets else None
    return Ready(page_json(found, order, page, total=total, facets=facets), SEARCH_PAGE)

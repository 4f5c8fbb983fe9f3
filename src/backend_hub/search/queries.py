"""A page of search results in one statement.

First the matches with their rank, then one page of them, and only for that page the author, the
title, the tags and the highlighting. The facets ride on the first row, so that what matches is
found once.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    CTE,
    ColumnElement,
    Double,
    RowMapping,
    Select,
    case,
    func,
    literal,
    literal_column,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.errors import Unprocessable
from backend_hub.http.cursors import Order, PageParams, count, cut, one_page
from backend_hub.posts.fulltext import matched_by, queries_in_use, rank_by
from backend_hub.posts.models import Post, PostTag
from backend_hub.posts.queries import author_json, tag_names, topic_json
from backend_hub.posts.visibility import visible
from backend_hub.questions.models import Question
from backend_hub.resources.models import Resource
from backend_hub.search import highlights
from backend_hub.search.conditions import conditions_of, in_topic, of_kind
from backend_hub.search.query_language import Query, SearchKind, parse
from backend_hub.search.schemas import MAX_COUNTED, TOP_VALUES, Facets, SearchHit, SearchPage
from backend_hub.topics.models import Tag, Topic
from backend_hub.users.models import User

SearchSort = Literal["relevance", "newest", "top"]


@dataclass(frozen=True)
class Search:
    """What is searched for, and in which order it comes."""

    q: str
    kind: SearchKind | None = None
    topic: str | None = None
    sort: SearchSort = "relevance"

    def order(self, matches: Any, *, ranked: bool) -> Order:
        """The cursor's name has a hash of the search: it cannot go on in another one."""
        sort = self.sort if ranked or self.sort != "relevance" else "newest"
        searched = repr((self.q, self.kind, self.topic)).encode()
        digest = hashlib.blake2b(searched, digest_size=6).hexdigest()
        names = {"relevance": ("rank", "id"), "newest": ("id",), "top": ("score", "id")}[sort]
        return Order(f"{sort}-{digest}", [matches.c[name] for name in names])


async def search(
    session: AsyncSession, actor: Actor | None, wanted: Search, page: PageParams
) -> SearchPage:
    """The matches that the actor may see; raises Unprocessable for a query that makes no sense."""
    if not wanted.q.strip():
        raise Unprocessable("Type a word or a qualifier", loc=("query", "q"))
    query = parse(wanted.q)
    with_facets = page.cursor is None
    matches = _matches(actor, wanted, query, twice=with_facets)
    order = wanted.order(matches, ranked=bool(query.words))
    statement = _hits(matches, order, page, bool(query.words), with_facets)
    rows = (await session.execute(statement)).mappings().all()
    facets = (rows[0]["facets"] if rows else NO_FACETS) if with_facets else None
    return SearchPage(
        items=[_hit(row) for row in cut(rows, order, page)],
        next_cursor=page.next_cursor,
        total=await count(session, select(matches.c.id)) if page.include_total else None,
        facets=Facets.model_validate(facets) if facets else None,
    )


NO_FACETS: dict[str, Any] = {"kind": [], "topic": [], "tag": [], "exact": True}


def _hit(row: RowMapping) -> SearchHit:
    fields = dict(row)
    fields["title_highlighted"] = highlights.marked(fields["title_highlighted"])
    fields["snippet"] = highlights.marked_html(fields["snippet"])
    return SearchHit.model_validate(fields)


def _matches(actor: Actor | None, wanted: Search, query: Query, *, twice: bool) -> CTE:
    """Every match, with what it is ordered and counted by."""
    names = ("id", "kind", "parent_id", "topic_id", "score")
    columns: list[Any] = [col(getattr(Post, name)).label(name) for name in names]
    statement = select(*columns)
    if query.words:
        queries = queries_in_use(query.words)
        statement = (
            statement.add_columns(queries.c.query, rank_by(queries.c.query).label("rank"))
            .select_from(queries)
            .join(Post, matched_by(queries))
        )
    statement = statement.where(visible(actor), *conditions_of(query.qualifiers))
    if wanted.kind is not None:
        statement = statement.where(of_kind(wanted.kind))
    if wanted.topic is not None:
        statement = statement.where(in_topic(wanted.topic))
    # Words are looked up and ranked once; without words an index has the newest at hand.
    once = "MATERIALIZED" if query.words and twice else "NOT MATERIALIZED"
    return statement.cte("matches").prefix_with(once)


def _hits(
    matches: CTE, order: Order, page: PageParams, ranked: bool, with_facets: bool
) -> Select[Any]:
    columns = [matches.c.id, *([matches.c.query, matches.c.rank] if ranked else [])]
    hits = one_page(select(*columns), order, page).subquery("hits")
    keys = [hits.c[f"_key{number}"] for number in range(len(order.columns))]
    directions = [key.desc() for key in keys]
    home = aliased(Post, name="home")
    shown = _shown(home, hits.c.query if ranked else None)
    rank = hits.c.rank if ranked else literal(0.0, Double)
    statement = (
        select(*shown, rank.label("rank"), *keys)
        .select_from(hits)
        .join(Post, col(Post.id) == hits.c.id)
        .join(User, col(User.id) == Post.author_id)
        .join(home, col(home.id) == func.coalesce(Post.parent_id, Post.id))
        .outerjoin(Resource, col(Resource.post_id) == Post.id)
        .outerjoin(Question, col(Question.post_id) == home.id)
        .order_by(*directions)
    )
    if with_facets:
        first = func.row_number().over(order_by=directions) == literal_column("1")
        facets = case((first, _facets(matches)), else_=null())
        statement = statement.add_columns(facets.label("facets"))
    return statement


def _shown(home: Any, query: ColumnElement[Any] | None) -> list[Any]:
    """The fields of SearchHit, but its rank."""
    is_accepted = case(
        (col(Post.kind) == "answer", col(Question.accepted_answer_id) == Post.id),
        else_=col(Question.accepted_answer_id).is_not(None),
    )
    return [
        col(Post.id),
        col(Post.kind),
        col(Resource.kind).label("resource_kind"),
        col(Post.parent_id).label("question_id"),
        col(home.title).label("title"),
        highlights.title_highlighted(col(home.title), query).label("title_highlighted"),
        highlights.highlighted(highlights.plain_text(), query, highlights.FRAGMENTS).label(
            "snippet"
        ),
        func.concat("/api/v1/", Post.kind, "s/", Post.id).label("href"),
        author_json().label("author"),
        topic_json(home).label("topic"),
        tag_names(home).label("tags"),
        col(Post.score),
        func.coalesce(is_accepted, False).label("accepted"),
        col(Post.created_at),
    ]


def _facets(matches: CTE) -> Any:
    """Facets (schemas.py) as a JSON object."""
    counted = (
        select(matches.c.id, matches.c.kind, matches.c.parent_id, matches.c.topic_id)
        .limit(MAX_COUNTED)
        .cte("counted")
    )
    question = aliased(Post, name="question")
    topic_id = func.coalesce(
        counted.c.topic_id,
        select(col(question.topic_id))
        .where(col(question.id) == counted.c.parent_id)
        .correlate(counted)
        .scalar_subquery(),
    )
    by_topic = select(topic_id.label("topic_id"), func.count().label("count")).group_by(topic_id)
    topics = by_topic.subquery("topics_counted")
    home_id = func.coalesce(counted.c.parent_id, counted.c.id)
    return (
        select(
            func.json_build_object(
                "kind",
                _top(select(counted.c.kind, func.count()).group_by(counted.c.kind)),
                "topic",
                _top(
                    select(col(Topic.slug), topics.c.count).join(
                        topics, topics.c.topic_id == Topic.id
                    )
                ),
                "tag",
                _top(
                    select(col(Tag.name), func.count())
                    .select_from(counted)
                    .join(PostTag, col(PostTag.post_id) == home_id)
                    .join(Tag, col(Tag.id) == PostTag.tag_id)
                    .group_by(col(Tag.name))
                ),
                "exact",
                select(func.count() < MAX_COUNTED).select_from(counted).scalar_subquery(),
            )
        )
    ).scalar_subquery()


def _top(counts: Select[*tuple[Any, ...]]) -> Any:
    """The most frequent of (value, count), as a JSON array of FacetValue."""
    rows = counts.subquery()
    value, number = rows.c
    top = (
        select(value.label("value"), number.label("count"))
        .order_by(number.desc(), value)
        .limit(TOP_VALUES)
        .subquery()
    )
    entry = func.json_build_object("value", top.c.value, "count", top.c.count)
    listed = func.json_agg(aggregate_order_by(entry, top.c.count.desc(), top.c.value))
    return select(func.coalesce(listed, literal_column("'[]'::json"))).scalar_subquery()

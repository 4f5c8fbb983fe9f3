"""The statements of search: one for a page of hits with its facets, one for a total.

First the matches with their rank, then one page of them, and only for that page the author, the
title, the tags and the highlighting. The facets come in the same row as the page, so that what
matches is found once.
"""

import functools
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    CTE,
    JSON,
    ColumnElement,
    Double,
    Integer,
    Select,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased
from sqlmodel import col

from backend_hub.http.cursors import Order, one_page
from backend_hub.http.ready import after_parameters, limit_parameter, size_parameter, together
from backend_hub.json_text import as_json
from backend_hub.posts.fulltext import matched_by, queries_in_use, rank_by
from backend_hub.posts.models import Post, PostTag
from backend_hub.posts.queries import author_json, tag_names, topic_json
from backend_hub.posts.visibility import STAND_INS, ReaderKind, visible
from backend_hub.questions.models import Question
from backend_hub.resources.models import Resource
from backend_hub.search import highlights
from backend_hub.search.conditions import Term, conditions_of
from backend_hub.search.schemas import MAX_COUNTED, TOP_VALUES
from backend_hub.statements import Prepared, prepare
from backend_hub.topics.models import Tag, Topic
from backend_hub.users.models import User

SearchSort = Literal["relevance", "newest", "top"]

KEYS: dict[str, list[Any]] = {
    "relevance": [column("rank", Double()), column("id", Uuid())],
    "newest": [column("id", Uuid())],
    "top": [column("score", Integer()), column("id", Uuid())],
}


@dataclass(frozen=True)
class Shape:
    """What two searches share that have the same statement.

    Its parameters: `words`, `limit`, `actor_id`, `after_0`, `after_1`, and those of its terms.
    """

    words: bool
    terms: tuple[Term, ...]
    sort: SearchSort
    signed_in: bool
    continued: bool
    default_limit: bool
    facets: bool


@functools.lru_cache(maxsize=256)
def page_statement(shape: Shape) -> Prepared:
    return prepare(_page(_matches(shape), shape))


@functools.lru_cache(maxsize=256)
def total_statement(shape: Shape) -> Prepared:
    return prepare(select(func.count().label("total")).select_from(_matches(shape)))


def _matches(shape: Shape) -> CTE:
    """Every match, with what it is ordered and counted by."""
    names = ("id", "kind", "parent_id", "topic_id", "score")
    columns: list[Any] = [col(getattr(Post, name)).label(name) for name in names]
    statement = select(*columns)
    if shape.words:
        queries = queries_in_use(bindparam("words", type_=Text()))
        statement = (
            statement.add_columns(queries.c.query, rank_by(queries.c.query).label("rank"))
            .select_from(queries)
            .join(Post, matched_by(queries))
        )
    viewer: ReaderKind = "member" if shape.signed_in else "visitor"
    statement = statement.where(visible(STAND_INS[viewer]), *conditions_of(shape.terms))
    found = statement.cte("matches")
    if not shape.words:  # an index has the newest at hand
        return found.prefix_with("NOT MATERIALIZED")
    if shape.sort == "relevance" and not shape.continued:  # each rank is computed once anyway
        return found
    # Else an index with the order of the page would be walked until enough of it match.
    return found.prefix_with("MATERIALIZED")


def _page(matches: CTE, shape: Shape) -> Select[Any]:
    """One row: the JSON of a page's hits, and that of the facets."""
    hits = _hits(matches, shape)
    more = select(func.count() > size_parameter(shape.default_limit)).select_from(hits)
    listed = as_json(_listed(hits, shape)).subquery("listed")
    statement = together(listed, shape.default_limit, more.scalar_subquery())
    return statement.add_columns(_facets(matches).label("facets")) if shape.facets else statement


def _hits(matches: CTE, shape: Shape) -> CTE:
    """A page of matches and one more: their keys, and what else is needed of them."""
    keys = [key.name for key in KEYS[shape.sort]]
    # A rank that is selected twice is computed twice.
    others = [name for name in ("query", "rank") if shape.words and name not in keys]
    order = Order(shape.sort, [matches.c[key] for key in keys])
    after = after_parameters(order) if shape.continued else None
    statement = select(*(matches.c[name] for name in others))
    return one_page(statement, order, limit_parameter(shape.default_limit), after).cte("hits")


def _listed(hits: CTE, shape: Shape) -> Select[Any]:
    """The fields of SearchHit for the hits of the page, and their keys."""
    names = [f"_key{number}" for number in range(len(KEYS[shape.sort]))]
    best = select(hits).order_by(*(hits.c[name].desc() for name in names))
    shown = best.limit(size_parameter(shape.default_limit)).subquery("shown")
    keys = [shown.c[name] for name in names]
    rank: Any = shown.c.get("rank", keys[0])
    if not shape.words:
        rank = cast(literal_column("0"), Double)
    home = aliased(Post, name="home")
    return (
        select(*_shown(home, shown.c.get("query")), rank.label("rank"), *keys)
        .select_from(shown)
        .join(Post, col(Post.id) == keys[-1])
        .join(User, col(User.id) == Post.author_id)
        .join(home, col(home.id) == func.coalesce(Post.parent_id, Post.id))
        .outerjoin(Resource, col(Resource.post_id) == Post.id)
        .outerjoin(Question, col(Question.post_id) == home.id)
        .order_by(*(key.desc() for key in keys))
    )


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
        highlights.snippet(query).label("snippet"),
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
    topics = _by(counted.c.topic_id, counted).subquery("topics_counted")
    home_id = func.coalesce(counted.c.parent_id, counted.c.id)
    # The OFFSET keeps PostgreSQL from reading the tags of all posts, for it expects more matches.
    of_post = select(col(PostTag.tag_id)).where(col(PostTag.post_id) == home_id).offset(0).lateral()
    tags = _by(of_post.c.tag_id, counted.join(of_post, true())).subquery("tags_counted")
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
                _top(select(col(Tag.name), tags.c.count).join(tags, tags.c.tag_id == Tag.id)),
                "exact",
                select(func.count() < MAX_COUNTED).select_from(counted).scalar_subquery(),
                type_=JSON,
            )
        )
    ).scalar_subquery()


def _by(column: Any, rows: Any) -> Select[Any]:
    """How many rows have each value."""
    return select(column, func.count().label("count")).select_from(rows).group_by(column)


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

"""What each qualifier of a search asks of a post."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, not_, or_
from sqlalchemy.orm import aliased
from sqlmodel import col

from backend_hub.posts.models import Post, PostKind
from backend_hub.posts.queries import tagged, written_by
from backend_hub.questions.models import Question
from backend_hub.resources.models import Resource
from backend_hub.search.query_language import Interval, Qualifier, SearchKind, State
from backend_hub.topics.service import subtree

HOME_ID: ColumnElement[Any] = func.coalesce(Post.parent_id, Post.id)
"""The post whose title, topic and tags count: an answer's question, else the post itself."""

# A post has one of each of these, so that naming two means either.
ALTERNATIVES = frozenset({"kind", "author", "topic", "level", "lang"})


def of_kind(kind: str) -> ColumnElement[bool]:
    if kind in {SearchKind.resource, SearchKind.question, SearchKind.answer}:
        return col(Post.kind) == kind
    return exists().where(col(Resource.post_id) == Post.id, col(Resource.kind) == kind)


def in_topic(slug: str) -> ColumnElement[bool]:
    """In the topic or below it."""
    home = aliased(Post)
    return exists().where(col(home.id) == HOME_ID, col(home.topic_id).in_(subtree(slug)))


def has_tag(name: str) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = tagged(name, HOME_ID)
    return condition


def of_level(level: str) -> ColumnElement[bool]:
    return exists().where(col(Resource.post_id) == Post.id, col(Resource.level) == level)


def in_language(tag: str) -> ColumnElement[bool]:
    """`pt` finds `pt-BR` too."""
    language = func.lower(Post.language)
    return or_(language == tag, language.startswith(f"{tag}-", autoescape=True))


def in_state(state: str) -> ColumnElement[bool]:
    """Of questions; accepted are also the answers that were."""
    if state == State.accepted:
        return or_(
            exists().where(col(Question.accepted_answer_id) == Post.id),
            _question(col(Question.accepted_answer_id).is_not(None)),
        )
    return {
        State.answered: _question(col(Question.answer_count) > 0),
        State.unanswered: _question(col(Question.answer_count) == 0),
        State.closed: _question(col(Question.closed_at).is_not(None)),
        State.open: _question(col(Question.closed_at).is_(None)),
    }[State(state)]


def _question(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(col(Question.post_id) == Post.id, condition)


def _within(column: Any) -> Callable[[Interval], ColumnElement[bool]]:
    def condition(interval: Interval) -> ColumnElement[bool]:
        bounds = []
        if interval.low is not None:
            bounds.append(column >= interval.low)
        if interval.high is not None:
            bounds.append(column < interval.high)
        return and_(*bounds)

    return condition


CONDITIONS: dict[str, Callable[[Any], ColumnElement[bool]]] = {
    "kind": of_kind,
    "tag": has_tag,
    "author": written_by,
    "topic": in_topic,
    "level": of_level,
    "lang": in_language,
    "is": in_state,
    "score": _within(col(Post.score)),
    "created": _within(col(Post.created_at)),
}


def conditions_of(qualifiers: Iterable[Qualifier]) -> list[ColumnElement[bool]]:
    """All must hold; of two kinds, authors, topics, levels or languages one of them."""
    wanted: list[ColumnElement[bool]] = [col(Post.kind) != PostKind.contribution]
    either: defaultdict[str, list[ColumnElement[bool]]] = defaultdict(list)
    for qualifier in qualifiers:
        condition = CONDITIONS[qualifier.name](qualifier.value)
        if qualifier.negated:
            wanted.append(not_(condition))
        elif qualifier.name in ALTERNATIVES:
            either[qualifier.name].append(condition)
        else:
            wanted.append(condition)
    return wanted + [or_(*choices) for choices in either.values()]

"""What each qualifier of a search asks of a post."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    Text,
    and_,
    bindparam,
    exists,
    func,
    not_,
    or_,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from backend_hub.db import UTCDateTime
from backend_hub.posts.models import Post, PostKind
from backend_hub.posts.queries import tagged, written_by
from backend_hub.questions.models import Question
from backend_hub.resources.models import Resource
from backend_hub.search.query_language import Interval, Qualifier, SearchKind, State
from backend_hub.topics.service import subtree

HOME_ID: ColumnElement[Any] = func.coalesce(Post.parent_id, Post.id)
"""The post whose title, topic and tags count: an answer's question, else the post itself."""

# A post has one of each of these: naming two means either.
ALTERNATIVES = frozenset({"kind", "author", "topic", "level", "lang"})


def of_kind(kind: str) -> ColumnElement[bool]:
    if kind in {SearchKind.resource, SearchKind.question, SearchKind.answer}:
        return col(Post.kind) == kind
    return exists().where(col(Resource.post_id) == Post.id, col(Resource.kind) == kind)


def in_topic(slug: Any) -> ColumnElement[bool]:
    """In the topic or below it."""
    home = aliased(Post)
    return exists().where(col(home.id) == HOME_ID, col(home.topic_id).in_(subtree(slug)))


def has_tag(name: Any) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = tagged(name, HOME_ID)
    return condition


def of_level(level: Any) -> ColumnElement[bool]:
    return exists().where(col(Resource.post_id) == Post.id, col(Resource.level) == level)


def in_language(tag: Any) -> ColumnElement[bool]:
    """`pt` finds `pt-BR` too."""
    language = func.concat(func.lower(Post.language), "-")
    return func.starts_with(language, func.concat(tag, "-"), type_=Boolean)


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


@dataclass(frozen=True)
class Term:
    """A qualifier without its value, which comes as a parameter; the few kinds and states stay.

    `group` is that of the alternatives it belongs to, None when it must hold by itself.
    """

    name: str
    negated: bool
    group: str | None
    fixed: str | None
    bounds: tuple[bool, bool] | None

    def condition(self, number: int) -> ColumnElement[bool]:
        """What it asks, with parameters `value_<number>`, or `low_` and `high_`."""
        value: Any = self.fixed
        if self.bounds is not None:
            kind = TYPES[self.name]
            names = (f"low_{number}", f"high_{number}")
            value = Interval(
                *(
                    bindparam(name, type_=kind) if bounded else None
                    for name, bounded in zip(names, self.bounds, strict=True)
                )
            )
        elif value is None:
            value = bindparam(f"value_{number}", type_=Text())
        condition = CONDITIONS[self.name](value)
        return not_(condition) if self.negated else condition


TYPES: dict[str, Any] = {"score": Integer(), "created": UTCDateTime}


def terms_of(
    qualifiers: Iterable[Qualifier], required: Iterable[Qualifier]
) -> tuple[tuple[Term, ...], dict[str, Any]]:
    """The terms of a search, and their values as parameters.

    Of two kinds, authors, topics, levels or languages one is enough, but for `required` ones.
    """
    terms: list[Term] = []
    values: dict[str, Any] = {}
    for alternative, group in ((True, qualifiers), (False, required)):
        for qualifier in group:
            name, value, negated = qualifier.name, qualifier.value, qualifier.negated
            either = name if alternative and not negated and name in ALTERNATIVES else None
            fixed, bounds, number = None, None, len(terms)
            if isinstance(value, Interval):
                bounds = (value.low is not None, value.high is not None)
                values |= {f"low_{number}": value.low, f"high_{number}": value.high}
            elif name in {"kind", "is"}:
                fixed = str(value)
            else:
                values[f"value_{number}"] = value
            terms.append(Term(name, negated, either, fixed, bounds))
    return tuple(terms), values


def conditions_of(terms: Iterable[Term]) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [col(Post.kind) != PostKind.contribution]
    either: defaultdict[str, list[ColumnElement[bool]]] = defaultdict(list)
    for number, term in enumerate(terms):
        condition = term.condition(number)
        (wanted if term.group is None else either[term.group]).append(condition)
    return wanted + [or_(*choices) for choices in either.values()]

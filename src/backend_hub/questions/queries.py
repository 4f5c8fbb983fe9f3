"""Reading questions and answers: each list and each detail is one statement.

To build such a statement takes SQLAlchemy longer than PostgreSQL takes to run it, so what does
not depend on the request is built once, and kept for the visitor and the latest readers.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Uuid,
    bindparam,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.errors import NotFound, Unprocessable
from backend_hub.http.cursors import Order, Page, PageParams, read_page
from backend_hub.posts.fulltext import matches, rank
from backend_hub.posts.models import Comment, Post, PostKind
from backend_hub.posts.queries import (
    ACTIVE,
    NEWEST,
    TOP,
    author_json,
    from_comments,
    from_posts,
    one,
    post_columns,
    tagged,
    text_columns,
    titled_columns,
    written_by,
)
from backend_hub.posts.visibility import reachable, visible
from backend_hub.questions.models import Question
from backend_hub.questions.schemas import (
    MAX_ANSWERS,
    MAX_COMMENTS,
    AnswerRead,
    QuestionRead,
    QuestionSummary,
)
from backend_hub.topics.service import subtree
from backend_hub.users.models import User

QuestionSort = Literal["newest", "active", "top", "relevance"]
QuestionState = Literal["unanswered", "unaccepted", "open", "closed"]
AnswerSort = Literal["top", "newest", "oldest"]

ORDERS: dict[str, Order] = {"newest": NEWEST, "active": ACTIVE, "top": TOP}
STATES: dict[str, Any] = {
    "unanswered": col(Question.answer_count) == 0,
    "unaccepted": col(Question.accepted_answer_id).is_(None),
    "open": col(Question.closed_at).is_(None),
    "closed": col(Question.closed_at).is_not(None),
}
ACCEPTED = col(Post.id).is_not_distinct_from(Question.accepted_answer_id)
ANSWER_ORDERS: dict[str, Order] = {
    "top": Order("top", [case((ACCEPTED, 1), else_=0), col(Post.score), col(Post.id)]),
    "newest": NEWEST,
    "oldest": Order("oldest", [col(Post.id)], descending=False),
}
QUESTION_ID = bindparam("question_id", type_=Uuid())
READERS = 64
"""How many readers' statements are kept."""
EMPTY_ARRAY: ColumnElement[Any] = literal_column("'[]'::json")


@dataclass(frozen=True)
class QuestionFilters:
    topic: str | None = None
    tag: str | None = None
    author: str | None = None
    language: str | None = None
    state: QuestionState | None = None
    q: str | None = None

    def conditions(self) -> list[Any]:
        """One condition for each filter that is set."""
        wanted: list[Any] = []
        if self.topic is not None:
            wanted.append(col(Post.topic_id).in_(subtree(self.topic)))
        if self.tag is not None:
            wanted.append(tagged(self.tag))
        if self.author is not None:
            wanted.append(written_by(self.author))
        if self.language is not None:
            wanted.append(col(Post.language) == self.language)
        if self.state is not None:
            wanted.append(STATES[self.state])
        if self.q is not None:
            wanted.append(matches(self.q))
        return wanted


def order_for(sort: QuestionSort, q: str | None) -> Order:
    """The order of a sort; relevance needs something to be relevant to."""
    if sort != "relevance":
        return ORDERS[sort]
    if q is None:
        raise Unprocessable("Sorting by relevance needs q", loc=("query", "sort"))
    return Order("relevance", [rank(q), col(Post.id)])


def summary_columns() -> list[Any]:
    """What QuestionSummary shows."""
    names = ("answer_count", "accepted_answer_id", "closed_at", "close_reason")
    return [*titled_columns(), *(col(getattr(Question, name)) for name in names)]


def from_questions(columns: list[Any]) -> Select[Any]:
    """A statement over questions joined with their posts and authors."""
    return from_posts(columns).join(Question, col(Question.post_id) == Post.id)


@cache
def question_summaries() -> Select[Any]:
    """A statement over questions, with what QuestionSummary shows."""
    return from_questions(summary_columns())


@lru_cache(READERS)
def from_answers(actor: Actor | None) -> Select[Any]:
    """A statement over answers, with what AnswerRead shows."""
    columns = [
        *post_columns(),
        *text_columns(actor),
        col(Post.parent_id).label("question_id"),
        ACCEPTED.label("accepted"),
        comments_json().label("comments"),
    ]
    return from_posts(columns).join(Question, col(Question.post_id) == Post.parent_id)


def comments_json() -> Any:
    """The post's first comments, as a JSON array."""
    first = (
        from_comments()
        .where(col(Comment.post_id) == Post.id)
        .correlate(Post)
        .order_by(col(Comment.id))
        .limit(MAX_COMMENTS)
        .subquery("first_comments")
    )
    rows = func.json_agg(aggregate_order_by(first.table_valued(), first.c.id))
    return select(func.coalesce(rows, EMPTY_ARRAY)).select_from(first).scalar_subquery()


def answers_json(actor: Actor | None) -> Any:
    """The best answers to QUESTION_ID, as a JSON array."""
    order = [column.desc() for column in ANSWER_ORDERS["top"].columns]
    best = (
        from_answers(actor)
        .where(col(Post.parent_id) == QUESTION_ID, visible(actor))
        .order_by(*order)
        .limit(MAX_ANSWERS)
        .subquery("best_answers")
    )
    best_first = (best.c.accepted.desc(), best.c.score.desc(), best.c.id.desc())
    rows = func.json_agg(aggregate_order_by(best.table_valued(), *best_first))
    return select(func.coalesce(rows, EMPTY_ARRAY)).select_from(best).scalar_subquery()


def _closed_by_json() -> Any:
    closer = aliased(User)
    return (
        select(author_json(closer))
        .where(col(closer.id) == Question.closed_by_id)
        .correlate(Question)
        .scalar_subquery()
    )


def _duplicate_of_json() -> Any:
    """The question that was asked before, while everybody sees it."""
    first = aliased(Post)
    return (
        select(func.json_build_object("id", first.id, "title", first.title))
        .where(col(first.id) == Question.duplicate_of_id, col(first.deleted_at).is_(None))
        .correlate(Question)
        .scalar_subquery()
    )


async def list_questions(
    session: AsyncSession,
    actor: Actor | None,
    filters: QuestionFilters,
    sort: QuestionSort,
    page: PageParams,
) -> Page[QuestionSummary]:
    statement = question_summaries().where(
        col(Post.kind) == PostKind.question, visible(actor), *filters.conditions()
    )
    return await read_page(session, statement, order_for(sort, filters.q), page, QuestionSummary)


@lru_cache(READERS)
def _whole_question(actor: Actor | None) -> Select[Any]:
    """The statement of the question QUESTION_ID, with what QuestionRead shows."""
    columns = [
        *summary_columns(),
        *text_columns(actor),
        _closed_by_json().label("closed_by"),
        _duplicate_of_json().label("duplicate_of"),
        comments_json().label("comments"),
        answers_json(actor).label("answers"),
    ]
    return from_questions(columns).where(col(Post.id) == QUESTION_ID, reachable(actor))


async def read_question(session: AsyncSession, actor: Actor | None, post_id: UUID) -> QuestionRead:
    """The whole question with answers and comments; raises NotFound."""
    row = await one(session, _whole_question(actor), question_id=post_id)
    if row is None:
        raise NotFound("There is no such question")
    return QuestionRead.model_validate(dict(row))


async def list_answers(
    session: AsyncSession,
    actor: Actor | None,
    question_id: UUID,
    sort: AnswerSort,
    page: PageParams,
) -> Page[AnswerRead]:
    """The answers to a question that the caller found visible."""
    statement = from_answers(actor).where(col(Post.parent_id) == question_id, visible(actor))
    return await read_page(session, statement, ANSWER_ORDERS[sort], page, AnswerRead)


async def read_answer(session: AsyncSession, actor: Actor | None, post_id: UUID) -> AnswerRead:
    """One answer; raises NotFound."""
    row = await one(session, from_answers(actor).where(col(Post.id) == post_id, reachable(actor)))
    if row is None:
        raise NotFound("There is no such answer")
    return AnswerRead.model_validate(dict(row))

"""Reading questions and answers: each list and each detail is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import (
    Select,
    Uuid,
    bindparam,
    case,
    literal_column,
    null,
    select,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.errors import NotFound, Unprocessable
from backend_hub.http.cursors import Order, Page, PageParams, read_page
from backend_hub.http.ready import Listing, Ready
from backend_hub.json_text import JsonText, as_json, json_array, json_object
from backend_hub.posts.models import Comment, Post
from backend_hub.posts.queries import (
    NEWEST,
    ORDERS,
    POST_CONDITIONS,
    author_json,
    from_comments,
    from_posts,
    one,
    post_columns,
    set_filters,
    text_columns,
    titled_columns,
)
from backend_hub.posts.visibility import STAND_INS, ReaderKind, reachable, reader_kind, visible
from backend_hub.questions.models import Question
from backend_hub.questions.schemas import (
    MAX_ANSWERS,
    MAX_COMMENTS,
    AnswerRead,
    QuestionRead,
    QuestionSummary,
)
from backend_hub.statements import (
    Prepared,
    Reader,
    Row,
    prepare,
    text_parameter,
)
from backend_hub.users.models import User

QuestionSort = Literal["newest", "active", "top", "relevance"]
QuestionState = Literal["unanswered", "unaccepted", "open", "closed"]
AnswerSort = Literal["top", "newest", "oldest"]

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
KEPT = 256
"""Shapes whose statements are kept."""
EMPTY_ARRAY: Any = literal_column("'[]'", JsonText())
QUESTION = TypeAdapter(QuestionRead)
QUESTION_PAGE = TypeAdapter(Page[QuestionSummary])


@dataclass(frozen=True)
class QuestionFilters:
    topic: str | None = None
    tag: str | None = None
    author: str | None = None
    language: str | None = None
    state: QuestionState | None = None
    q: str | None = None


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
    statement = (
        from_comments()
        .where(col(Comment.post_id) == Post.id)
        .correlate(Post)
        .order_by(col(Comment.id))
        .limit(MAX_COMMENTS)
    )
    return json_array(statement)


def answers_json(actor: Actor | None) -> Any:
    """The best answers to QUESTION_ID, as a JSON array."""
    order = [column.desc() for column in ANSWER_ORDERS["top"].columns]
    statement = (
        from_answers(actor)
        .where(col(Post.parent_id) == QUESTION_ID, visible(actor))
        .order_by(*order)
        .limit(MAX_ANSWERS)
    )
    return json_array(statement)


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
        select(json_object((first.id, first.title)))
        .where(col(first.id) == Question.duplicate_of_id, col(first.deleted_at).is_(None))
        .correlate(Question)
        .scalar_subquery()
    )


@lru_cache(KEPT)
def _listing(
    filters: frozenset[str], state: QuestionState | None, sort: QuestionSort, reader: ReaderKind
) -> Listing[Page[QuestionSummary]]:
    wanted = [POST_CONDITIONS[name](text_parameter(name)) for name in filters - {"state"}]
    if state is not None:
        wanted.append(STATES[state])
    statement = question_summaries().where(
        col(Post.kind) == literal_column("'question'"), visible(STAND_INS[reader]), *wanted
    )
    return Listing(statement, ORDERS[sort], QUESTION_PAGE)


async def list_questions(
    reader: Reader,
    actor: Actor | None,
    filters: QuestionFilters,
    sort: QuestionSort,
    page: PageParams,
) -> Ready[Page[QuestionSummary]]:
    """Raises Unprocessable for a sort by relevance to nothing."""
    if sort == "relevance" and filters.q is None:
        raise Unprocessable("Sorting by relevance needs q", loc=("query", "sort"))
    listing = _listing(set_filters(filters), filters.state, sort, reader_kind(actor))
    return await listing.read(reader, {**vars(filters), "actor_id": actor and actor.id}, page)


@cache
def whole_question(reader: ReaderKind, *, new: bool = False) -> Any:
    """The statement of the question QUESTION_ID, with what QuestionRead shows.

    PostgreSQL need not look for what a new one has none of.
    """
    actor = STAND_INS[reader]
    columns = [
        *summary_columns(),
        *text_columns(actor),
        (null() if new else _closed_by_json()).label("closed_by"),
        (null() if new else _duplicate_of_json()).label("duplicate_of"),
        (EMPTY_ARRAY if new else comments_json()).label("comments"),
        (EMPTY_ARRAY if new else answers_json(actor)).label("answers"),
        col(Post.version).label("_version"),
    ]
    statement = from_questions(columns).where(col(Post.id) == QUESTION_ID, reachable(actor))
    return as_json(statement)


@cache
def _read_question(reader: ReaderKind) -> Prepared:
    return prepare(whole_question(reader))


async def read_question(reader: Reader, actor: Actor | None, post_id: UUID) -> Ready[QuestionRead]:
    """The whole question with answers and comments; raises NotFound."""
    statement = _read_question(reader_kind(actor))
    values = {"question_id": post_id, "actor_id": actor and actor.id}
    return ready_question(await reader.fetch(statement, values))


def ready_question(rows: Sequence[Row]) -> Ready[QuestionRead]:
    """What `whole_question` found; raises NotFound."""
    if not rows:
        raise NotFound("There is no such question")
    return Ready(rows[0]["json"].encode(), QUESTION, rows[0]["_version"])


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

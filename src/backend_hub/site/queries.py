"""What the pages read beside the API's own queries; like a visitor, for pages know nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, func, select
from sqlmodel import col

from backend_hub.contributions.models import Contribution, ContributionState
from backend_hub.db import AsyncSession
from backend_hub.errors import NotFound
from backend_hub.http.cursors import MAX_LIMIT, PageParams
from backend_hub.posts.models import Post, PostKind
from backend_hub.posts.queries import from_posts, one, post_columns, text_columns, titled_columns
from backend_hub.posts.visibility import visible
from backend_hub.questions.models import Question
from backend_hub.resources.models import Resource, ResourceKind
from backend_hub.topics.queries import list_topics
from backend_hub.topics.schemas import TopicRead
from backend_hub.topics.service import subtree
from backend_hub.users.models import User

QUESTION = [
    col(Question.answer_count),
    col(Question.accepted_answer_id),
    col(Question.close_reason),
]


@dataclass(frozen=True)
class Counts:
    """How much there is, of what everyone may see."""

    links: int
    code_samples: int
    projects: int
    questions: int
    answers: int
    merged: int
    members: int


async def count_all(session: AsyncSession) -> Counts:
    """Everything that the landing page counts, in one statement."""

    def those(condition: Any) -> Any:
        return func.count().filter(condition)

    members = select(func.count()).select_from(User).where(col(User.disabled_at).is_(None))
    statement = (
        select(
            those(col(Resource.kind) == ResourceKind.link).label("links"),
            those(col(Resource.kind) == ResourceKind.code_sample).label("code_samples"),
            those(col(Resource.kind) == ResourceKind.project).label("projects"),
            those(col(Post.kind) == PostKind.question).label("questions"),
            those(col(Post.kind) == PostKind.answer).label("answers"),
            those(col(Contribution.state) == ContributionState.merged).label("merged"),
            members.scalar_subquery().label("members"),
        )
        .select_from(Post)
        .outerjoin(Resource, col(Resource.post_id) == Post.id)
        .outerjoin(Contribution, col(Contribution.post_id) == Post.id)
        .where(visible(None))
    )
    return Counts(**(await session.execute(statement)).mappings().one())


async def list_top_topics(session: AsyncSession) -> list[tuple[TopicRead, list[TopicRead]]]:
    """The top topics with their sub-topics, in the order of the tree."""
    page = await list_topics(session, None, 1, PageParams(MAX_LIMIT))
    below: dict[str, list[TopicRead]] = {t.slug: [] for t in page.items if t.depth == 0}
    for topic in page.items:
        if topic.parent is not None:
            below[topic.parent].append(topic)
    return [(topic, below[topic.slug]) for topic in page.items if topic.depth == 0]


async def list_new_questions(
    session: AsyncSession, limit: int, topic: str | None = None
) -> Sequence[RowMapping]:
    """The newest questions, with a topic those in it and below it."""
    statement = (
        from_posts([*titled_columns(), *QUESTION])
        .join(Question, col(Question.post_id) == Post.id)
        .where(col(Post.kind) == PostKind.question, visible(None))
    )
    if topic is not None:
        statement = statement.where(col(Post.topic_id).in_(subtree(topic)))
    return await _all(session, statement.order_by(col(Post.id).desc()).limit(limit))


async def read_question(session: AsyncSession, post_id: UUID) -> RowMapping:
    """A question as its page shows it; raises NotFound."""
    statement = (
        from_posts([*titled_columns(), *text_columns(None), *QUESTION])
        .join(Question, col(Question.post_id) == Post.id)
        .where(col(Post.id) == post_id, visible(None))
    )
    row = await one(session, statement)
    if row is None:
        raise NotFound("There is no such question")
    return row


async def list_best_answers(session: AsyncSession, question: RowMapping) -> Sequence[RowMapping]:
    """The accepted answer, then those with the highest scores; at most a hundred."""
    statement = (
        from_posts([*post_columns(), col(Post.body_html)])
        .where(
            col(Post.parent_id) == question["id"],
            col(Post.kind) == PostKind.answer,
            visible(None),
        )
        .order_by(
            (col(Post.id) == question["accepted_answer_id"]).desc().nulls_last(),
            col(Post.score).desc(),
            col(Post.id),
        )
        .limit(MAX_LIMIT)
    )
    return await _all(session, statement)


async def _all(session: AsyncSession, statement: Select[Any]) -> Sequence[RowMapping]:
    rows: Sequence[RowMapping] = (await session.execute(statement)).mappings().all()
    return rows

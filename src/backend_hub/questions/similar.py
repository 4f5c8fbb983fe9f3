"""Questions like a title, and resources that may help with a question."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Subquery, case, false, func, select, union
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.posts.fulltext import any_of, matched_by, post_query, queries_in_use, similarity
from backend_hub.posts.models import Post, PostKind, PostTag
from backend_hub.posts.queries import from_posts, post_ref_columns
from backend_hub.posts.visibility import visible
from backend_hub.questions.queries import question_summaries
from backend_hub.questions.schemas import QuestionSummary, RelatedResources, SimilarQuestions
from backend_hub.questions.service import get_visible_question

CANDIDATES = 50
"""How many resources each of tags, words and topic may put forward."""
SAME_TAG = 0.3
SAME_TOPIC = 0.2
"""What a shared tag and the same topic are worth beside the words, which score 0 to 1."""


async def similar_questions(
    session: AsyncSession, actor: Actor | None, title: str, limit: int
) -> SimilarQuestions:
    """Questions that share words with a title."""
    best = _matching(actor, PostKind.question, any_of(title), limit)
    statement = (
        question_summaries()
        .join(best, best.c.id == Post.id)
        .order_by(best.c.similarity.desc(), best.c.id.desc())
    )
    rows = (await session.execute(statement)).mappings()
    return SimilarQuestions(items=[QuestionSummary.model_validate(dict(row)) for row in rows])


def _matching(actor: Actor | None, kind: PostKind, words: str, limit: int) -> Subquery:
    """The best matches and how similar they are.

    Materialised: else PostgreSQL may score every post of the kind before it asks which match.
    """
    queries = queries_in_use(words)
    matched = (
        select(col(Post.id), similarity(queries.c.query).label("similarity"))
        .select_from(queries)
        .join(Post, matched_by(queries))
        .where(col(Post.kind) == kind, visible(actor))
        .cte(f"matched_{kind}")
        .prefix_with("MATERIALIZED")
    )
    best = select(matched).order_by(matched.c.similarity.desc(), matched.c.id.desc())
    return best.limit(limit).subquery("best")


async def list_related_resources(
    session: AsyncSession, actor: Actor | None, question_id: UUID, limit: int
) -> RelatedResources:
    """Resources by shared tags, words of the title and the same topic; raises NotFound."""
    question = await get_visible_question(session, actor, question_id)
    words = any_of(question.title)
    shared = _shared_tags(question_id)
    score = (
        shared * SAME_TAG
        + case((_same_topic(question), SAME_TOPIC), else_=0.0)
        + similarity(post_query(words))
    )
    statement = (
        from_posts(post_ref_columns())
        .where(col(Post.id).in_(_candidates(actor, question, words)))
        .order_by(score.desc(), col(Post.id).desc())
        .limit(limit)
    )
    rows = (await session.execute(statement)).mappings()
    return RelatedResources.model_validate({"items": [dict(row) for row in rows]})


def _tags_of(post_id: UUID) -> Select[Any]:
    return select(col(PostTag.tag_id)).where(col(PostTag.post_id) == post_id)


def _same_topic(question: Post) -> ColumnElement[bool]:
    return col(Post.topic_id) == question.topic_id if question.topic_id else false()


def _shared_tags(question_id: UUID) -> Any:
    return (
        select(func.count())
        .where(col(PostTag.post_id) == Post.id, col(PostTag.tag_id).in_(_tags_of(question_id)))
        .correlate(Post)
        .scalar_subquery()
    )


def _candidates(actor: Actor | None, question: Post, words: str) -> Any:
    """The best resources by each of the three signs, so that only a few are scored by all."""
    resources = (
        select(col(Post.id))
        .where(col(Post.kind) == PostKind.resource, visible(actor))
        .limit(CANDIDATES)
    )
    by_tags = (
        resources.join(PostTag, col(PostTag.post_id) == Post.id)
        .where(col(PostTag.tag_id).in_(_tags_of(question.id)))
        .group_by(col(Post.id))
        .order_by(func.count().desc(), col(Post.id).desc())
    )
    by_words = select(_matching(actor, PostKind.resource, words, CANDIDATES).c.id)
    by_topic = resources.where(_same_topic(question)).order_by(col(Post.score).desc())
    return union(*(select(part.subquery()) for part in (by_tags, by_topic)), by_words)

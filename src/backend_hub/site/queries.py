"""What the pages read beside the API's own queries; like a visitor, for pages know nobody."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from backend_hub.contributions.models import Contribution, ContributionState
from backend_hub.db import AsyncSession
from backend_hub.http.cursors import MAX_LIMIT, PageParams
from backend_hub.posts.models import Post, PostKind
from backend_hub.posts.visibility import visible
from backend_hub.resources.models import Resource, ResourceKind
from backend_hub.topics.queries import list_topics
from backend_hub.topics.schemas import TopicRead
from backend_hub.users.models import User


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

"""Reading contributions and reviews: each list and each detail is one statement."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.contributions.models import Contribution, ContributionState, Review
from backend_hub.contributions.schemas import (
    MAX_REVIEWS,
    ContributionDiff,
    ContributionRead,
    ContributionSummary,
    ReviewRead,
)
from backend_hub.db import AsyncSession
from backend_hub.errors import NotFound
from backend_hub.http.cursors import Order, Page, PageParams, read_page
from backend_hub.json_text import json_array
from backend_hub.posts.diffs import diff
from backend_hub.posts.models import Post, Revision
from backend_hub.posts.queries import (
    ACTIVE,
    NEWEST,
    author_json,
    from_posts,
    one,
    post_columns,
    text_columns,
    topic_json,
    written_by,
)
from backend_hub.posts.visibility import visible
from backend_hub.topics.service import maintained_by, subtree
from backend_hub.users.models import Role, User

ContributionSort = Literal["newest", "active", "oldest"]
OLDEST = Order("oldest", [col(Post.id)], descending=False)
ORDERS: dict[ContributionSort, Order] = {"newest": NEWEST, "active": ACTIVE, "oldest": OLDEST}
MISSING = "There is no such contribution"


@dataclass(frozen=True)
class ContributionFilters:
    state: ContributionState | None = None
    resource_id: UUID | None = None
    author: str | None = None
    topic: str | None = None
    reviewer: Actor | None = None
    """Only what waits for a review that this person may give."""

    def conditions(self) -> list[Any]:
        """One condition for each filter that is set."""
        wanted: list[Any] = []
        if self.state is not None:
            wanted.append(col(Contribution.state) == self.state)
        if self.resource_id is not None:
            wanted.append(col(Contribution.resource_id) == self.resource_id)
        if self.author is not None:
            wanted.append(written_by(self.author))
        if self.topic is not None:
            wanted.append(col(Post.topic_id).in_(subtree(self.topic)))
        if self.reviewer is not None:
            wanted.append(_awaits(self.reviewer))
        return wanted


def _awaits(actor: Actor) -> Any:
    """Submitted by somebody else, where the actor reviews: `reviews.require_reviewer` in SQL."""
    waiting = and_(
        col(Contribution.state) == ContributionState.submitted, col(Post.author_id) != actor.id
    )
    if actor.is_at_least(Role.reviewer):
        return waiting
    topics = maintained_by(actor.id)
    target = aliased(Post)
    target_topic = select(col(target.topic_id)).where(col(target.id) == Contribution.resource_id)
    return and_(
        waiting,
        col(Post.topic_id).in_(topics),
        or_(
            col(Contribution.resource_id).is_(None),
            target_topic.correlate(Contribution).scalar_subquery().in_(topics),
        ),
    )


def _columns() -> list[Any]:
    """What ContributionSummary shows."""
    names = ("state", "resource_id", "base_revision", "submitted_at", "decided_at", "merged_at")
    proposal: Any = col(Contribution.proposal)
    return [
        *post_columns(),
        col(Post.title),
        topic_json().label("topic"),
        proposal["kind"].astext.label("kind"),
        *(col(getattr(Contribution, name)) for name in names),
    ]


def _from_contributions(actor: Actor | None, columns: list[Any]) -> Select[Any]:
    return (
        from_posts(columns)
        .join(Contribution, col(Contribution.post_id) == Post.id)
        .where(visible(actor))
    )


async def list_contributions(
    session: AsyncSession,
    actor: Actor | None,
    filters: ContributionFilters,
    sort: ContributionSort,
    page: PageParams,
) -> Page[ContributionSummary]:
    statement = _from_contributions(actor, _columns()).where(*filters.conditions())
    return await read_page(session, statement, ORDERS[sort], page, ContributionSummary)


async def read_contribution(
    session: AsyncSession, actor: Actor | None, contribution_id: UUID
) -> ContributionRead:
    """The whole contribution with its reviews; raises NotFound."""
    merger = aliased(User)
    merged_by = select(author_json(merger)).where(col(merger.id) == Contribution.merged_by_id)
    columns = [
        *_columns(),
        *text_columns(actor),
        col(Contribution.proposal),
        col(Contribution.merged_revision),
        merged_by.correlate(Contribution).scalar_subquery().label("merged_by"),
        _reviews_json().label("reviews"),
    ]
    statement = _from_contributions(actor, columns).where(col(Post.id) == contribution_id)
    row = await one(session, statement)
    if row is None:
        raise NotFound(MISSING)
    return ContributionRead.model_validate(dict(row))


def _review_columns(reviewer: Any) -> list[Any]:
    names = ("id", "contribution_revision", "decision", "body", "body_html", "created_at")
    return [
        *(col(getattr(Review, name)) for name in names),
        author_json(reviewer).label("reviewer"),
    ]


def _reviews_json() -> Any:
    """The latest reviews as a JSON array, the oldest of them first."""
    reviewer = aliased(User)
    latest = (
        select(*_review_columns(reviewer))
        .join(reviewer, col(reviewer.id) == Review.reviewer_id)
        .where(col(Review.contribution_id) == Contribution.post_id)
        .order_by(col(Review.id).desc())
        .limit(MAX_REVIEWS)
        .correlate(Contribution)
        .subquery("latest")
    )
    return json_array(select(latest).order_by(latest.c.id))


async def diff_contribution(
    session: AsyncSession, actor: Actor | None, contribution_id: UUID
) -> ContributionDiff:
    """The proposal against its base revision; raises NotFound."""
    target = aliased(Post)
    columns = [
        col(Contribution.base_revision),
        col(Contribution.proposal),
        col(target.revision).label("current_revision"),
        col(Revision.content).label("base"),
    ]
    is_base = and_(
        col(Revision.post_id) == Contribution.resource_id,
        col(Revision.number) == Contribution.base_revision,
    )
    statement = (
        _from_contributions(actor, columns)
        .outerjoin(target, col(target.id) == Contribution.resource_id)
        .outerjoin(Revision, is_base)
        .where(col(Post.id) == contribution_id)
    )
    row = await one(session, statement)
    if row is None:
        raise NotFound(MISSING)
    return ContributionDiff(
        base_revision=row["base_revision"],
        current_revision=row["current_revision"],
        fields=await diff(row["base"] or {}, row["proposal"]),
    )


async def require_visible(
    session: AsyncSession, actor: Actor | None, contribution_id: UUID
) -> None:
    """Raise NotFound unless the actor sees the contribution."""
    found = _from_contributions(actor, [col(Post.id)]).where(col(Post.id) == contribution_id)
    if await one(session, found) is None:
        raise NotFound(MISSING)


def _from_reviews(contribution_id: UUID) -> Select[Any]:
    return (
        select(*_review_columns(User))
        .join(User, col(User.id) == Review.reviewer_id)
        .where(col(Review.contribution_id) == contribution_id)
    )


async def list_reviews(
    session: AsyncSession, contribution_id: UUID, page: PageParams
) -> Page[ReviewRead]:
    """The oldest first, as a conversation is read."""
    order = Order("oldest", [col(Review.id)], descending=False)
    return await read_page(session, _from_reviews(contribution_id), order, page, ReviewRead)


async def read_review(session: AsyncSession, contribution_id: UUID, review_id: UUID) -> ReviewRead:
    """One review of a visible contribution; raises NotFound."""
    row = await one(session, _from_reviews(contribution_id).where(col(Review.id) == review_id))
    if row is None:
        raise NotFound("There is no such review")
    return ReviewRead.model_validate(dict(row))

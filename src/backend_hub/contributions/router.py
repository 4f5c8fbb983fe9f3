"""Contributions over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Depends, Query, Response

from backend_hub.auth.dependencies import CHALLENGE, Contributor, Once, Reviewer, Viewer
from backend_hub.contributions import queries, reviews, service
from backend_hub.contributions.examples import (
    CREATE_EXAMPLES,
    REVIEW_EXAMPLES,
    UPDATE_EXAMPLES,
)
from backend_hub.contributions.models import ContributionState
from backend_hub.contributions.queries import ContributionFilters, ContributionSort
from backend_hub.contributions.schemas import (
    ContributionCreate,
    ContributionDiff,
    ContributionRead,
    ContributionSummary,
    ContributionUpdate,
    ReviewCreate,
    ReviewRead,
)
from backend_hub.errors import Unauthorized
from backend_hub.http.cursors import Page
from backend_hub.http.etag import IfMatch, set_version
from backend_hub.http.paging import Paging
from backend_hub.http.routing import hub_router
from backend_hub.http.schemas import Slug, Username
from backend_hub.http.sessions import ReadSession, Session

router = hub_router("/contributions", "contributions")


async def contribution_filters(
    actor: Viewer,
    state: Annotated[ContributionState | None, Query(description="Only in this state.")] = None,
    resource_id: Annotated[UUID | None, Query(description="Only to this resource.")] = None,
    author: Annotated[Username | None, Query(description="Proposed by this person.")] = None,
    topic: Annotated[Slug | None, Query(description="In this topic, or below it.")] = None,
    awaiting_review_by_me: Annotated[
        bool, Query(description="Submitted by others, where you may review; sign in for it.")
    ] = False,
) -> ContributionFilters:
    if awaiting_review_by_me and actor is None:
        raise Unauthorized("Sign in to see what waits for your review", headers=CHALLENGE)
    reviewer = actor if awaiting_review_by_me else None
    return ContributionFilters(state, resource_id, author, topic, reviewer)


@router.get("", summary="List contributions")
async def list_contributions(
    session: ReadSession,
    actor: Viewer,
    page: Paging,
    filters: Annotated[ContributionFilters, Depends(contribution_filters)],
    sort: Annotated[ContributionSort, Query(description="`active`: what happened last.")] = (
        "newest"
    ),
) -> Page[ContributionSummary]:
    """Proposals and what became of them; drafts are shown to their proposer only."""
    return await queries.list_contributions(session, actor, filters, sort, page)


@router.post("", summary="Propose a resource or a change", status_code=201)
async def create_contribution(
    form: Annotated[ContributionCreate, Body(openapi_examples=CREATE_EXAMPLES)],
    actor: Contributor,
    session: Session,
    response: Response,
    _once: Once,
) -> ContributionRead:
    """Write a draft; submit it when it is ready.

    For a change send `resource_id` and either `changes` (what a PATCH of the resource would
    take) or the whole `proposal`; for a new resource send `proposal` alone.
    """
    post = await service.create_contribution(session, actor, form)
    response.headers["Location"] = f"/api/v1/contributions/{post.id}"
    set_version(response, post.version)
    return await queries.read_contribution(session, actor, post.id)


@router.get("/{contribution_id}", summary="Read a contribution")
async def read_contribution(
    contribution_id: UUID, session: ReadSession, actor: Viewer, response: Response
) -> ContributionRead:
    """The explanation, the whole proposed resource, and the reviews."""
    contribution = await queries.read_contribution(session, actor, contribution_id)
    set_version(response, contribution.version)
    return contribution


@router.patch("/{contribution_id}", summary="Edit a contribution")
async def edit_contribution(
    contribution_id: UUID,
    form: Annotated[ContributionUpdate, Body(openapi_examples=UPDATE_EXAMPLES)],
    actor: Contributor,
    if_match: IfMatch,
    session: Session,
    response: Response,
) -> ContributionRead:
    """By its proposer. Each edit is a revision: reviewers compare them.

    An approved contribution goes back to review. When the resource moved on, send the new
    `base_revision` and a `proposal` that is based on it.
    """
    post = await service.edit_contribution(session, actor, contribution_id, form, if_match)
    set_version(response, post.version)
    return await queries.read_contribution(session, actor, contribution_id)


@router.get("/{contribution_id}/diff", summary="See what a contribution changes")
async def diff_contribution(
    contribution_id: UUID, session: ReadSession, actor: Viewer
) -> ContributionDiff:
    """The proposal against its base revision, field by field.

    What changed between two rounds of review is at `/posts/{contribution_id}/diff`.
    """
    return await queries.diff_contribution(session, actor, contribution_id)


@router.post("/{contribution_id}/submit", summary="Submit a contribution")
async def submit_contribution(
    contribution_id: UUID, actor: Contributor, session: Session, response: Response
) -> ContributionRead:
    """By its proposer: show a draft to everyone, or ask for another review."""
    post = await service.submit_contribution(session, actor, contribution_id)
    set_version(response, post.version)
    return await queries.read_contribution(session, actor, contribution_id)


@router.post("/{contribution_id}/withdraw", summary="Withdraw a contribution")
async def withdraw_contribution(
    contribution_id: UUID, actor: Contributor, session: Session, response: Response
) -> ContributionRead:
    """By its proposer, and for good."""
    post = await service.withdraw_contribution(session, actor, contribution_id)
    set_version(response, post.version)
    return await queries.read_contribution(session, actor, contribution_id)


@router.post("/{contribution_id}/merge", summary="Merge a contribution")
async def merge_contribution(
    contribution_id: UUID, actor: Reviewer, session: Session, response: Response
) -> ContributionRead:
    """By a reviewer, or a maintainer of its topic, who did not propose it.

    The resource gets a new revision that credits proposer and reviewer. When the resource was
    changed since the base revision, 409 `resource_moved_on` carries both texts.
    """
    post = await reviews.merge_contribution(session, actor, contribution_id)
    set_version(response, post.version)
    return await queries.read_contribution(session, actor, contribution_id)


@router.get("/{contribution_id}/reviews", summary="List reviews")
async def list_reviews(
    contribution_id: UUID, session: ReadSession, actor: Viewer, page: Paging
) -> Page[ReviewRead]:
    """Every review of a contribution, the oldest first."""
    await queries.require_visible(session, actor, contribution_id)
    return await queries.list_reviews(session, contribution_id, page)


@router.post("/{contribution_id}/reviews", summary="Review a contribution", status_code=201)
async def review_contribution(
    contribution_id: UUID,
    form: Annotated[ReviewCreate, Body(openapi_examples=REVIEW_EXAMPLES)],
    actor: Reviewer,
    if_match: IfMatch,
    session: Session,
    response: Response,
    _once: Once,
) -> ReviewRead:
    """Approve, ask for changes or reject; by a reviewer or a maintainer of its topic.

    `If-Match` holds the contribution's ETag: nobody approves what they did not read.
    """
    review = await reviews.review_contribution(session, actor, contribution_id, form, if_match)
    response.headers["Location"] = f"/api/v1/contributions/{contribution_id}/reviews/{review.id}"
    return await queries.read_review(session, contribution_id, review.id)


@router.get("/{contribution_id}/reviews/{review_id}", summary="Read a review")
async def read_review(
    contribution_id: UUID, review_id: UUID, session: ReadSession, actor: Viewer
) -> ReviewRead:
    """One reviewer's word, and the revision of the proposal that it was about."""
    await queries.require_visible(session, actor, contribution_id)
    return await queries.read_review(session, contribution_id, review_id)

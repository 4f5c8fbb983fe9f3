"""Reviewing and merging: who may, what follows, and who is credited."""

from typing import Any
from uuid import UUID

from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.contributions.merge import MergeConflict, merged_content
from backend_hub.contributions.models import Contribution, Decision, Review
from backend_hub.contributions.schemas import ReviewCreate
from backend_hub.contributions.service import lock_contribution, record_verb, touch
from backend_hub.contributions.states import VERB_OF, move
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import Conflict, Forbidden, NotFound, Unprocessable
from backend_hub.http.etag import require_version
from backend_hub.http.markdown import render_markdown
from backend_hub.posts.models import Post
from backend_hub.posts.service import Credit, get_revision
from backend_hub.resources.models import Resource
from backend_hub.resources.service import (
    add_resource,
    current_content,
    lock_resource,
    replace_content,
    validated,
)
from backend_hub.topics.service import maintains
from backend_hub.users.models import Role

EVENT_OF: dict[Decision, str] = {
    Decision.approve: "approved",
    Decision.request_changes: "changes_requested",
    Decision.reject: "rejected",
}


class OwnContribution(Forbidden):
    code, title = "own_contribution", "Nobody reviews or merges their own contribution"


class ResourceMovedOn(Conflict):
    """`current` and `proposed` are the two texts, with `base_revision` and `current_revision`."""

    code, title = "resource_moved_on", "The resource was changed after the proposal was written"


class ResourceGone(Conflict):
    code, title = "resource_gone", "The resource was deleted"


class ProposalOutdated(Conflict):
    """What is wrong is in `errors`; the proposer has to edit the proposal."""

    code, title = "proposal_outdated", "The proposal is no longer valid"


async def require_reviewer(
    session: AsyncSession, actor: Actor, post: Post, contribution: Contribution
) -> None:
    """Raise Forbidden unless the actor reviews everywhere, or maintains where it would land.

    A change that moves a resource needs somebody who maintains both topics.
    """
    if post.author_id == actor.id:
        raise OwnContribution
    if actor.is_at_least(Role.reviewer):
        return
    topics = {post.topic_id}
    if contribution.resource_id is not None:
        found = select(Post.topic_id).where(Post.id == contribution.resource_id)
        topics.add((await session.exec(found)).one())
    for topic_id in topics:
        if not await maintains(session, actor.id, topic_id):
            raise Forbidden("Only reviewers, and maintainers of its topic, may do this")


async def review_contribution(
    session: AsyncSession, actor: Actor, contribution_id: UUID, form: ReviewCreate, if_match: str
) -> Review:
    """Decide about the version that the reviewer read; raises OwnContribution, WrongState."""
    post, contribution = await lock_contribution(session, actor, contribution_id)
    await require_reviewer(session, actor, post, contribution)
    require_version(if_match, post.version)
    move(contribution, VERB_OF[form.decision])
    review = Review(
        contribution_id=contribution_id,
        reviewer_id=actor.id,
        contribution_revision=post.revision,
        decision=form.decision,
        body=form.body,
        body_html=await render_markdown(form.body) if form.body else "",
    )
    session.add(review)
    contribution.decided_at = utcnow()
    touch(post)
    record_verb(session, actor, post, EVENT_OF[form.decision], review_id=str(review.id))
    await session.flush()
    return review


async def merge_contribution(session: AsyncSession, actor: Actor, contribution_id: UUID) -> Post:
    """Make the approved proposal the resource's next revision, or a new resource.

    Raises OwnContribution, WrongState, ResourceMovedOn, ResourceGone, ProposalOutdated and
    DuplicateUrl; after each of them the contribution is still what it was.
    """
    post, contribution = await lock_contribution(session, actor, contribution_id)
    await require_reviewer(session, actor, post, contribution)
    move(contribution, "merge")
    credit = Credit(
        editor_id=post.author_id,
        reviewer_id=await _last_approver(session, contribution_id),
        contribution_id=contribution_id,
    )
    try:
        resource = await _apply(session, actor, post, contribution, credit)
    except Unprocessable as error:
        raise ProposalOutdated(error.detail, **error.extra) from None
    contribution.resource_id, contribution.merged_revision = resource.id, resource.revision
    contribution.merged_at, contribution.merged_by_id = utcnow(), actor.id
    touch(post)
    record_verb(session, actor, post, "merged", resource_id=str(resource.id))
    await session.flush()
    return post


async def _last_approver(session: AsyncSession, contribution_id: UUID) -> UUID:
    found = select(Review.reviewer_id).where(
        Review.contribution_id == contribution_id, Review.decision == Decision.approve
    )
    approver = (await session.exec(found.order_by(col(Review.id).desc()).limit(1))).one()
    return approver


async def _apply(
    session: AsyncSession, actor: Actor, post: Post, contribution: Contribution, credit: Credit
) -> Post:
    """Write the proposal through the resource's own service; returns the resource's post."""
    if contribution.resource_id is None or contribution.base_revision is None:
        content = validated(contribution.proposal)
        return await add_resource(
            session, post.author_id, content, summary=post.title, credit=credit
        )
    target, resource = await _lock_target(session, actor, contribution.resource_id)
    base = await get_revision(session, target.id, contribution.base_revision)
    merged = merged_content(
        base.content, await current_content(session, target), contribution.proposal
    )
    if isinstance(merged, MergeConflict):
        raise _moved_on(contribution.base_revision, target.revision, merged)
    content = validated(merged)
    await replace_content(
        session, actor, target, resource, content, summary=post.title, credit=credit
    )
    return target


async def _lock_target(
    session: AsyncSession, actor: Actor, resource_id: UUID
) -> tuple[Post, Resource]:
    """The resource to change, locked; raises ResourceGone."""
    try:
        target, resource = await lock_resource(session, actor, resource_id)
    except NotFound:
        raise ResourceGone from None
    if target.deleted_at is not None:
        raise ResourceGone
    return target, resource


def _moved_on(base: int, current: int, conflict: MergeConflict) -> ResourceMovedOn:
    texts: dict[str, Any] = {"current": conflict.current, "proposed": conflict.proposed}
    return ResourceMovedOn(
        f"It is based on revision {base}, and the resource is at {current}",
        base_revision=base,
        current_revision=current,
        **texts,
    )

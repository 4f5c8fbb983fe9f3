"""Proposing: write, edit, submit and withdraw a contribution. Reviewing is in `reviews.py`."""

from typing import Any
from uuid import UUID

from sqlmodel import select

from backend_hub.auth.actor import Actor
from backend_hub.contributions.models import Contribution, ContributionState
from backend_hub.contributions.schemas import (
    ContributionContent,
    ContributionCreate,
    ContributionUpdate,
)
from backend_hub.contributions.states import move
from backend_hub.db import AsyncSession, new_id, utcnow
from backend_hub.errors import Forbidden, NotFound, Unprocessable
from backend_hub.events.service import record
from backend_hub.http.etag import require_version
from backend_hub.inserting import row_of
from backend_hub.posts.models import Post, PostKind, Revision
from backend_hub.posts.service import create_post, edit_post, lock_post
from backend_hub.posts.visibility import visible
from backend_hub.resources.schemas import ResourceChanges
from backend_hub.resources.service import Content, validated
from backend_hub.topics.service import find_topic_id

IN_PROPOSAL = ("body", "proposal")
IN_CHANGES = ("body", "changes")


async def lock_contribution(
    session: AsyncSession, actor: Actor, contribution_id: UUID
) -> tuple[Post, Contribution]:
    """A visible contribution and its post, locked for a change; raises NotFound."""
    post = await lock_post(session, actor, contribution_id, PostKind.contribution)
    if post.deleted_at is not None:
        raise NotFound("There is no such contribution")
    return post, await session.get_one(Contribution, contribution_id)


async def create_contribution(
    session: AsyncSession, actor: Actor, form: ContributionCreate
) -> Post:
    """Write a draft; raises Unprocessable when it fits no resource, or changes nothing."""
    fields = form.model_dump(mode="json", exclude={"resource_id", "changes"})
    if form.resource_id is not None:
        latest = await _latest(session, actor, form.resource_id)
        fields["base_revision"] = form.base_revision or latest
        base = await _base_content(session, form.resource_id, fields["base_revision"])
        if form.changes is not None:
            fields["proposal"] = _patched(base, form.changes)
        _require_change(base, fields["proposal"])
    content = ContributionContent.model_validate(fields)
    contribution = Contribution(post_id=new_id(), resource_id=form.resource_id, proposal={})
    _keep(contribution, content)
    return await create_post(
        session,
        actor.id,
        PostKind.contribution,
        content,
        post_id=contribution.post_id,
        rows=[row_of(contribution)],
        title=content.title,
        topic_id=await _topic_id(session, content.proposal),
        draft=True,
    )


def _patched(content: dict[str, Any], changes: ResourceChanges) -> dict[str, Any]:
    """The whole resource after a merge patch; raises Unprocessable."""
    return validated({**content, **changes.changes()}, IN_CHANGES).model_dump(mode="json")


def _keep(contribution: Contribution, content: ContributionContent) -> None:
    contribution.base_revision = content.base_revision
    contribution.proposal = content.proposal.model_dump(mode="json")


async def _topic_id(session: AsyncSession, proposal: Content) -> UUID | None:
    """A contribution is found under the topic that it proposes."""
    return await find_topic_id(session, proposal.topic, (*IN_PROPOSAL, "topic"))


async def _latest(session: AsyncSession, actor: Actor, resource_id: UUID) -> int:
    """The revision of a visible resource; raises Unprocessable."""
    found = select(Post.revision).where(
        Post.id == resource_id, Post.kind == PostKind.resource, visible(actor)
    )
    revision = (await session.exec(found)).first()
    if revision is None:
        raise Unprocessable("There is no such resource", loc=("body", "resource_id"))
    return revision


async def _base_content(
    session: AsyncSession, resource_id: UUID, base_revision: int
) -> dict[str, Any]:
    """What a change is written against; raises Unprocessable."""
    revision = await session.get(Revision, (resource_id, base_revision))
    if revision is None:
        detail = f"The resource has no revision {base_revision}"
        raise Unprocessable(detail, loc=("body", "base_revision"))
    return revision.content


def _require_change(base: dict[str, Any], proposal: dict[str, Any]) -> None:
    """Raise Unprocessable for another kind of resource, and for what is there already."""
    if proposal["kind"] != base["kind"]:
        raise Unprocessable("The kind of a resource never changes", loc=(*IN_PROPOSAL, "kind"))
    if validated(base).model_dump(mode="json") == proposal:
        raise Unprocessable("The proposal changes nothing", loc=IN_PROPOSAL)


async def edit_contribution(
    session: AsyncSession,
    actor: Actor,
    contribution_id: UUID,
    form: ContributionUpdate,
    if_match: str,
) -> Post:
    """Write another revision; an approved contribution waits for a review again."""
    post, contribution = await lock_contribution(session, actor, contribution_id)
    _require_proposer(post, actor)
    require_version(if_match, post.version)
    was = contribution.state
    move(contribution, "edit")
    content = await _edited(session, post, contribution, form)
    _keep(contribution, content)
    post.title, post.topic_id = content.title, await _topic_id(session, content.proposal)
    summary = form.summary if "summary" in form.model_fields_set else ""
    await edit_post(session, actor, post, content, summary=summary)
    if was == ContributionState.approved:
        _mark_submitted(session, actor, post, contribution)
    await session.flush()
    return post


async def _edited(
    session: AsyncSession, post: Post, contribution: Contribution, form: ContributionUpdate
) -> ContributionContent:
    """What stands there, with the changes of the form."""
    fields = {
        **{name: getattr(post, name) for name in ("title", "body", "language", "license")},
        "base_revision": contribution.base_revision,
        "proposal": contribution.proposal,
        **form.model_dump(mode="json", exclude_unset=True, exclude={"patch", "summary"}),
    }
    if "patch" in form.model_fields_set:
        fields["proposal"] = _patched(contribution.proposal, form.patch)
    content = ContributionContent.model_validate(fields)
    if contribution.resource_id is not None and content.base_revision is not None:
        base = await _base_content(session, contribution.resource_id, content.base_revision)
        _require_change(base, content.proposal.model_dump(mode="json"))
    elif "base_revision" in form.model_fields_set:
        detail = "A new resource is based on no revision"
        raise Unprocessable(detail, loc=("body", "base_revision"))
    elif content.proposal.kind != contribution.proposal["kind"]:
        raise Unprocessable("The kind of a resource never changes", loc=(*IN_PROPOSAL, "kind"))
    return content


def _require_proposer(post: Post, actor: Actor) -> None:
    if post.author_id != actor.id:
        raise Forbidden("Only its proposer may do this")


async def submit_contribution(session: AsyncSession, actor: Actor, contribution_id: UUID) -> Post:
    """Show it to everyone, and ask for a review; raises WrongState."""
    post, contribution = await lock_contribution(session, actor, contribution_id)
    _require_proposer(post, actor)
    move(contribution, "submit")
    post.draft = False
    touch(post)
    _mark_submitted(session, actor, post, contribution)
    await session.flush()
    return post


def _mark_submitted(
    session: AsyncSession, actor: Actor, post: Post, contribution: Contribution
) -> None:
    contribution.submitted_at, contribution.decided_at = utcnow(), None
    record_verb(session, actor, post, "submitted")


async def withdraw_contribution(session: AsyncSession, actor: Actor, contribution_id: UUID) -> Post:
    """Take it back for good; a draft stays unseen. Raises WrongState."""
    post, contribution = await lock_contribution(session, actor, contribution_id)
    _require_proposer(post, actor)
    move(contribution, "withdraw")
    touch(post)
    record_verb(session, actor, post, "withdrawn")
    await session.flush()
    return post


def touch(post: Post) -> None:
    """The state changed, not the text."""
    post.version += 1
    post.last_activity_at = utcnow()


def record_verb(session: AsyncSession, actor: Actor, post: Post, verb: str, **data: Any) -> None:
    """Tell what happened to a contribution, and to which of its revisions."""
    record(
        session,
        f"contribution.{verb}",
        actor_id=actor.id,
        subject_id=post.id,
        post_id=post.id,
        revision=post.revision,
        **data,
    )

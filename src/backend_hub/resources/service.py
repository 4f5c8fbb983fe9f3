"""Adding, editing, deleting and restoring resources."""

from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession, constraint_name
from backend_hub.errors import Conflict, Forbidden, NotFound, Unprocessable
from backend_hub.http.etag import require_version
from backend_hub.posts.models import Post, PostKind
from backend_hub.posts.service import (
    Credit,
    create_post,
    delete_post,
    edit_post,
    lock_post,
    restore_post,
    revision_content,
)
from backend_hub.resources.models import Resource
from backend_hub.resources.schemas import (
    DETAILS,
    CodeSampleContent,
    LinkContent,
    ProjectContent,
    ResourceUpdate,
    resource_content,
)
from backend_hub.resources.urls import url_key
from backend_hub.users.models import Role

Content = LinkContent | CodeSampleContent | ProjectContent


class DuplicateUrl(Conflict):
    """`existing` names the resource that has the URL."""

    code, title = "duplicate_url", "This link is in the hub already"


async def add_resource(
    session: AsyncSession,
    author_id: UUID,
    content: Content,
    *,
    summary: str = "",
    credit: Credit | None = None,
    **columns: Any,
) -> Post:
    """Add a resource for its author; raises DuplicateUrl. `columns` go on the resources row."""
    await _refuse_duplicate(session, content, None)
    post = await create_post(
        session, author_id, PostKind.resource, content, summary=summary, credit=credit
    )
    await _write(session, Resource(post_id=post.id, kind=content.kind, **columns), content)
    return post


def _apply(resource: Resource, content: Content) -> None:
    fields = content.model_dump(mode="json")
    resource.level = fields["level"]
    resource.details = {name: fields[name] for name in DETAILS[content.kind]}
    if isinstance(content, LinkContent):
        resource.url, resource.link_type = content.url, content.link_type
        resource.url_key = url_key(content.url)


def resource_row(post_id: UUID, content: Content, **columns: Any) -> Resource:
    """The row of a new resource, for callers that insert many at once."""
    resource = Resource(post_id=post_id, kind=content.kind, **columns)
    _apply(resource, content)
    return resource


async def _refuse_duplicate(session: AsyncSession, content: Content, own_id: UUID | None) -> None:
    if not isinstance(content, LinkContent):
        return
    found = (
        select(Post.id, Post.title)
        .join(Resource, col(Resource.post_id) == Post.id)
        .where(Resource.url_key == url_key(content.url), Post.id != own_id)
    )
    row = (await session.exec(found)).first()
    if row is not None:
        post_id, title = row
        raise DuplicateUrl(
            f"{title} has this URL",
            existing={"id": post_id, "title": title, "href": f"/api/v1/resources/{post_id}"},
        )


async def _write(session: AsyncSession, resource: Resource, content: Content) -> None:
    """Write the resources row; of two that add one URL at once the constraint picks the first.

    The row changes inside the savepoint: beginning one flushes what was changed before it.
    """
    try:
        async with session.begin_nested():
            _apply(resource, content)
            session.add(resource)
            await session.flush()
    except IntegrityError as error:
        if constraint_name(error) != "uq_resources_url_key":
            raise
        await _refuse_duplicate(session, content, None)
        raise DuplicateUrl from None


async def lock_resource(
    session: AsyncSession, actor: Actor, post_id: UUID
) -> tuple[Post, Resource]:
    """A resource and its post, locked for a change; raises NotFound."""
    post = await lock_post(session, actor, post_id, PostKind.resource)
    resource = await session.get_one(Resource, post_id)
    return post, resource


def require_editor(post: Post, actor: Actor) -> None:
    """Raise Forbidden unless the actor wrote it, or reviews: others propose contributions."""
    if post.author_id != actor.id and not actor.is_at_least(Role.reviewer):
        raise Forbidden("Only its author and reviewers edit it: propose a contribution instead")
    if post.deleted_at is not None:
        raise NotFound("There is no such resource")


async def current_content(session: AsyncSession, post: Post) -> dict[str, Any]:
    """The content of the latest revision, in the form that `resource_content` validates."""
    return await revision_content(session, post, post.revision)


async def edit_resource(
    session: AsyncSession, actor: Actor, post_id: UUID, form: ResourceUpdate, if_match: str
) -> Post:
    """Apply a merge patch as a new revision; raises DuplicateUrl."""
    post, resource = await lock_resource(session, actor, post_id)
    require_editor(post, actor)
    require_version(if_match, post.version)
    changes = form.changes()
    summary = changes.pop("summary", "")
    content = validated({**await current_content(session, post), **changes})
    await replace_content(session, actor, post, resource, content, summary=summary)
    return post


def validated(fields: dict[str, Any], under: tuple[str, ...] = ("body",)) -> Content:
    """The content; raises Unprocessable for fields that its kind does not have."""
    try:
        return resource_content.validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        loc = [part for part in first["loc"] if part != fields.get("kind")]
        raise Unprocessable(first["msg"], loc=(*under, *loc)) from None


async def replace_content(
    session: AsyncSession,
    actor: Actor,
    post: Post,
    resource: Resource,
    content: Content,
    *,
    summary: str,
    credit: Credit | None = None,
) -> None:
    """Make `content` the resource's next revision: edits, restores and merges all end here."""
    await _refuse_duplicate(session, content, post.id)
    await _write(session, resource, content)
    await edit_post(session, actor, post, content, summary=summary, credit=credit)


async def restore_revision(
    session: AsyncSession, actor: Actor, post_id: UUID, number: int, if_match: str
) -> Post:
    """Write the content of an earlier revision as a new one."""
    post, resource = await lock_resource(session, actor, post_id)
    require_editor(post, actor)
    require_version(if_match, post.version)
    content = validated(await revision_content(session, post, number))
    summary = f"Restored revision {number}"
    await replace_content(session, actor, post, resource, content, summary=summary)
    return post


async def delete_resource(
    session: AsyncSession, actor: Actor, post_id: UUID, if_match: str
) -> None:
    """Hide a resource, and free its URL."""
    post, resource = await lock_resource(session, actor, post_id)
    await delete_post(session, actor, post, if_match)
    resource.url_key = None
    await session.flush()


async def restore_resource(session: AsyncSession, actor: Actor, post_id: UUID) -> Post:
    """Bring a deleted resource back; raises DuplicateUrl when its URL was added anew."""
    post, resource = await lock_resource(session, actor, post_id)
    content = validated(await current_content(session, post))
    await _refuse_duplicate(session, content, post.id)
    await restore_post(session, actor, post)
    await _write(session, resource, content)
    return post

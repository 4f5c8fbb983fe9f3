"""Links, samples and projects of the shipped catalogue."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.imports.catalogue_files import Shipped
from backend_hub.imports.catalogue_topics import Count, Outcome, Topics
from backend_hub.posts.models import Post, Revision
from backend_hub.resources.bulk import NewResource, add_resources, taken_urls
from backend_hub.resources.models import Resource
from backend_hub.resources.schemas import LinkContent
from backend_hub.resources.service import Content, DuplicateUrl, replace_content
from backend_hub.resources.urls import url_key
from backend_hub.topics.models import Tag, TagSynonym, Topic

ADDED, UPDATED = "From the catalogue", "Updated with the catalogue"


class _Current(NamedTuple):
    """A resource of the catalogue as the hub has it now."""

    post_id: UUID
    topic_id: UUID | None
    untouched: bool
    content: dict[str, Any]


async def seed_resources(
    session: AsyncSession,
    actor: Actor,
    resources: Sequence[Shipped],
    topics: Topics,
    count: Count,
) -> None:
    """Add and update the shipped resources; a deleted one stays deleted."""
    current = await _read_current(session, [shipped.key for shipped in resources])
    tags = await _canonical(session, resources)
    taken = await taken_urls(session, [shipped.content for shipped in resources])
    new: list[NewResource] = []
    for key, shipped in resources:
        topic = topics[shipped.topic or ""]
        if topic is None:
            count("kept")
            continue
        names = list(dict.fromkeys(tags.get(name, name) for name in shipped.tags))
        content = shipped.model_copy(update={"topic": topic.slug, "tags": names})
        if key in current:
            count(await _update(session, actor, current[key], content, topic))
        elif isinstance(content, LinkContent) and url_key(content.url) in taken:
            count("kept")
        else:
            new.append(NewResource(content, {"catalogue_key": key, "catalogue_revision": 1}))
    await add_resources(session, actor.id, new, summary=ADDED)
    for _ in new:
        count("created")


async def _read_current(session: AsyncSession, keys: Sequence[str]) -> dict[str, _Current]:
    rows = await session.execute(
        sa.select(
            col(Resource.catalogue_key),
            col(Post.id),
            col(Post.topic_id),
            col(Post.deleted_at).is_(None) & (Post.revision == Resource.catalogue_revision),
            col(Revision.content),
        )
        .join(Post, col(Post.id) == Resource.post_id)
        .join(
            Revision,
            (col(Revision.post_id) == Post.id) & (col(Revision.number) == Post.revision),
        )
        .where(col(Resource.catalogue_key).in_(keys))
    )
    return {key: _Current(*rest) for key, *rest in rows}


async def _canonical(session: AsyncSession, resources: Sequence[Shipped]) -> dict[str, str]:
    """The tag behind each synonym among the shipped tags."""
    names = {name for shipped in resources for name in shipped.content.tags}
    rows = await session.exec(
        select(TagSynonym.name, Tag.name)
        .join(Tag, col(Tag.id) == TagSynonym.tag_id)
        .where(col(TagSynonym.name).in_(names))
    )
    return dict(rows.all())


async def _update(
    session: AsyncSession, actor: Actor, current: _Current, content: Content, topic: Topic
) -> Outcome:
    if not current.untouched:
        return "kept"
    shipped = content.model_dump(mode="json")
    # A topic that was renamed is still the same topic.
    moved = current.topic_id != topic.id
    if not moved and shipped == {**current.content, "topic": topic.slug}:
        return "unchanged"
    locked = select(Post).where(Post.id == current.post_id).with_for_update()
    post = (await session.exec(locked)).one()
    resource = await session.get_one(Resource, post.id)
    if post.revision != resource.catalogue_revision or post.deleted_at is not None:
        return "kept"
    try:
        await replace_content(session, actor, post, resource, content, summary=UPDATED)
    except DuplicateUrl:  # a member was faster to add the new address
        return "kept"
    resource.catalogue_revision = post.revision
    return "updated"

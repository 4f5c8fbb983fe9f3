"""Topics and tags of the shipped catalogue."""

from collections.abc import Callable, Sequence
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, or_, select

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.events.models import Event
from backend_hub.events.service import record
from backend_hub.imports.catalogue_files import ShippedTag
from backend_hub.topics.models import Tag, TagSynonym, Topic
from backend_hub.topics.schemas import TopicCreate, TopicUpdate
from backend_hub.topics.service import create_topic, tags_of_words, update_topic

Outcome = Literal["created", "updated", "unchanged", "kept"]
Count = Callable[[Outcome], None]
Topics = dict[str, Topic | None]
"""The topic of each shipped slug; None when an admin deleted it."""


async def seed_topics(
    session: AsyncSession, actor: Actor, forms: Sequence[TopicCreate], count: Count
) -> Topics:
    """Make the shipped topics, parents first. A renamed one stays renamed, a deleted one gone."""
    made = await _made_before(session, actor)
    slugs = [form.slug for form in forms]
    known = or_(col(Topic.slug).in_(slugs), col(Topic.id).in_(made.values()))
    found = (await session.exec(select(Topic).where(known))).all()
    by_id = {topic.id: topic for topic in found}
    by_slug = {topic.slug: topic for topic in found}
    topics: Topics = {}
    for form in forms:
        parent = topics[form.parent] if form.parent else None
        topic = by_id.get(made.get(form.slug, actor.id)) or by_slug.get(form.slug)
        orphan = form.parent is not None and parent is None
        if topic is not None:
            count(await _update_topic(session, actor, topic, form, parent))
        elif orphan or form.slug in made:
            count("kept")
        else:
            topic = await create_topic(session, actor, _below(form, parent))
            topic.catalogue_version = topic.version
            count("created")
        topics[form.slug] = topic
    return topics


async def _made_before(session: AsyncSession, actor: Actor) -> dict[str, UUID]:
    """Slug and id of every topic that the hub's own account ever made; the log remembers."""
    made = select(Event.data, Event.subject_id).where(
        Event.actor_id == actor.id, Event.type == "topic.created"
    )
    rows = await session.exec(made.order_by(col(Event.id)))
    return {data["slug"]: UUID(topic_id) for data, topic_id in rows}


def _below(form: TopicCreate, parent: Topic | None) -> TopicCreate:
    return form.model_copy(update={"parent": parent.slug if parent else None})


async def _update_topic(
    session: AsyncSession, actor: Actor, topic: Topic, form: TopicCreate, parent: Topic | None
) -> Outcome:
    if topic.catalogue_version != topic.version:
        return "kept"
    shipped = form.model_dump(include={"name", "description", "position", "overview"})
    changes: dict[str, Any] = {
        name: value for name, value in shipped.items() if getattr(topic, name) != value
    }
    if parent and topic.parent_id != parent.id or not form.parent and topic.parent_id:
        changes["parent"] = parent.slug if parent else None
    if not changes:
        return "unchanged"
    await update_topic(session, actor, topic.slug, TopicUpdate(**changes), "*")
    topic.catalogue_version = topic.version
    return "updated"


async def seed_tags(
    session: AsyncSession, actor: Actor, shipped: Sequence[ShippedTag], count: Count
) -> None:
    """Describe the common tags and name their synonyms, unless an admin did.

    An admin's edit raises the version; a tag that came by use still has its first one. A word that
    is a tag of its own, or a synonym of another one, stays so.
    """
    words = [word for tag in shipped for word in (tag.name, *tag.synonyms)]
    found = await session.exec(select(Tag.name).where(col(Tag.name).in_(words)))
    before = set(found.all())
    synonyms = await session.exec(select(TagSynonym.name).where(col(TagSynonym.name).in_(words)))
    taken = before | set(synonyms.all())
    names = [tag.name for tag in shipped]
    if new := [name for name in names if name not in taken]:
        await tags_of_words(session, new)
    tags = {
        tag.name: tag for tag in await session.exec(select(Tag).where(col(Tag.name).in_(names)))
    }
    rows: list[dict[str, Any]] = []
    for form in shipped:
        tag = tags.get(form.name)
        if tag is None or tag.version > 1:
            count("kept")
            continue
        free = [word for word in form.synonyms if word not in taken]
        if tag.description == form.description and not free:
            count("unchanged")
            continue
        tag.description = form.description
        rows += [{"name": word, "tag_id": tag.id} for word in free]
        record(session, "tag.updated", actor_id=actor.id, subject_id=tag.id, name=tag.name)
        count("updated" if form.name in before else "created")
    if rows:
        await session.execute(insert(TagSynonym).values(rows).on_conflict_do_nothing())

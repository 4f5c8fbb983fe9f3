"""The tree of topics, tags and their synonyms: domain verbs."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    Select,
    Text,
    any_,
    bindparam,
    delete,
    func,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession, Writer, constraint_name, new_id, utcnow
from backend_hub.errors import Conflict, NotFound, Unprocessable
from backend_hub.events.service import record
from backend_hub.http.etag import require_version
from backend_hub.http.markdown import render_markdown
from backend_hub.statements import Prepared, Reader, prepare, text_parameter
from backend_hub.topics.models import Tag, TagSynonym, Topic, TopicMaintainer
from backend_hub.topics.schemas import TagUpdate, TopicCreate, TopicUpdate
from backend_hub.users.models import User

MAX_DEPTH = 12
"""Levels of the tree, top topics included."""
TREE_LOCK = 7_205_431_120_232
"""Advisory lock: whoever holds it changes the shape of the tree."""


class TopicNotEmpty(Conflict):
    code, title = "topic_not_empty", "The topic still has sub-topics or posts"


class TopicTooDeep(Unprocessable):
    title = "The tree of topics would be too deep"


class SlugTaken(Conflict):
    code, title = "slug_taken", "Another topic has this slug"


class SynonymTaken(Conflict):
    code, title = "synonym_taken", "This word belongs to another tag"


async def get_topic(session: AsyncSession, slug: str, *, lock: bool = False) -> Topic:
    """The topic of a slug; raises NotFound."""
    statement = select(Topic).where(col(Topic.slug) == slug)
    topic = (await session.scalars(statement.with_for_update() if lock else statement)).first()
    if topic is None:
        raise NotFound(f"There is no topic {slug}")
    return topic


async def find_topic_slug(session: AsyncSession, topic_id: UUID | None) -> str | None:
    """What a topic is called now."""
    if topic_id is None:
        return None
    slug: str | None = await session.scalar(
        select(col(Topic.slug)).where(col(Topic.id) == topic_id)
    )
    return slug


async def topic_exists(session: AsyncSession, slug: str) -> bool:
    return await session.scalar(select(col(Topic.id)).where(col(Topic.slug) == slug)) is not None


async def find_topic_id(
    reader: Reader, slug: str | None, loc: tuple[str, ...] = ("body", "topic")
) -> UUID | None:
    """The id for a slug that a post names; raises Unprocessable when there is no such topic."""
    topic_id, _ = await _look_up(reader, slug, [], loc)
    return topic_id


def subtree(slug: Any) -> Select[tuple[UUID]]:
    """The ids of a topic and of everything below it, as a subquery."""
    top = select(col(Topic.id)).where(col(Topic.slug) == slug).cte("subtree", recursive=True)
    below = select(col(Topic.id)).join(top, col(Topic.parent_id) == top.c.id)
    tree = top.union(below)
    return select(tree.c.id)


def subtree_with_depth(topic_id: UUID) -> CTE:
    """The ids of a topic and of everything below it, with their depth below it."""
    top = (
        select(col(Topic.id), literal(0).label("depth"))
        .where(col(Topic.id) == topic_id)
        .cte("moved", recursive=True)
    )
    below = select(col(Topic.id), (top.c.depth + 1).label("depth")).join(
        top, col(Topic.parent_id) == top.c.id
    )
    return top.union_all(below)


def ancestors(topic_id: UUID) -> Select[tuple[UUID]]:
    """The ids of a topic and of everything above it."""
    start = select(col(Topic.id), col(Topic.parent_id)).where(col(Topic.id) == topic_id)
    path = start.cte("path", recursive=True)
    above = select(col(Topic.id), col(Topic.parent_id)).join(
        path, col(Topic.id) == path.c.parent_id
    )
    tree = path.union(above)
    return select(tree.c.id)


async def create_topic(session: AsyncSession, actor: Actor, form: TopicCreate) -> Topic:
    """Add a topic; raises SlugTaken and TopicTooDeep."""
    await _lock_tree(session)
    parent = await _parent(session, form.parent)
    if parent is not None:
        await _require_depth(session, parent.id, 1)
    topic = Topic(
        **form.model_dump(exclude={"parent"}),
        parent_id=parent.id if parent else None,
        overview_html=await render_markdown(form.overview),
    )
    session.add(topic)
    await _flush_topic(session)
    record(session, "topic.created", actor_id=actor.id, subject_id=topic.id, slug=topic.slug)
    return topic


async def update_topic(
    session: AsyncSession,
    actor: Actor,
    slug: str,
    form: TopicUpdate,
    if_match: str,
) -> Topic:
    """Change a topic or move it; a topic cannot move below itself."""
    changes = form.changes()
    if "parent" in changes:
        await _lock_tree(session)
    topic = await get_topic(session, slug, lock=True)
    require_version(if_match, topic.version)
    if "parent" in changes:
        await _move(session, topic, changes.pop("parent"))
    for name, value in changes.items():
        setattr(topic, name, value)
    if "overview" in changes:
        topic.overview_html = await render_markdown(topic.overview)
    topic.version += 1
    await _flush_topic(session)
    record(session, "topic.updated", actor_id=actor.id, subject_id=topic.id, slug=topic.slug)
    return topic


async def _lock_tree(session: AsyncSession) -> None:
    """One change of the tree's shape at a time: two moves at once could close a circle."""
    await session.execute(select(func.pg_advisory_xact_lock(TREE_LOCK)))


async def _move(session: AsyncSession, topic: Topic, slug: str | None) -> None:
    parent = await _parent(session, slug)
    if parent is not None:
        below = await session.execute(select(subtree_with_depth(topic.id)))
        depths: dict[UUID, int] = {row.id: row.depth for row in below}
        if parent.id in depths:
            raise Unprocessable("A topic cannot be below itself", loc=("body", "parent"))
        await _require_depth(session, parent.id, 1 + max(depths.values()))
    topic.parent_id = parent.id if parent else None


async def _require_depth(session: AsyncSession, parent_id: UUID, levels: int) -> None:
    """Raise TopicTooDeep unless so many levels fit below the parent."""
    above = len((await session.scalars(ancestors(parent_id))).all())
    if above + levels > MAX_DEPTH:
        raise TopicTooDeep(f"At most {MAX_DEPTH} levels", loc=("body", "parent"))


async def _parent(session: AsyncSession, slug: str | None) -> Topic | None:
    if slug is None:
        return None
    try:
        return await get_topic(session, slug)
    except NotFound:
        raise Unprocessable(f"There is no topic {slug}", loc=("body", "parent")) from None


async def _flush_topic(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        if constraint_name(error) != "uq_topics_slug":
            raise
        raise SlugTaken from None


async def delete_topic(session: AsyncSession, actor: Actor, slug: str, if_match: str) -> None:
    """Remove an empty topic; raises TopicNotEmpty."""
    topic = await get_topic(session, slug, lock=True)
    require_version(if_match, topic.version)
    try:
        await session.delete(topic)
        await session.flush()
    except IntegrityError:
        raise TopicNotEmpty("Move its sub-topics and posts first") from None
    record(session, "topic.deleted", actor_id=actor.id, subject_id=topic.id, slug=slug)


async def add_maintainer(session: AsyncSession, actor: Actor, slug: str, username: str) -> None:
    topic, user_id = await _topic_and_user(session, slug, username)
    await session.execute(
        insert(TopicMaintainer)
        .values(topic_id=topic.id, user_id=user_id, created_at=utcnow())
        .on_conflict_do_nothing()
    )
    record(session, "topic.maintainer_added", actor_id=actor.id, subject_id=topic.id, user=username)


async def remove_maintainer(session: AsyncSession, actor: Actor, slug: str, username: str) -> None:
    topic, user_id = await _topic_and_user(session, slug, username)
    await session.execute(
        delete(TopicMaintainer).where(
            col(TopicMaintainer.topic_id) == topic.id, col(TopicMaintainer.user_id) == user_id
        )
    )
    record(
        session, "topic.maintainer_removed", actor_id=actor.id, subject_id=topic.id, user=username
    )


async def _topic_and_user(session: AsyncSession, slug: str, username: str) -> tuple[Topic, UUID]:
    topic = await get_topic(session, slug)
    user_id = await session.scalar(
        select(User.id).where(func.lower(User.username) == username.lower())  # type: ignore[call-overload]
    )
    if user_id is None:
        raise NotFound(f"There is nobody called {username}")
    return topic, user_id


async def maintains(session: AsyncSession, user_id: UUID, topic_id: UUID | None) -> bool:
    """Whether the person maintains the topic or one above it."""
    if topic_id is None:
        return False
    statement = select(col(TopicMaintainer.user_id)).where(
        col(TopicMaintainer.user_id) == user_id,
        col(TopicMaintainer.topic_id).in_(ancestors(topic_id)),
    )
    return (await session.scalars(statement.limit(1))).first() is not None


def maintained_by(user_id: UUID) -> Select[tuple[UUID]]:
    """The ids of the topics that the person maintains, and of everything below them."""
    top = (
        select(col(TopicMaintainer.topic_id).label("id"))
        .where(col(TopicMaintainer.user_id) == user_id)
        .cte("maintained", recursive=True)
    )
    below = select(col(Topic.id)).join(top, col(Topic.parent_id) == top.c.id)
    tree = top.union(below)
    return select(tree.c.id)


Tags = list[tuple[UUID, str]]
"""The id and the name of each."""
KnownTags = dict[str, tuple[UUID, str]]
"""The same, by a word that means the tag: its name or a synonym."""


async def place(writer: Writer, slug: str | None, names: Sequence[str]) -> tuple[UUID | None, Tags]:
    """The topic and the tags that a post names, of the tags as `tags_of_words` gives them.

    Raises Unprocessable when there is no such topic.
    """
    topic_id, known = await _look_up(writer, slug, names)
    tags = await _with_new_tags(writer, known, names)
    return topic_id, list(dict.fromkeys(tags[name] for name in names))


async def tags_of_words(writer: Writer, names: Iterable[str]) -> KnownTags:
    """(id, name) of the tag behind each word: synonyms become their tag, new words new tags."""
    _, known = await _look_up(writer, None, list(names))
    return await _with_new_tags(writer, known, names)


async def _with_new_tags(writer: Writer, known: KnownTags, names: Iterable[str]) -> KnownTags:
    # Sorted, so that two posts with the same new tags cannot wait for each other.
    words = sorted(set(names) - set(known))
    if not words:
        return known
    rows = [{"id": new_id(), "name": word, "created_at": utcnow()} for word in words]
    session = await writer.session()
    await session.execute(insert(Tag).values(rows).on_conflict_do_nothing())
    _, made = await _look_up(session, None, words)
    return known | made


async def _look_up(
    reader: Reader, slug: str | None, words: Sequence[str], loc: tuple[str, ...] = ("body", "topic")
) -> tuple[UUID | None, KnownTags]:
    """The topic of a slug and the tag behind each word that has one, by one statement.

    Raises Unprocessable when there is no such topic.
    """
    if slug is None and not words:
        return None, {}
    rows = await reader.fetch(_places(), {"slug": slug, "words": tuple(words)})
    topic_id = next((row["id"] for row in rows if row["name"] is None), None)
    if slug is not None and topic_id is None:
        raise Unprocessable(f"There is no topic {slug}", loc=loc)
    return topic_id, {row["word"]: (row["id"], row["name"]) for row in rows if row["name"]}


@cache
def _places() -> Prepared:
    """Tags by their name, those that a word is a synonym of, and the topic, without a name."""
    is_wanted = any_(bindparam("words", type_=ARRAY(Text)))
    slug = text_parameter("slug")
    tags: Any = select(col(Tag.name).label("word"), col(Tag.id), col(Tag.name))
    synonyms = select(col(TagSynonym.name), col(Tag.id), col(Tag.name)).join(
        Tag, col(Tag.id) == TagSynonym.tag_id
    )
    topic: Any = select(slug, col(Topic.id), null()).where(col(Topic.slug) == slug)
    found = union_all(
        tags.where(col(Tag.name) == is_wanted),
        synonyms.where(col(TagSynonym.name) == is_wanted),
        topic,
    )
    return prepare(select(found.subquery()))


async def update_tag(
    session: AsyncSession, actor: Actor, name: str, form: TagUpdate, if_match: str
) -> None:
    """Describe a tag, or give it other synonyms; raises SynonymTaken."""
    tag = (
        await session.scalars(select(Tag).where(col(Tag.name) == name).with_for_update())
    ).first()
    if tag is None:
        raise NotFound(f"There is no tag {name}")
    require_version(if_match, tag.version)
    changes = form.changes()
    if "description" in changes:
        tag.description = changes["description"]
    if "synonyms" in changes:
        await _replace_synonyms(session, tag, sorted(set(changes["synonyms"])))
    tag.version += 1
    await session.flush()
    record(session, "tag.updated", actor_id=actor.id, subject_id=tag.id, name=tag.name)


async def _replace_synonyms(session: AsyncSession, tag: Tag, synonyms: list[str]) -> None:
    taken = await session.scalar(select(Tag.name).where(col(Tag.name).in_(synonyms)).limit(1))  # type: ignore[call-overload]
    if taken is not None:
        raise SynonymTaken(f"{taken} is a tag itself")
    await session.execute(delete(TagSynonym).where(col(TagSynonym.tag_id) == tag.id))
    if synonyms:
        try:
            rows = [{"name": word, "tag_id": tag.id} for word in synonyms]
            await session.execute(insert(TagSynonym).values(rows))
        except IntegrityError:
            raise SynonymTaken("One of the words belongs to another tag") from None

"""Reading topics with their counts, and tags."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, collate, func, literal, literal_column, select
from sqlalchemy import text as sql_text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased
from sqlmodel import col

from backend_hub.db import AsyncSession
from backend_hub.errors import NotFound
from backend_hub.http.cursors import Order, Page, PageParams, read_page
from backend_hub.topics.models import Tag, TagSynonym, Topic, TopicMaintainer
from backend_hub.topics.schemas import TagRead, TopicDetail, TopicRead
from backend_hub.users.models import User

EMPTY_ARRAY: ColumnElement[Any] = literal_column("'[]'::json")


def _tree() -> CTE:
    """Every topic with its depth, and a `path` that sorts topics as a tree is read."""
    # Byte order: a locale's would look past the blanks that part the levels.
    key = collate(func.concat(func.lpad(func.concat(Topic.position), 6, "0"), Topic.slug), "C")
    top = (
        select(col(Topic.id), literal(0).label("depth"), key.label("path"))
        .where(col(Topic.parent_id).is_(None))
        .cte("tree", recursive=True)
    )
    below = select(col(Topic.id), top.c.depth + 1, collate(func.concat(top.c.path, " ", key), "C"))
    return top.union_all(below.join(top, col(Topic.parent_id) == top.c.id))


def _counts() -> CTE:
    """Of each topic, `top`: the visible resources and questions in it and all below it.

    The posts table is named in SQL: topics lie below posts, and may not import them.
    """
    root = select(col(Topic.id).label("top"), col(Topic.id)).cte("below", recursive=True)
    child = select(root.c.top, col(Topic.id)).join(root, col(Topic.parent_id) == root.c.id)
    below = root.union_all(child)
    posts = (
        select(
            literal_column("topic_id"),
            literal_column("count(*) FILTER (WHERE kind = 'resource')").label("resources"),
            literal_column("count(*) FILTER (WHERE kind = 'question')").label("questions"),
        )
        .select_from(sql_text("posts"))
        .where(sql_text("deleted_at IS NULL AND NOT draft AND topic_id IS NOT NULL"))
        .group_by(literal_column("topic_id"))
        .cte("counted")
    )
    return (
        select(
            below.c.top,
            func.coalesce(func.sum(posts.c.resources), 0).label("resources"),
            func.coalesce(func.sum(posts.c.questions), 0).label("questions"),
        )
        .select_from(below)
        .outerjoin(posts, posts.c.topic_id == below.c.id)
        .group_by(below.c.top)
        .cte("counts")
    )


def _topics(tree: CTE) -> Select[Any]:
    parent = aliased(Topic)
    counts = _counts()
    return (
        select(
            col(Topic.id),
            col(Topic.slug),
            col(Topic.name),
            col(parent.slug).label("parent"),
            col(Topic.description),
            col(Topic.position),
            tree.c.depth,
            counts.c.resources.label("resource_count"),
            counts.c.questions.label("question_count"),
            col(Topic.version),
        )
        .select_from(Topic)
        .join(tree, tree.c.id == Topic.id)
        .join(counts, counts.c.top == Topic.id)
        .outerjoin(parent, col(parent.id) == Topic.parent_id)
    )


async def list_topics(
    session: AsyncSession, parent: str | None, depth: int | None, page: PageParams
) -> Page[TopicRead]:
    """Topics as a tree is read: each before its sub-topics."""
    tree = _tree()
    statement = _topics(tree)
    if parent is not None:
        above = select(col(Topic.id)).where(col(Topic.slug) == parent).scalar_subquery()
        statement = statement.where(col(Topic.parent_id) == above)
    if depth is not None:
        statement = statement.where(tree.c.depth <= depth)
    order = Order("tree", [tree.c.path], descending=False)
    return await read_page(session, statement, order, page, TopicRead)


async def read_topic(session: AsyncSession, slug: str) -> TopicDetail:
    """A topic with its overview; raises NotFound."""
    names = aggregate_order_by(col(User.username), col(User.username))
    maintainers = (
        select(func.coalesce(func.json_agg(names), EMPTY_ARRAY))
        .select_from(TopicMaintainer)
        .join(User, col(User.id) == TopicMaintainer.user_id)
        .where(col(TopicMaintainer.topic_id) == Topic.id)
        .correlate(Topic)
        .scalar_subquery()
    )
    statement = _topics(_tree()).where(col(Topic.slug) == slug)
    statement = statement.add_columns(
        col(Topic.overview), col(Topic.overview_html), maintainers.label("maintainers")
    )
    row = (await session.execute(statement)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no topic {slug}")
    return TopicDetail.model_validate(dict(row))


def _tags() -> Select[Any]:
    words = aggregate_order_by(col(TagSynonym.name), col(TagSynonym.name))
    synonyms = (
        select(func.coalesce(func.json_agg(words), EMPTY_ARRAY))
        .where(col(TagSynonym.tag_id) == Tag.id)
        .correlate(Tag)
        .scalar_subquery()
    )
    # All less the hidden ones, both from indexes: to look at each post takes seconds.
    posts: ColumnElement[int] = literal_column(
        "(SELECT count(*) FROM post_tags WHERE post_tags.tag_id = tags.id)"
        " - (SELECT count(*) FROM post_tags JOIN posts ON posts.id = post_tags.post_id"
        " WHERE post_tags.tag_id = tags.id AND (posts.deleted_at IS NOT NULL OR posts.draft))"
    )
    return select(
        col(Tag.id),
        col(Tag.name),
        col(Tag.description),
        synonyms.label("synonyms"),
        posts.label("post_count"),
        col(Tag.version),
    )


async def list_tags(session: AsyncSession, prefix: str | None, page: PageParams) -> Page[TagRead]:
    """Tags by name; with a prefix those that begin with it, or have such a synonym."""
    statement = _tags()
    if prefix is not None:
        synonym = select(col(TagSynonym.tag_id)).where(
            col(TagSynonym.name).startswith(prefix, autoescape=True)
        )
        statement = statement.where(
            col(Tag.name).startswith(prefix, autoescape=True) | col(Tag.id).in_(synonym)
        )
    order = Order("name", [col(Tag.name)], descending=False)
    return await read_page(session, statement, order, page, TagRead)


async def read_tag(session: AsyncSession, name: str) -> TagRead:
    """A tag by its name or by a synonym; raises NotFound."""
    synonym = select(col(TagSynonym.tag_id)).where(col(TagSynonym.name) == name)
    statement = _tags().where((col(Tag.name) == name) | col(Tag.id).in_(synonym))
    statement = statement.order_by((col(Tag.name) == name).desc()).limit(1)
    row = (await session.execute(statement)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no tag {name}")
    return TagRead.model_validate(dict(row))

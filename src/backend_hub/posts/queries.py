"""The columns that every list and detail of posts selects, in one statement each.

Author, topic and tags come as JSON made by PostgreSQL, so a page of posts is one query however
many rows it has.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    Integer,
    Label,
    RowMapping,
    Select,
    case,
    func,
    literal,
    literal_column,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.errors import NotFound
from backend_hub.http.cursors import Order, Page, PageParams, read_page
from backend_hub.json_text import json_object
from backend_hub.posts.fulltext import matches, rank
from backend_hub.posts.models import Bookmark, Comment, Post, PostTag, Revision, Vote
from backend_hub.posts.schemas import (
    CommentRead,
    ContributorRead,
    PostRef,
    RevisionDetail,
    RevisionRead,
)
from backend_hub.posts.visibility import visible
from backend_hub.statements import text_parameter
from backend_hub.topics.models import Tag, TagSynonym, Topic
from backend_hub.topics.service import subtree
from backend_hub.users.models import User

NEWEST = Order("newest", [col(Post.id)])
ACTIVE = Order("active", [col(Post.last_activity_at), col(Post.id)])
TOP = Order("top", [col(Post.score), col(Post.id)])
RELEVANT = Order("relevance", [rank(text_parameter("q")), col(Post.id)])
"""To the parameter `q`."""
ORDERS = {order.name: order for order in (NEWEST, ACTIVE, TOP, RELEVANT)}


def author_json(user: Any = User) -> Any:
    """An Author (posts/schemas.py) as a JSON object."""
    return json_object((user.id, user.username, user.display_name))


def tag_names(post: Any = Post) -> Any:
    """The post's tags in their author's order, as a JSON array."""
    names = func.json_agg(aggregate_order_by(col(Tag.name), col(PostTag.position)), type_=JSON)
    return (
        select(func.coalesce(names, literal_column("'[]'::json")))
        .select_from(PostTag)
        .join(Tag, col(Tag.id) == PostTag.tag_id)
        .where(col(PostTag.post_id) == post.id)
        .correlate(post)
        .scalar_subquery()
    )


def topic_json(post: Any = Post) -> Any:
    return (
        select(json_object((Topic.slug, Topic.name)))
        .where(col(Topic.id) == post.topic_id)
        .correlate(post)
        .scalar_subquery()
    )


def post_columns() -> list[Any]:
    """What PostRead shows; the statement must join User as the author."""
    return [
        col(Post.id),
        author_json().label("author"),
        col(Post.language),
        col(Post.license),
        col(Post.score),
        col(Post.comment_count),
        col(Post.revision),
        col(Post.version),
        col(Post.created_at),
        col(Post.updated_at),
        col(Post.last_activity_at),
    ]


def titled_columns() -> list[Any]:
    """What TitledPostRead shows."""
    return [
        *post_columns(),
        col(Post.title),
        topic_json().label("topic"),
        tag_names().label("tags"),
    ]


def text_columns(actor: Actor | None) -> list[Any]:
    """What PostText adds on a post's own page."""
    return [
        col(Post.body),
        col(Post.body_html),
        col(Post.deleted_at),
        viewer_json(actor).label("viewer"),
    ]


def viewer_json(actor: Actor | None) -> Any:
    if actor is None:
        return null()
    vote = select(col(Vote.value)).where(
        col(Vote.post_id) == Post.id, col(Vote.user_id) == actor.id
    )
    bookmark = select(col(Bookmark.post_id)).where(
        col(Bookmark.post_id) == Post.id, col(Bookmark.user_id) == actor.id
    )
    value = func.coalesce(vote.correlate(Post).scalar_subquery(), 0, type_=Integer)
    kept = bookmark.correlate(Post).exists()
    return json_object((value.label("vote"), kept.label("bookmarked")))


def from_posts(columns: list[Any]) -> Select[Any]:
    """A statement over posts joined with their authors."""
    return select(*columns).select_from(Post).join(User, col(User.id) == Post.author_id)


def tagged(name: Any, post_id: Any = None) -> Any:
    """Whether the post carries the tag, or the tag that the name is a synonym of.

    `post_id` is whose tags count, when it is not the post itself.
    """
    tag_ids = (
        select(col(Tag.id))
        .where(col(Tag.name) == func.lower(name))
        .union_all(select(col(TagSynonym.tag_id)).where(col(TagSynonym.name) == func.lower(name)))
    )
    return (
        select(literal(1))
        .where(
            col(PostTag.post_id) == (col(Post.id) if post_id is None else post_id),
            col(PostTag.tag_id).in_(tag_ids),
        )
        .correlate(Post)
        .exists()
    )


def written_by(username: Any) -> Any:
    return col(Post.author_id).in_(
        select(col(User.id)).where(func.lower(User.username) == func.lower(username))
    )


POST_CONDITIONS: dict[str, Callable[[Any], Any]] = {
    "topic": lambda slug: col(Post.topic_id).in_(subtree(slug)),
    "tag": tagged,
    "author": written_by,
    "language": lambda language: col(Post.language) == language,
    "q": matches,
}
"""What the filters that all lists of posts share ask, given the value or its parameter."""


def set_filters(filters: Any) -> frozenset[str]:
    """The names of the filters that are set."""
    return frozenset(name for name, value in vars(filters).items() if value is not None)


def post_ref_columns() -> list[Label[Any]]:
    """What PostRef shows: an answer has the title of its question, and no page of its own."""
    parent = aliased(Post)
    parent_title = select(col(parent.title)).where(col(parent.id) == Post.parent_id)
    title = case(
        (col(Post.kind) == "answer", parent_title.correlate(Post).scalar_subquery()),
        else_=col(Post.title),
    )
    return [
        col(Post.id).label("id"),
        col(Post.kind).label("kind"),
        title.label("title"),
        func.concat("/api/v1/", Post.kind, "s/", Post.id).label("href"),
        author_json().label("author"),
        col(Post.score).label("score"),
        col(Post.created_at).label("created_at"),
        col(Post.last_activity_at).label("last_activity_at"),
    ]


async def one(
    session: AsyncSession, statement: Select[Any], **parameters: Any
) -> RowMapping | None:
    result = await session.exec(statement, params=parameters)  # type: ignore[call-overload]
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def read_post_ref(session: AsyncSession, actor: Actor | None, post_id: UUID) -> PostRef:
    """Any visible post in a few words; raises NotFound."""
    row = await one(
        session, from_posts(post_ref_columns()).where(col(Post.id) == post_id, visible(actor))
    )
    if row is None:
        raise NotFound("There is no such post")
    return PostRef.model_validate(dict(row))


async def list_posts_by(
    session: AsyncSession, actor: Actor | None, username: str, kind: str | None, page: PageParams
) -> Page[PostRef]:
    statement = from_posts(post_ref_columns()).where(written_by(username), visible(actor))
    if kind is not None:
        statement = statement.where(col(Post.kind) == kind)
    return await read_page(session, statement, NEWEST, page, PostRef)


async def list_bookmarks(session: AsyncSession, actor: Actor, page: PageParams) -> Page[PostRef]:
    """The newest bookmark first."""
    statement = (
        from_posts(post_ref_columns())
        .join(Bookmark, col(Bookmark.post_id) == Post.id)
        .where(col(Bookmark.user_id) == actor.id, visible(actor))
    )
    order = Order("bookmarked", [col(Bookmark.created_at), col(Bookmark.post_id)])
    return await read_page(session, statement, order, page, PostRef)


def comment_columns() -> list[Any]:
    return [
        col(Comment.id),
        col(Comment.post_id),
        author_json().label("author"),
        col(Comment.body),
        col(Comment.body_html),
        col(Comment.version),
        col(Comment.created_at),
        col(Comment.updated_at),
    ]


def from_comments() -> Select[Any]:
    return (
        select(*comment_columns())
        .select_from(Comment)
        .join(User, col(User.id) == Comment.author_id)
        .where(col(Comment.deleted_at).is_(None))
    )


async def read_comment(session: AsyncSession, actor: Actor | None, comment_id: UUID) -> CommentRead:
    """One comment under a visible post; raises NotFound."""
    statement = from_comments().join(Post, col(Post.id) == Comment.post_id)
    row = await one(session, statement.where(col(Comment.id) == comment_id, visible(actor)))
    if row is None:
        raise NotFound("There is no such comment")
    return CommentRead.model_validate(dict(row))


async def list_comments(
    session: AsyncSession, post_id: UUID, page: PageParams
) -> Page[CommentRead]:
    """The oldest first, as a conversation is read."""
    statement = from_comments().where(col(Comment.post_id) == post_id)
    order = Order("oldest", [col(Comment.id)], descending=False)
    return await read_page(session, statement, order, page, CommentRead)


def revision_columns() -> list[Any]:
    reviewer = aliased(User)
    reviewed_by = select(author_json(reviewer)).where(col(reviewer.id) == Revision.reviewer_id)
    return [
        col(Revision.number),
        author_json().label("editor"),
        reviewed_by.correlate(Revision).scalar_subquery().label("reviewer"),
        col(Revision.contribution_id),
        col(Revision.summary),
        col(Revision.created_at),
    ]


def from_revisions(columns: list[Any], post_id: UUID) -> Select[Any]:
    return (
        select(*columns)
        .select_from(Revision)
        .join(User, col(User.id) == Revision.editor_id)
        .where(col(Revision.post_id) == post_id)
    )


async def list_revisions(
    session: AsyncSession, post_id: UUID, page: PageParams
) -> Page[RevisionRead]:
    statement = from_revisions(revision_columns(), post_id)
    order = Order("number", [col(Revision.number)])
    return await read_page(session, statement, order, page, RevisionRead)


async def read_revision(session: AsyncSession, post_id: UUID, number: int) -> RevisionDetail:
    """One revision with its content; raises NotFound."""
    columns = [*revision_columns(), col(Revision.content)]
    row = await one(session, from_revisions(columns, post_id).where(col(Revision.number) == number))
    if row is None:
        raise NotFound(f"There is no revision {number}")
    return RevisionDetail.model_validate(dict(row))


async def list_contributors(
    session: AsyncSession, post_id: UUID, page: PageParams
) -> Page[ContributorRead]:
    """Everyone whose edits or reviews are in the post, in the order of their names."""
    work = (
        select(
            col(Revision.editor_id).label("user_id"), literal(1).label("e"), literal(0).label("r")
        )
        .where(col(Revision.post_id) == post_id)
        .union_all(
            select(col(Revision.reviewer_id), literal(0), literal(1)).where(
                col(Revision.post_id) == post_id, col(Revision.reviewer_id).is_not(None)
            )
        )
        .subquery()
    )
    credit = (
        select(
            work.c.user_id, func.sum(work.c.e).label("edits"), func.sum(work.c.r).label("reviews")
        )
        .group_by(work.c.user_id)
        .subquery()
    )
    statement = (
        select(author_json().label("user"), credit.c.edits, credit.c.reviews)
        .select_from(credit)
        .join(User, col(User.id) == credit.c.user_id)
    )
    order = Order("username", [func.lower(User.username)], descending=False)
    return await read_page(session, statement, order, page, ContributorRead)

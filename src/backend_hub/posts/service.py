"""What can be done to every post: write, edit, delete, restore, bookmark."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, literal, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import SQLModel, col, select

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession, new_id, utcnow
from backend_hub.errors import Conflict, Forbidden, NotFound
from backend_hub.events.service import event, record
from backend_hub.http.etag import require_version
from backend_hub.http.markdown import render_markdown
from backend_hub.inserting import insert_together
from backend_hub.posts.content import PostContent, TextContent
from backend_hub.posts.diffs import diff
from backend_hub.posts.fulltext import (
    SEARCH_VECTOR,
    configuration_for,
    search_words,
    vector_of,
)
from backend_hub.posts.models import Bookmark, Post, PostKind, PostTag, Revision
from backend_hub.posts.schemas import DiffRead
from backend_hub.posts.visibility import reachable, visible
from backend_hub.topics.service import (
    find_topic_id,
    find_topic_slug,
    resolve_tags,
    topic_exists,
)


class NotDeleted(Conflict):
    code, title = "not_deleted", "It was not deleted"


@dataclass(frozen=True)
class Credit:
    """Whose work a revision is, and, for a merged contribution, who approved it."""

    editor_id: UUID
    reviewer_id: UUID | None = None
    contribution_id: UUID | None = None


def for_change(statement: Any) -> Any:
    """Lock the rows found until the transaction ends.

    `FOR NO KEY UPDATE`, not `FOR UPDATE`: the latter conflicts with the foreign key of every
    comment and vote that is being written, and two of those with one of these are a deadlock.
    """
    return statement.with_for_update(key_share=True)


async def require_visible(session: AsyncSession, actor: Actor | None, post_id: UUID) -> None:
    """Raise NotFound unless the actor may see the post; reads nothing of its text."""
    found = await session.exec(select(Post.id).where(Post.id == post_id, visible(actor)))
    if found.first() is None:
        raise NotFound("There is no such post")


async def lock_post(session: AsyncSession, actor: Actor, post_id: UUID, kind: PostKind) -> Post:
    """The post of that kind, locked for a change, deleted ones too where the actor may restore."""
    statement = select(Post).where(Post.id == post_id, Post.kind == kind, reachable(actor))
    post: Post | None = (await session.exec(for_change(statement))).first()
    if post is None:
        raise NotFound(f"There is no such {kind}")
    return post


def require_author(post: Post, actor: Actor) -> None:
    """Raise Forbidden unless the actor wrote the post or moderates."""
    if post.author_id != actor.id and not actor.moderates:
        raise Forbidden("Only its author may do this")


async def create_post(
    session: AsyncSession,
    author_id: UUID,
    kind: PostKind,
    content: TextContent,
    *,
    post_id: UUID | None = None,
    rows: Sequence[SQLModel] = (),
    summary: str = "",
    credit: Credit | None = None,
    **columns: Any,
) -> Post:
    """Write a post, its first revision, and further rows, such as that of its kind, at once.

    The session does not know the post that is returned: a change of it would not be written.
    """
    credit = credit or Credit(editor_id=author_id)
    post = Post(
        id=post_id or new_id(),
        kind=kind,
        author_id=author_id,
        body="",
        body_html="",
        language=content.language,
        license=content.license,
        revision=0,
        version=0,
        **columns,
    )
    tags = await _set_content(session, post, content)
    created = event(f"{kind}.created", actor_id=author_id, subject_id=post.id, post_id=post.id)
    await insert_together(
        session,
        [
            *(post, *rows, *_post_tags(post, tags)),
            *(_revision(post, content, tags, credit, summary), created),
        ],
        computed={"search": SEARCH_VECTOR},
        values=_search_words(post, tags),
    )
    return post


async def write_revision(
    session: AsyncSession,
    post: Post,
    content: TextContent,
    credit: Credit,
    *,
    summary: str,
) -> None:
    """Make `content` the post's text, as a new revision; the row must be locked."""
    tags = await _set_content(session, post, content)
    words = _search_words(post, tags).values()
    vector: Any = vector_of(*(literal(text) for text in words))
    post.search = vector  # an SQL expression, run on flush
    await session.execute(delete(PostTag).where(col(PostTag.post_id) == post.id))
    session.add_all(_post_tags(post, tags))
    session.add(_revision(post, content, tags, credit, summary))
    await session.flush()


Tags = list[tuple[UUID, str]]


async def _set_content(session: AsyncSession, post: Post, content: TextContent) -> Tags:
    """Make the content the post's next revision; gives the id and name of each tag."""
    post.body_html = await render_markdown(content.body)
    post.body, post.language, post.license = content.body, content.language, content.license
    tags: Tags = []
    if isinstance(content, PostContent):
        post.title = content.title
        post.topic_id = await find_topic_id(session, content.topic)
        tags = await resolve_tags(session, content.tags)
    post.search_config = configuration_for(content.language)
    post.revision += 1
    post.version += 1
    post.updated_at = post.last_activity_at = utcnow()
    return tags


def _search_words(post: Post, tags: Tags) -> dict[str, str]:
    names = [name for _, name in tags]
    return search_words(post.search_config, post.title, names, post.body)


def _post_tags(post: Post, tags: Tags) -> list[PostTag]:
    return [
        PostTag(post_id=post.id, tag_id=tag_id, position=position)
        for position, (tag_id, _) in enumerate(tags)
    ]


def _revision(
    post: Post, content: TextContent, tags: Tags, credit: Credit, summary: str
) -> Revision:
    """The row of the post's latest revision; synonyms of tags are replaced in it."""
    canonical = {"tags": [name for _, name in tags]} if isinstance(content, PostContent) else {}
    return Revision(
        post_id=post.id,
        number=post.revision,
        editor_id=credit.editor_id,
        reviewer_id=credit.reviewer_id,
        contribution_id=credit.contribution_id,
        summary=summary,
        content={**content.model_dump(mode="json"), **canonical},
        created_at=post.updated_at,
    )


async def edit_post(
    session: AsyncSession,
    actor: Actor,
    post: Post,
    content: TextContent,
    *,
    summary: str,
    credit: Credit | None = None,
) -> None:
    """Write a revision and tell of it; who may edit is the caller's to check."""
    credit = credit or Credit(editor_id=actor.id)
    await write_revision(session, post, content, credit, summary=summary)
    record(
        session,
        f"{post.kind}.edited",
        actor_id=actor.id,
        subject_id=post.id,
        post_id=post.id,
        revision=post.revision,
    )


async def get_revision(session: AsyncSession, post_id: UUID, number: int) -> Revision:
    """One revision; raises NotFound."""
    revision = await session.get(Revision, (post_id, number))
    if revision is None:
        raise NotFound(f"There is no revision {number}")
    return revision


async def revision_content(session: AsyncSession, post: Post, number: int) -> dict[str, Any]:
    """The content of a revision as it may be written again; raises NotFound.

    Topics are renamed and deleted: the post's own stands for the latest revision's, and for an
    earlier one's that is gone.
    """
    content = (await get_revision(session, post.id, number)).content
    if "topic" not in content:
        return content
    now = await find_topic_slug(session, post.topic_id)
    then = content["topic"]
    kept = number != post.revision and (then is None or await topic_exists(session, then))
    return content if kept else {**content, "topic": now}


async def diff_revisions(
    session: AsyncSession, post_id: UUID, from_revision: int, to_revision: int
) -> DiffRead:
    """How a post's content differs between two revisions; raises NotFound."""
    before = await get_revision(session, post_id, from_revision)
    after = await get_revision(session, post_id, to_revision)
    fields = await diff(before.content, after.content)
    return DiffRead(from_revision=from_revision, to_revision=to_revision, fields=fields)


async def delete_post(session: AsyncSession, actor: Actor, post: Post, if_match: str) -> None:
    """Hide a post; its author and moderators can bring it back."""
    require_author(post, actor)
    if post.deleted_at is not None:
        raise NotFound(f"There is no such {post.kind}")
    require_version(if_match, post.version)
    await _mark_deleted(session, actor, post, deleted=True)


async def restore_post(session: AsyncSession, actor: Actor, post: Post) -> None:
    """Undo a deletion; what a moderator deleted only moderators bring back."""
    require_author(post, actor)
    if post.deleted_at is None:
        raise NotDeleted
    if post.deleted_by_id != actor.id and not actor.moderates:
        raise Forbidden("A moderator deleted it: only a moderator can restore it")
    await _mark_deleted(session, actor, post, deleted=False)


async def _mark_deleted(session: AsyncSession, actor: Actor, post: Post, *, deleted: bool) -> None:
    post.deleted_at = utcnow() if deleted else None
    post.deleted_by_id = actor.id if deleted else None
    post.version += 1
    await session.execute(
        update(Post).where(col(Post.parent_id) == post.id).values(parent_deleted=deleted)
    )
    verb = "deleted" if deleted else "restored"
    record(
        session,
        f"{post.kind}.{verb}",
        actor_id=actor.id,
        subject_id=post.id,
        post_id=post.id,
        private=True,
    )
    await session.flush()


async def add_bookmark(session: AsyncSession, actor: Actor, post_id: UUID) -> None:
    await require_visible(session, actor, post_id)
    row = {"post_id": post_id, "user_id": actor.id, "created_at": utcnow()}
    await session.execute(insert(Bookmark).values(row).on_conflict_do_nothing())


async def remove_bookmark(session: AsyncSession, actor: Actor, post_id: UUID) -> None:
    await session.execute(
        delete(Bookmark).where(col(Bookmark.post_id) == post_id, col(Bookmark.user_id) == actor.id)
    )

"""What can be done to every post: write, edit, delete, restore, vote, bookmark, comment."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession, new_id, utcnow
from backend_hub.errors import Conflict, Forbidden, NotFound
from backend_hub.events.service import record
from backend_hub.http.etag import require_version
from backend_hub.http.markdown import render_markdown
from backend_hub.posts.content import PostContent, TextContent
from backend_hub.posts.diffs import diff
from backend_hub.posts.fulltext import configuration_for, search_vector
from backend_hub.posts.models import Bookmark, Post, PostKind, PostTag, Revision, Vote
from backend_hub.posts.schemas import DiffRead, VoteRead, VoteUpdate
from backend_hub.posts.visibility import reachable, visible
from backend_hub.topics.service import (
    find_topic_id,
    find_topic_slug,
    resolve_tags,
    topic_exists,
)


class OwnVote(Forbidden):
    code, title = "own_post", "You cannot vote on your own post"


class NotDeleted(Conflict):
    code, title = "not_deleted", "It was not deleted"


@dataclass(frozen=True)
class Credit:
    """Whose work a revision is, and, for a merged contribution, who approved it."""

    editor_id: UUID
    reviewer_id: UUID | None = None
    contribution_id: UUID | None = None


async def get_visible_post(
    session: AsyncSession, actor: Actor | None, post_id: UUID, *, lock: bool = False
) -> Post:
    """The post, if the actor may see it; raises NotFound."""
    statement = select(Post).where(Post.id == post_id, visible(actor))
    if lock:
        statement = for_change(statement)
    post = (await session.exec(statement)).first()
    if post is None:
        raise NotFound("There is no such post")
    return post


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
    summary: str = "",
    credit: Credit | None = None,
    **columns: Any,
) -> Post:
    """Write a post and its first revision; the caller adds the row of its kind.

    Only the examples of a development hub choose their `post_id`.
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
    session.add(post)
    await write_revision(session, post, content, credit, summary=summary)
    record(session, f"{kind}.created", actor_id=author_id, subject_id=post.id, post_id=post.id)
    return post


async def write_revision(
    session: AsyncSession,
    post: Post,
    content: TextContent,
    credit: Credit,
    *,
    summary: str,
) -> None:
    """Make `content` the post's text, as a new revision; the row must be locked or new."""
    post.body_html = await render_markdown(content.body)
    post.body, post.language, post.license = content.body, content.language, content.license
    tags: list[tuple[UUID, str]] = []
    if isinstance(content, PostContent):
        post.title = content.title
        post.topic_id = await find_topic_id(session, content.topic)
        tags = await resolve_tags(session, content.tags)
    post.search_config = configuration_for(content.language)
    post.search = search_vector(  # type: ignore[assignment]  # an SQL expression, run on flush
        post.search_config, post.title, [name for _, name in tags], content.body
    )
    now = utcnow()
    post.revision += 1
    post.version += 1
    post.updated_at = post.last_activity_at = now
    await session.flush()
    await _replace_tags(session, post, tags)
    session.add(
        Revision(
            post_id=post.id,
            number=post.revision,
            editor_id=credit.editor_id,
            reviewer_id=credit.reviewer_id,
            contribution_id=credit.contribution_id,
            summary=summary,
            content={**content.model_dump(mode="json"), **_canonical(content, tags)},
            created_at=now,
        )
    )
    await session.flush()


def _canonical(content: TextContent, tags: list[tuple[UUID, str]]) -> dict[str, Any]:
    """What the hub made of the tags: synonyms replaced."""
    return {"tags": [name for _, name in tags]} if isinstance(content, PostContent) else {}


async def _replace_tags(session: AsyncSession, post: Post, tags: list[tuple[UUID, str]]) -> None:
    if post.revision > 1:
        await session.execute(delete(PostTag).where(col(PostTag.post_id) == post.id))
    if tags:
        rows = [
            {"post_id": post.id, "tag_id": tag_id, "position": position}
            for position, (tag_id, _) in enumerate(tags)
        ]
        await session.execute(insert(PostTag).values(rows))


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


_turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()


async def vote(session: AsyncSession, actor: Actor, post_id: UUID, form: VoteUpdate) -> VoteRead:
    """Set the actor's vote; raises OwnVote.

    Voters of one post take turns here, before any of them holds a connection: on the row's lock
    a popular post would hold the whole pool, and the last voters would get 503.
    """
    async with _turns.setdefault(post_id, asyncio.Lock()):
        return await _vote(session, actor, post_id, form)


async def _vote(session: AsyncSession, actor: Actor, post_id: UUID, form: VoteUpdate) -> VoteRead:
    """The locked post makes every vote count once, whichever process it comes through."""
    post = await get_visible_post(session, actor, post_id, lock=True)
    if post.author_id == actor.id:
        raise OwnVote
    before = await session.get(Vote, (post.id, actor.id))
    delta = form.value - (before.value if before else 0)
    if delta == 0:
        return VoteRead(value=form.value, score=post.score)
    if before is None:
        session.add(Vote(post_id=post.id, user_id=actor.id, value=form.value))
    elif form.value == 0:
        await session.delete(before)
    else:
        before.value = form.value
    changed = update(Post).where(col(Post.id) == post.id).values(score=Post.score + delta)
    score = (await session.execute(changed.returning(col(Post.score)))).scalar_one()
    record(
        session,
        "post.voted",
        actor_id=actor.id,
        subject_id=post.id,
        post_id=post.id,
        private=True,
        value=form.value,
    )
    return VoteRead(value=form.value, score=score)


async def add_bookmark(session: AsyncSession, actor: Actor, post_id: UUID) -> None:
    await require_visible(session, actor, post_id)
    row = {"post_id": post_id, "user_id": actor.id, "created_at": utcnow()}
    await session.execute(insert(Bookmark).values(row).on_conflict_do_nothing())


async def remove_bookmark(session: AsyncSession, actor: Actor, post_id: UUID) -> None:
    await session.execute(
        delete(Bookmark).where(col(Bookmark.post_id) == post_id, col(Bookmark.user_id) == actor.id)
    )

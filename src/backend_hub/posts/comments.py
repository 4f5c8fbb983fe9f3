"""Comments: short remarks under a post, which have no comments themselves."""

from uuid import UUID

from sqlalchemy import update
from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import Forbidden, NotFound
from backend_hub.events.service import record
from backend_hub.http.etag import require_version
from backend_hub.http.markdown import render_markdown
from backend_hub.posts.models import Comment, Post
from backend_hub.posts.schemas import CommentCreate, CommentUpdate
from backend_hub.posts.service import require_visible
from backend_hub.posts.visibility import visible


async def create_comment(
    session: AsyncSession, actor: Actor, post_id: UUID, form: CommentCreate
) -> Comment:
    await require_visible(session, actor, post_id)
    comment = Comment(
        post_id=post_id,
        author_id=actor.id,
        body=form.body,
        body_html=await render_markdown(form.body),
    )
    session.add(comment)
    await _count_comment(session, post_id, 1)
    _record_comment(session, actor, comment, "created")
    await session.flush()
    return comment


async def _count_comment(session: AsyncSession, post_id: UUID, delta: int) -> None:
    counted = {"comment_count": Post.comment_count + delta}
    if delta > 0:
        counted["last_activity_at"] = utcnow()  # type: ignore[assignment]
    await session.execute(
        update(Post)
        .where(col(Post.id) == post_id)
        .values(**counted)
        .execution_options(synchronize_session=False)
    )


def _record_comment(session: AsyncSession, actor: Actor, comment: Comment, verb: str) -> None:
    record(
        session,
        f"comment.{verb}",
        actor_id=actor.id,
        subject_id=comment.id,
        post_id=comment.post_id,
    )


async def _lock_comment(session: AsyncSession, actor: Actor, comment_id: UUID) -> Comment:
    statement = (
        select(Comment)
        .join(Post)
        .where(Comment.id == comment_id, col(Comment.deleted_at).is_(None), visible(actor))
    )
    comment = (await session.exec(statement.with_for_update(of=Comment))).first()
    if comment is None:
        raise NotFound("There is no such comment")
    if comment.author_id != actor.id and not actor.moderates:
        raise Forbidden("Only its author may do this")
    return comment


async def update_comment(
    session: AsyncSession, actor: Actor, comment_id: UUID, form: CommentUpdate, if_match: str
) -> Comment:
    comment = await _lock_comment(session, actor, comment_id)
    require_version(if_match, comment.version)
    comment.body, comment.body_html = form.body, await render_markdown(form.body)
    comment.updated_at = utcnow()
    comment.version += 1
    _record_comment(session, actor, comment, "edited")
    await session.flush()
    return comment


async def delete_comment(
    session: AsyncSession, actor: Actor, comment_id: UUID, if_match: str
) -> None:
    comment = await _lock_comment(session, actor, comment_id)
    require_version(if_match, comment.version)
    comment.deleted_at = utcnow()
    await _count_comment(session, comment.post_id, -1)
    _record_comment(session, actor, comment, "deleted")

"""Asking, editing, closing and reopening questions; deleting and restoring them."""

from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession, Writer, utcnow
from backend_hub.errors import Conflict, Forbidden, NotFound, Unprocessable
from backend_hub.events.service import record
from backend_hub.http.etag import require_version
from backend_hub.http.models import IdempotencyRecord
from backend_hub.http.ready import Ready
from backend_hub.inserting import Row
from backend_hub.posts.content import PostContent
from backend_hub.posts.models import Post, PostKind
from backend_hub.posts.service import (
    delete_post,
    edit_post,
    lock_post,
    new_post,
    require_author,
    restore_post,
    revision_content,
)
from backend_hub.posts.visibility import reader_kind, visible
from backend_hub.questions.models import CloseReason, Question
from backend_hub.questions.queries import ready_question, whole_question
from backend_hub.questions.schemas import (
    DuplicateClose,
    PlainClose,
    QuestionCreate,
    QuestionRead,
    QuestionUpdate,
)


class QuestionHasAnswers(Conflict):
    code, title = "question_has_answers", "Others have answered it"


class QuestionClosed(Conflict):
    code, title = "question_closed", "The question is closed"


class QuestionOpen(Conflict):
    code, title = "question_open", "The question is open"


class DuplicateCircle(Conflict):
    code, title = "duplicate_circle", "That question is itself a duplicate of this one"


async def get_visible_question(
    session: AsyncSession, actor: Actor | None, post_id: UUID, *, lock: bool = False
) -> Post:
    """The post of a question, if the actor may see it; raises NotFound."""
    statement = select(Post).where(
        Post.id == post_id, Post.kind == PostKind.question, visible(actor)
    )
    post = (await session.exec(statement.with_for_update() if lock else statement)).first()
    if post is None:
        raise NotFound("There is no such question")
    return post


async def ask_question(
    writer: Writer, actor: Actor, post_id: UUID, content: PostContent, answer: Row | None = None
) -> Ready[QuestionRead]:
    """Ask a question; `answer` is the row that keeps it for who asks again with the same key."""
    rows: list[Row] = [
        (Question, {"post_id": post_id, "answer_count": 0}),
        *([answer] if answer else []),
    ]
    new = await new_post(writer, actor.id, PostKind.question, content, post_id=post_id, rows=rows)
    found = await new.write(
        writer,
        {"question_id": post_id, "actor_id": actor.id},
        reading=whole_question(reader_kind(actor), new=True),
        kept_in=IdempotencyRecord.body if answer else None,
    )
    return ready_question(found)


async def _lock_for_edit(session: AsyncSession, actor: Actor, post_id: UUID, if_match: str) -> Post:
    post = await lock_post(session, actor, post_id, PostKind.question)
    require_author(post, actor)
    if post.deleted_at is not None:
        raise NotFound("There is no such question")
    require_version(if_match, post.version)
    return post


async def edit_question(
    session: AsyncSession, actor: Actor, post_id: UUID, form: QuestionUpdate, if_match: str
) -> Post:
    """Apply a merge patch as a new revision."""
    post = await _lock_for_edit(session, actor, post_id, if_match)
    changes = form.changes()
    summary = changes.pop("summary", "")
    current = await revision_content(session, post, post.revision)
    await _replace_content(session, actor, post, {**current, **changes}, summary)
    return post


async def restore_revision(
    session: AsyncSession, actor: Actor, post_id: UUID, number: int, if_match: str
) -> Post:
    """Write the content of an earlier revision as a new one."""
    post = await _lock_for_edit(session, actor, post_id, if_match)
    content = await revision_content(session, post, number)
    await _replace_content(session, actor, post, content, f"Restored revision {number}")
    return post


async def _replace_content(
    session: AsyncSession, actor: Actor, post: Post, fields: dict[str, Any], summary: str
) -> None:
    """The next revision; answers follow their question to its topic."""
    topic_id = post.topic_id
    content = QuestionCreate.model_validate(fields)
    await edit_post(session, actor, post, content, summary=summary)
    if post.topic_id != topic_id:
        answers = update(Post).where(col(Post.parent_id) == post.id)
        await session.execute(answers.values(topic_id=post.topic_id))


async def delete_question(
    session: AsyncSession, actor: Actor, post_id: UUID, if_match: str
) -> None:
    """Hide a question with its answers; what others answered only moderators delete."""
    post = await lock_post(session, actor, post_id, PostKind.question)
    require_author(post, actor)
    if not actor.moderates and await _answered_by_others(session, post):
        raise QuestionHasAnswers("Others have answered it: only a moderator can delete it")
    await delete_post(session, actor, post, if_match)


async def _answered_by_others(session: AsyncSession, post: Post) -> bool:
    answers = select(Post.id).where(
        Post.parent_id == post.id,
        Post.author_id != post.author_id,
        col(Post.deleted_at).is_(None),
    )
    return (await session.exec(answers.limit(1))).first() is not None


async def restore_question(session: AsyncSession, actor: Actor, post_id: UUID) -> Post:
    """Bring a deleted question back with its answers."""
    post = await lock_post(session, actor, post_id, PostKind.question)
    await restore_post(session, actor, post)
    return post


async def close_question(
    session: AsyncSession, actor: Actor, post_id: UUID, form: DuplicateClose | PlainClose
) -> Post:
    """Take no more answers; raises QuestionClosed, and DuplicateCircle for duplicates."""
    duplicate_of_id = form.duplicate_of_id if isinstance(form, DuplicateClose) else None
    post = await get_visible_question(session, actor, post_id, lock=True)
    require_author(post, actor)
    question = await session.get_one(Question, post_id)
    if question.closed_at is not None:
        raise QuestionClosed("It is closed already: reopen it first")
    if duplicate_of_id is not None:
        await _require_original(session, actor, post_id, duplicate_of_id)
    question.closed_at, question.closed_by_id = utcnow(), actor.id
    question.close_reason, question.duplicate_of_id = form.reason, duplicate_of_id
    post.version += 1
    _record_state(session, actor, post, "closed", reason=CloseReason(form.reason).value)
    await session.flush()
    return post


async def _require_original(
    session: AsyncSession, actor: Actor, post_id: UUID, original_id: UUID
) -> None:
    """Raise unless the original is another visible question that does not lead back here.

    Two that would close the circle at once wait for each other's rows, through the foreign key:
    PostgreSQL breaks the deadlock, and the request that is run again finds the other's mark.
    """
    where = ("body", "duplicate_of_id")
    if original_id == post_id:
        raise Unprocessable("A question is no duplicate of itself", loc=where)
    try:
        await get_visible_question(session, actor, original_id)
    except NotFound:
        raise Unprocessable("There is no such question", loc=where) from None
    start = select(Question.duplicate_of_id).where(Question.post_id == original_id)
    path = start.cte("path", recursive=True)
    above = select(Question.duplicate_of_id).join(
        path, col(Question.post_id) == path.c.duplicate_of_id
    )
    chain = path.union(above)
    back = select(chain.c.duplicate_of_id).where(chain.c.duplicate_of_id == post_id)
    if (await session.exec(back)).first() is not None:
        raise DuplicateCircle


async def reopen_question(session: AsyncSession, actor: Actor, post_id: UUID) -> Post:
    """Take answers again; what a moderator closed only moderators reopen."""
    post = await get_visible_question(session, actor, post_id, lock=True)
    require_author(post, actor)
    question = await session.get_one(Question, post_id)
    if question.closed_at is None:
        raise QuestionOpen
    if question.closed_by_id != actor.id and not actor.moderates:
        raise Forbidden("A moderator closed it: only a moderator can reopen it")
    question.closed_at = question.closed_by_id = None
    question.close_reason = question.duplicate_of_id = None
    post.version += 1
    _record_state(session, actor, post, "reopened")
    await session.flush()
    return post


def _record_state(session: AsyncSession, actor: Actor, post: Post, verb: str, **data: Any) -> None:
    record(
        session,
        f"question.{verb}",
        actor_id=actor.id,
        subject_id=post.id,
        post_id=post.id,
        **data,
    )

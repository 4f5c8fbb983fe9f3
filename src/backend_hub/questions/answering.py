"""Answering, and accepting an answer.

Every verb locks the question before the answer, so that no two wait for each other.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession, new_id, utcnow
from backend_hub.errors import Forbidden, NotFound, Unprocessable
from backend_hub.events.service import record
from backend_hub.http.etag import require_version
from backend_hub.posts.content import TextContent
from backend_hub.posts.models import Post, PostKind
from backend_hub.posts.service import (
    create_post,
    delete_post,
    edit_post,
    get_revision,
    lock_post,
    require_author,
    restore_post,
)
from backend_hub.posts.visibility import reachable
from backend_hub.questions.models import Answer, Question
from backend_hub.questions.schemas import AnswerCreate, AnswerUpdate
from backend_hub.questions.service import QuestionClosed, get_visible_question


async def create_answer(
    session: AsyncSession, actor: Actor, question_id: UUID, form: AnswerCreate
) -> Post:
    """Answer an open question; raises QuestionClosed."""
    asked = await get_visible_question(session, actor, question_id, lock=True)
    if (await session.get_one(Question, question_id)).closed_at is not None:
        raise QuestionClosed("It takes no more answers")
    content = TextContent(
        body=form.body, language=form.language or asked.language, license=form.license
    )
    return await write_answer(session, actor.id, asked, content)


async def write_answer(
    session: AsyncSession, author_id: UUID, asked: Post, content: TextContent
) -> Post:
    """Add an answer for its author to a question whose post the caller has locked."""
    post_id = new_id()
    post = await create_post(
        session,
        author_id,
        PostKind.answer,
        content,
        post_id=post_id,
        rows=[(Answer, {"post_id": post_id, "question_id": asked.id})],
        parent_id=asked.id,
        topic_id=asked.topic_id,
    )
    asked.last_activity_at = post.created_at
    await _count_answer(session, asked.id, 1)
    return post


async def _count_answer(session: AsyncSession, question_id: UUID, delta: int) -> None:
    counted = update(Question).where(col(Question.post_id) == question_id)
    await session.execute(counted.values(answer_count=Question.answer_count + delta))


async def lock_answer(session: AsyncSession, actor: Actor, answer_id: UUID) -> tuple[Post, Post]:
    """An answer's question and the answer, both locked for a change; raises NotFound."""
    found = select(Post.parent_id).where(
        Post.id == answer_id, Post.kind == PostKind.answer, reachable(actor)
    )
    question_id = (await session.exec(found)).first()
    if question_id is None:
        raise NotFound("There is no such answer")
    question = select(Post).where(Post.id == question_id).with_for_update()
    asked = (await session.exec(question)).one()
    return asked, await lock_post(session, actor, answer_id, PostKind.answer)


async def _lock_for_edit(
    session: AsyncSession, actor: Actor, answer_id: UUID, if_match: str
) -> tuple[Post, Post]:
    asked, post = await lock_answer(session, actor, answer_id)
    require_author(post, actor)
    if post.deleted_at is not None or post.parent_deleted:
        raise NotFound("There is no such answer")
    require_version(if_match, post.version)
    return asked, post


async def edit_answer(
    session: AsyncSession, actor: Actor, answer_id: UUID, form: AnswerUpdate, if_match: str
) -> Post:
    """Apply a merge patch as a new revision; the question is active again."""
    asked, post = await _lock_for_edit(session, actor, answer_id, if_match)
    changes = form.changes()
    summary = changes.pop("summary", "")
    current = (await get_revision(session, answer_id, post.revision)).content
    await _replace_content(session, actor, asked, post, {**current, **changes}, summary)
    return post


async def restore_revision(
    session: AsyncSession, actor: Actor, answer_id: UUID, number: int, if_match: str
) -> Post:
    """Write the content of an earlier revision as a new one."""
    asked, post = await _lock_for_edit(session, actor, answer_id, if_match)
    content = (await get_revision(session, answer_id, number)).content
    await _replace_content(session, actor, asked, post, content, f"Restored revision {number}")
    return post


async def _replace_content(
    session: AsyncSession,
    actor: Actor,
    asked: Post,
    post: Post,
    fields: dict[str, Any],
    summary: str,
) -> None:
    content = TextContent.model_validate(fields)
    await edit_post(session, actor, post, content, summary=summary)
    asked.last_activity_at = utcnow()
    await session.flush()


async def delete_answer(
    session: AsyncSession, actor: Actor, answer_id: UUID, if_match: str
) -> None:
    """Hide an answer; the accepted one is accepted no more."""
    asked, post = await lock_answer(session, actor, answer_id)
    await delete_post(session, actor, post, if_match)
    await _count_answer(session, asked.id, -1)
    question = await session.get_one(Question, asked.id)
    if question.accepted_answer_id == answer_id:
        _accept(session, actor, asked, question, None)
        await session.flush()


async def restore_answer(session: AsyncSession, actor: Actor, answer_id: UUID) -> Post:
    """Bring a deleted answer back."""
    asked, post = await lock_answer(session, actor, answer_id)
    await restore_post(session, actor, post)
    await _count_answer(session, asked.id, 1)
    return post


async def accept_answer(
    session: AsyncSession, actor: Actor, question_id: UUID, answer_id: UUID, if_match: str
) -> Post:
    """Make it the one accepted answer, instead of any other; only the asker may."""
    asked, question = await _lock_own_question(session, actor, question_id, if_match)
    answer = select(Post.id).where(
        Post.id == answer_id, Post.parent_id == question_id, col(Post.deleted_at).is_(None)
    )
    if (await session.exec(answer)).first() is None:
        raise Unprocessable("The question has no such answer", loc=("body", "answer_id"))
    if question.accepted_answer_id != answer_id:
        _accept(session, actor, asked, question, answer_id)
        await session.flush()
    return asked


async def unaccept_answer(
    session: AsyncSession, actor: Actor, question_id: UUID, if_match: str
) -> None:
    """Leave the question without an accepted answer; raises NotFound when it has none."""
    asked, question = await _lock_own_question(session, actor, question_id, if_match)
    if question.accepted_answer_id is None:
        raise NotFound("No answer is accepted")
    _accept(session, actor, asked, question, None)
    await session.flush()


async def _lock_own_question(
    session: AsyncSession, actor: Actor, question_id: UUID, if_match: str
) -> tuple[Post, Question]:
    asked = await get_visible_question(session, actor, question_id, lock=True)
    if asked.author_id != actor.id:
        raise Forbidden("Only the asker accepts an answer")
    require_version(if_match, asked.version)
    return asked, await session.get_one(Question, question_id)


def _accept(
    session: AsyncSession, actor: Actor, asked: Post, question: Question, answer_id: UUID | None
) -> None:
    """Change which answer is accepted, and tell of each that is concerned."""
    changed = ((question.accepted_answer_id, "unaccepted"), (answer_id, "accepted"))
    for subject, verb in changed:
        if subject is not None:
            record(
                session,
                f"answer.{verb}",
                actor_id=actor.id,
                subject_id=subject,
                post_id=subject,
                question_id=str(asked.id),
            )
    question.accepted_answer_id = answer_id
    asked.version += 1

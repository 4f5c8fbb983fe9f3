"""The end of an account (docs/decisions/0014-leaving.md).

The row of the account stays, without anything of the person: what refers to it refers to a
deleted user. What they wrote stays too, or goes but for what others built upon.
"""

import secrets
from typing import Any
from uuid import UUID

from sqlalchemy import Text, and_, delete, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased
from sqlmodel import col

from backend_hub.account.holdings import HOLDINGS
from backend_hub.account.schemas import AccountDeletion
from backend_hub.auth.actor import Actor
from backend_hub.auth.schemas import DELETED_PREFIX
from backend_hub.contributions.models import Contribution, ContributionState
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import Unprocessable
from backend_hub.events.models import Event
from backend_hub.events.service import record
from backend_hub.http.models import IdempotencyRecord
from backend_hub.mail.models import Mail
from backend_hub.posts.comments import delete_comment
from backend_hub.posts.models import Comment, Post, PostKind, Revision
from backend_hub.posts.service import delete_post, lock_post
from backend_hub.posts.visibility import visible
from backend_hub.questions.answering import delete_answer
from backend_hub.questions.models import Question
from backend_hub.questions.service import delete_question
from backend_hub.resources.models import Resource
from backend_hub.resources.service import delete_resource
from backend_hub.users.models import Role, User
from backend_hub.users.service import lock_leaving_user

NAME = "Deleted user"


async def delete_account(session: AsyncSession, user_id: UUID, form: AccountDeletion) -> None:
    """Raises LastAdmin, and Unprocessable when another name was typed than one's own."""
    user = await lock_leaving_user(session, user_id)
    if form.username != user.username:
        raise Unprocessable("This is not your name", loc=("body", "username"))
    if form.content == "remove":
        await _remove_content(session, user)
    await _forget(session, user)
    record(session, "user.deleted", actor_id=user.id, subject_id=user.id, content=form.content)
    await session.flush()


async def _forget(session: AsyncSession, user: User) -> None:
    """Delete what was the person's alone, and take the person out of the rest."""
    for holding in HOLDINGS:
        if holding.deleted:
            await session.execute(delete(holding.on).where(holding.rows_of(user.id)))
    # Answers kept for retries hold what was written, and the first one the person's name.
    kept = or_(
        col(IdempotencyRecord.owner) == str(user.id),
        col(IdempotencyRecord.location) == f"/api/v1/users/{user.username}",
    )
    await session.execute(delete(IdempotencyRecord).where(kept))
    # Mails that wait name the account; those to nobody may, and are worth nothing.
    details: Any = col(Mail.details)
    to_them = or_(
        col(Mail.recipient).is_(None),
        func.lower(Mail.recipient) == (user.email or "").lower(),
        func.lower(details["username"].astext) == user.username.lower(),
    )
    await session.execute(delete(Mail).where(to_them))
    # What only they saw of the log says nothing any more; what all saw loses their name.
    private = col(Event.actor_id) == user.id, col(Event.audience) == "actor"
    await session.execute(update(Event).where(*private).values(data={}))
    data: Any = col(Event.data)
    naming = and_(
        col(Event.type).startswith("topic.maintainer_"),
        func.lower(data["user"].astext) == user.username.lower(),
    )
    nameless = data.op("-", return_type=JSONB())(literal("user", Text))
    await session.execute(update(Event).where(naming).values(data=nameless))
    user.username = f"{DELETED_PREFIX}{secrets.token_hex(6)}"
    user.display_name, user.bio, user.role = NAME, "", Role.member
    user.email = user.email_verified_at = user.password_hash = None
    user.disabled_at = user.disabled_at or utcnow()
    user.deleted_at = utcnow()
    user.version += 1
    await session.flush()


async def _remove_content(session: AsyncSession, user: User) -> None:
    """Delete what nobody else built upon, by the verbs that anybody deletes with, and blank it."""
    actor = Actor(user.id, user.username, Role.member, frozenset())
    gone = await _removable(session, user.id)
    # Answers before questions: a question's deletion hides what is left of its answers.
    for kind in (PostKind.answer, PostKind.question, PostKind.resource, PostKind.contribution):
        for post_id in [post_id for post_id, found in gone if found == kind]:
            await _delete_one(session, actor, kind, post_id)
    await _remove_comments(session, actor)
    deleted_before = select(col(Post.id)).where(
        col(Post.author_id) == user.id, col(Post.deleted_at).is_not(None)
    )
    await _blank(session, list((await session.execute(deleted_before)).scalars()))


async def _remove_comments(session: AsyncSession, actor: Actor) -> None:
    """Those that people see one by one, as anybody deletes them; then those under hidden posts."""
    mine = col(Comment.author_id) == actor.id
    alive = mine, col(Comment.deleted_at).is_(None)
    seen = select(col(Comment.id)).join(Post, col(Post.id) == Comment.post_id)
    seen = seen.where(*alive, visible(actor)).order_by(col(Comment.id))
    for comment_id in (await session.execute(seen)).scalars().all():
        await delete_comment(session, actor, comment_id, "*")
    hidden = select(col(Comment.post_id), func.count().label("number")).where(*alive)
    counts = hidden.group_by(col(Comment.post_id)).subquery()
    fewer = update(Post).where(col(Post.id) == counts.c.post_id)
    await session.execute(fewer.values(comment_count=Post.comment_count - counts.c.number))
    blank: dict[str, Any] = {"body": "", "body_html": "", "deleted_at": utcnow()}
    await session.execute(update(Comment).where(mine).values(blank))


async def _removable(session: AsyncSession, user_id: UUID) -> list[tuple[UUID, str]]:
    """The ids and kinds of the posts that nobody else built upon.

    An accepted answer is what a question is worth: it goes with the question, and not before.
    """
    answer: Any = aliased(Post)
    answered = exists().where(
        answer.parent_id == Post.id, answer.author_id != user_id, answer.deleted_at.is_(None)
    )
    accepted = exists().where(
        col(Question.accepted_answer_id) == Post.id, col(Question.post_id) == Post.parent_id
    )
    edited = exists().where(col(Revision.post_id) == Post.id, col(Revision.editor_id) != user_id)
    merged = exists().where(
        col(Contribution.post_id) == Post.id, col(Contribution.state) == ContributionState.merged
    )
    mine = col(Post.author_id) == user_id, col(Post.deleted_at).is_(None)
    found = select(col(Post.id), col(Post.kind), col(Post.parent_id), accepted.label("accepted"))
    rows = await session.execute(
        found.where(*mine, ~or_(answered, edited, merged)).order_by(col(Post.id))
    )
    posts = rows.all()
    going = {row.id for row in posts if row.kind == PostKind.question}
    return [(row.id, row.kind) for row in posts if not row.accepted or row.parent_id in going]


async def _delete_one(session: AsyncSession, actor: Actor, kind: PostKind, post_id: UUID) -> None:
    if kind == PostKind.contribution:
        post = await lock_post(session, actor, post_id, kind)
        await delete_post(session, actor, post, "*")
        return
    verbs = {
        PostKind.answer: delete_answer,
        PostKind.question: delete_question,
        PostKind.resource: delete_resource,
    }
    await verbs[kind](session, actor, post_id, "*")


async def _blank(session: AsyncSession, post_ids: list[UUID]) -> None:
    """Nothing is left of the text of deleted posts, and without a revision nobody restores them."""
    nothing: dict[str, Any] = {"title": "", "body": "", "body_html": "", "search": None}
    post = update(Post).where(col(Post.id).in_(post_ids))
    await session.execute(post.values(**nothing, revision=0))
    revisions = delete(Revision).where(col(Revision.post_id).in_(post_ids))
    await session.execute(revisions)
    resource = update(Resource).where(col(Resource.post_id).in_(post_ids))
    await session.execute(resource.values(details={}, source=None, url_key=None))
    links = resource.where(col(Resource.url).is_not(None))
    await session.execute(links.values(url=""))
    proposals = update(Contribution).where(col(Contribution.post_id).in_(post_ids))
    await session.execute(proposals.values(proposal={}))

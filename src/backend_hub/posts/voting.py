"""Votes: each person's latest one counts, and counts once, whichever process it comes through."""

import asyncio
from functools import cache
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from sqlalchemy import Integer, Uuid, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession, UTCDateTime, utcnow
from backend_hub.errors import Forbidden, NotFound
from backend_hub.events.service import event
from backend_hub.inserting import insert_together
from backend_hub.posts.models import Post, Vote
from backend_hub.posts.schemas import VoteRead, VoteUpdate
from backend_hub.posts.service import for_change
from backend_hub.posts.visibility import STAND_INS, ReaderKind, reader_kind, visible
from backend_hub.statements import Prepared, prepare

POST_ID = bindparam("post_id", type_=Uuid())
ACTOR_ID = bindparam("actor_id", type_=Uuid())
VALUE = bindparam("value", type_=Integer())
NOW = bindparam("now", type_=UTCDateTime)

_turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()


class OwnVote(Forbidden):
    code, title = "own_post", "You cannot vote on your own post"


async def vote(session: AsyncSession, actor: Actor, post_id: UUID, form: VoteUpdate) -> VoteRead:
    """Set the actor's vote; raises OwnVote.

    Voters of one post take turns here, before any of them holds a connection: on the row's lock
    a popular post would hold the whole pool, and the last voters would get 503.
    """
    async with _turns.setdefault(post_id, asyncio.Lock()):
        return await _vote(session, actor, post_id, form.value)


async def _vote(session: AsyncSession, actor: Actor, post_id: UUID, value: int) -> VoteRead:
    """The post is locked before its votes are looked at: two processes take turns too."""
    values: dict[str, Any] = {"post_id": post_id, "actor_id": actor.id}
    found = await session.fetch(_locked(reader_kind(actor)), values)
    if not found:
        raise NotFound("There is no such post")
    if found[0]["author_id"] == actor.id:
        raise OwnVote
    values |= {"value": value, "now": utcnow()}
    counted = (await session.fetch(_counted(bool(value)), values))[0]
    if counted["before"] != value:
        voted = event(
            "post.voted",
            actor_id=actor.id,
            subject_id=post_id,
            post_id=post_id,
            private=True,
            value=value,
        )
        await insert_together(session, [voted])
    return VoteRead(value=value, score=counted["score"])


@cache
def _locked(kind: ReaderKind) -> Prepared:
    shown = select(col(Post.author_id)).where(col(Post.id) == POST_ID, visible(STAND_INS[kind]))
    return prepare(for_change(shown))


@cache
def _counted(voted: bool) -> Prepared:
    """Keep the vote, or take it back, and move the score by what changed."""
    mine = (col(Vote.post_id) == POST_ID, col(Vote.user_id) == ACTOR_ID)
    before = func.coalesce(select(col(Vote.value)).where(*mine).scalar_subquery(), 0)
    moved = (
        update(Post)
        .where(col(Post.id) == POST_ID)
        .values(score=Post.score + VALUE - before)
        .returning(col(Post.score), before.label("before"))
        .cte("moved")
    )
    row = {"post_id": POST_ID, "user_id": ACTOR_ID, "value": VALUE, "created_at": NOW}
    kept: Any = delete(Vote).where(*mine)
    if voted:
        kept = insert(Vote).values(row)
        kept = kept.on_conflict_do_update(
            index_elements=["post_id", "user_id"], set_={"value": VALUE}
        )
    return prepare(select(moved).add_cte(kept.cte("kept")))

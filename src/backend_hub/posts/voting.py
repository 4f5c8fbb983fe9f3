"""Votes: each person's latest one counts, and counts once, whichever process it comes through."""

import asyncio
from functools import cache
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from pydantic import TypeAdapter
from sqlalchemy import Integer, Uuid, bindparam, delete, func, or_, select, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.db import UTCDateTime, Writer, utcnow
from backend_hub.errors import Forbidden, NotFound, Unavailable
from backend_hub.events.models import Event
from backend_hub.events.service import event_row
from backend_hub.http.ready import Ready, dump
from backend_hub.inserting import parameters, values_of
from backend_hub.posts.models import Post, Vote
from backend_hub.posts.schemas import VoteRead, VoteUpdate
from backend_hub.posts.visibility import STAND_INS, ReaderKind, reader_kind, visible
from backend_hub.statements import Prepared, prepare

POST_ID = bindparam("post_id", type_=Uuid())
ACTOR_ID = bindparam("actor_id", type_=Uuid())
VALUE = bindparam("value", type_=Integer())
NOW = bindparam("now", type_=UTCDateTime)

VOTE = TypeAdapter(VoteRead)

_turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()


class OwnVote(Forbidden):
    code, title = "own_post", "You cannot vote on your own post"


class VoteChanged(Unavailable):
    """Another process changed the same vote at this moment: the request is run again."""

    sqlstate = "40001"
    """What PostgreSQL calls it, and `http.routing.attempt` tries again."""


async def vote(writer: Writer, actor: Actor, post_id: UUID, form: VoteUpdate) -> Ready[VoteRead]:
    """Set the actor's vote; raises OwnVote.

    Voters of one post take turns here, before any of them holds a connection: on the row's lock
    a popular post would hold the whole pool, and the last voters would get 503.
    """
    values: dict[str, Any] = {
        "post_id": post_id,
        "actor_id": actor.id,
        "value": form.value,
        "now": utcnow(),
    }
    told = event_row(
        "post.voted",
        actor_id=actor.id,
        subject_id=post_id,
        post_id=post_id,
        private=True,
        value=form.value,
    )
    statement = _vote(reader_kind(actor), bool(form.value), tuple(told[1]))
    async with _turns.setdefault(post_id, asyncio.Lock()):
        found = await writer.write(statement, values | values_of(told))
    if not found:
        raise NotFound("There is no such post")
    if found[0]["author_id"] == actor.id:
        raise OwnVote
    if not found[0]["done"]:
        raise VoteChanged
    return Ready(dump({"value": form.value, "score": found[0]["score"]}), VOTE)


@cache
def _vote(kind: ReaderKind, up_or_down: bool, telling: tuple[str, ...]) -> Prepared:
    """Keep the vote, or take it back, move the score by what changed, and tell of it, by an event
    with the columns `telling`.

    All of it sees the votes as they were when the statement began. A vote that another process
    changed since is left alone, and nothing is `done`: the statement is run again.
    """
    mine = (col(Vote.post_id) == POST_ID, col(Vote.user_id) == ACTOR_ID)
    mine_before = select(col(Vote.value)).where(*mine).scalar_subquery()
    post = (
        select(col(Post.author_id), col(Post.score), func.coalesce(mine_before, 0).label("before"))
        .where(col(Post.id) == POST_ID, visible(STAND_INS[kind]))
        .cte("post")
    )
    before = select(post.c.before).scalar_subquery()
    changes = post.c.author_id != ACTOR_ID, post.c.before != VALUE
    # Only what is still as it was seen.
    if up_or_down:
        row = select(POST_ID, ACTOR_ID, VALUE, NOW).where(*changes, post.c.before == 0)
        given = insert(Vote).from_select(["post_id", "user_id", "value", "created_at"], row)
        turned = update(Vote).values(value=VALUE).where(*mine, col(Vote.value) == before, *changes)
        ways: list[Any] = [given.on_conflict_do_nothing(), turned]
    else:
        ways = [delete(Vote).where(*mine, col(Vote.value) == before, *changes)]
    done = [way.returning(col(Vote.post_id)).cte(f"way_{n}") for n, way in enumerate(ways)]
    kept = union_all(*(select(way) for way in done)).cte("kept")
    moved = (
        update(Post)
        .where(col(Post.id) == kept.c.post_id)
        .values(score=Post.score + VALUE - before)
        .returning(col(Post.score))
        .cte("moved")
    )
    event = select(*parameters(Event, telling).values()).select_from(moved)
    told = insert(Event).from_select(list(telling), event)
    score = select(moved.c.score).scalar_subquery()
    return prepare(
        select(
            post.c.author_id,
            func.coalesce(score, post.c.score).label("score"),
            or_(score.is_not(None), post.c.before == VALUE).label("done"),
        ).add_cte(told.cte("told"))
    )

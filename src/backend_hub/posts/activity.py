"""Reading the event log: what the reader may see, in an order that skips nothing."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    case,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import aliased
from sqlmodel import String, col

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.errors import Unprocessable
from backend_hub.events.models import Event
from backend_hub.http.cursors import Order, PageParams, decode_cursor, encode_cursor
from backend_hub.posts.models import Post
from backend_hub.posts.queries import author_json
from backend_hub.posts.schemas import EventPage, EventRead
from backend_hub.posts.visibility import visible
from backend_hub.users.models import User

LOG = Order("log", [col(Event.transaction_id), col(Event.id)], descending=False)

BEGINNING = encode_cursor(LOG.name, [0, 0])
"""The cursor before the first event."""

# Events of a transaction that is still running, or began after one that is, wait: else one that
# commits late would appear behind a reader's cursor and be missed.
SETTLED: ColumnElement[bool] = literal_column(
    "events.transaction_id < (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint"
)

# A reader's transaction id that this cluster has not reached came from the one before a restore.
NEXT_TRANSACTION: ColumnElement[int] = literal_column(
    "(pg_snapshot_xmax(pg_current_snapshot())::text)::bigint"
)


def _may_read(actor: Actor | None) -> ColumnElement[bool]:
    """Events of posts that the reader sees; private ones for who did it, and for moderators."""
    post_is_visible = or_(col(Event.post_id).is_(None), visible(actor))
    public = col(Event.audience) == "everyone"
    if actor is None:
        return and_(post_is_visible, public)
    if actor.moderates:
        return or_(col(Post.draft).is_not(True), col(Post.author_id) == actor.id)
    return or_(and_(post_is_visible, public), col(Event.actor_id) == actor.id)


async def list_events(
    session: AsyncSession, actor: Actor | None, type_prefix: str | None, page: PageParams
) -> EventPage:
    """Events after the cursor, the oldest first; from the beginning without one."""
    found = await read_events(session, actor, type_prefix, page)
    after = found[-1][0] if found else page.cursor or BEGINNING
    return EventPage(items=[event for _, event in found], next_cursor=after)


async def read_events(
    session: AsyncSession, actor: Actor | None, type_prefix: str | None, page: PageParams
) -> list[tuple[str, EventRead]]:
    """The same, each with the cursor that goes on after it."""
    statement = (
        select(
            sql_cast(Event.id, String).label("id"),
            col(Event.type),
            author_json().label("actor"),
            col(Event.post_id),
            col(Event.subject_id),
            col(Event.data),
            col(Event.created_at),
            col(Event.transaction_id),
        )
        .outerjoin(User, col(User.id) == Event.actor_id)
        .outerjoin(Post, col(Post.id) == Event.post_id)
        .where(SETTLED, _may_read(actor))
        .order_by(*LOG.columns)
        .limit(page.limit)
    )
    if type_prefix is not None:
        statement = statement.where(col(Event.type).startswith(type_prefix, autoescape=True))
    if page.cursor is not None:
        statement = statement.where(tuple_(*LOG.columns) > _position(page.cursor))
    rows = (await session.execute(statement)).mappings().all()
    return [
        (
            encode_cursor(LOG.name, [row["transaction_id"], int(row["id"])]),
            EventRead.model_validate(_event(row)),
        )
        for row in rows
    ]


def read_cursor(after: str) -> list[int]:
    """Transaction and number of the event that the reader saw last; raises Unprocessable."""
    try:
        return decode_cursor(after, LOG)
    except Unprocessable:
        raise Unprocessable(
            "The cursor is not one of this list's", loc=("query", "after")
        ) from None


def _position(after: str) -> Any:
    """Where a cursor's event stands now.

    In a restored hub (docs/decisions/0005-events.md) it is transaction 0, whatever its
    transaction was when the reader saw it.
    """
    transaction_id, event_id = read_cursor(after)
    seen = literal(transaction_id, BigInteger)
    event = aliased(Event)
    elsewhere = select(col(event.id)).where(
        col(event.id) == literal(event_id, BigInteger), col(event.transaction_id) != seen
    )
    lost_or_moved = or_(elsewhere.exists(), seen >= NEXT_TRANSACTION)
    return tuple_(
        case((lost_or_moved, literal(0, BigInteger)), else_=seen), literal(event_id, BigInteger)
    )


def _event(row: Any) -> dict[str, Any]:
    """The outer join gives an actor without an id where nobody acted."""
    actor = row["actor"] if row["actor"]["id"] is not None else None
    return {**row, "actor": actor}

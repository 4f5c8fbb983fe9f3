"""Recording what happened; reading it is in `queries.py`."""

from typing import Any
from uuid import UUID

from backend_hub.db import AsyncSession, utcnow
from backend_hub.events.models import Event
from backend_hub.inserting import Row


def event_row(
    event_type: str,
    *,
    actor_id: UUID | None,
    subject_id: UUID | str,
    post_id: UUID | None = None,
    private: bool = False,
    **data: Any,
) -> Row:
    """The row of an event, written in the transaction of the change that it tells of.

    A private event is shown to its actor and to moderators only.
    """
    fields = {
        "type": event_type,
        "actor_id": actor_id,
        "subject_id": str(subject_id),
        "post_id": post_id,
        "audience": "actor" if private else "everyone",
        "data": data,
        "created_at": utcnow(),
    }
    return Event, fields


def record(session: AsyncSession, event_type: str, **fields: Any) -> None:
    """Write an event, with what `event_row` takes."""
    model, columns = event_row(event_type, **fields)
    session.add(model(**columns))

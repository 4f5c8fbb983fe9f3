"""Recording what happened; reading it is in `queries.py`."""

from typing import Any
from uuid import UUID

from backend_hub.db import AsyncSession
from backend_hub.events.models import Event


def event(
    event_type: str,
    *,
    actor_id: UUID | None,
    subject_id: UUID | str,
    post_id: UUID | None = None,
    private: bool = False,
    **data: Any,
) -> Event:
    """The row of an event, written in the transaction of the change that it tells of.

    A private event is shown to its actor and to moderators only.
    """
    return Event(
        type=event_type,
        actor_id=actor_id,
        subject_id=str(subject_id),
        post_id=post_id,
        audience="actor" if private else "everyone",
        data=data,
    )


def record(session: AsyncSession, event_type: str, **fields: Any) -> None:
    """Write an event, with the fields of `event`."""
    session.add(event(event_type, **fields))

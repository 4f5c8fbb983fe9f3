"""Recording what happened; reading it is in `queries.py`."""

from typing import Any
from uuid import UUID

from backend_hub.db import AsyncSession
from backend_hub.events.models import Event


def record(
    session: AsyncSession,
    event_type: str,
    *,
    actor_id: UUID | None,
    subject_id: UUID | str,
    post_id: UUID | None = None,
    private: bool = False,
    **data: Any,
) -> None:
    """Write one event in the transaction of the change that it tells of.

    A private event is shown to its actor and to moderators only.
    """
    session.add(
        Event(
            type=event_type,
            actor_id=actor_id,
            subject_id=str(subject_id),
            post_id=post_id,
            audience="actor" if private else "everyone",
            data=data,
        )
    )

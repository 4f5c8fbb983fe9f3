"""For load balancers: is the process alive, can it serve?"""

from typing import Literal

import anyio
from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from backend_hub.db import Database
from backend_hub.errors import Unavailable
from backend_hub.http.routing import HubRoute
from backend_hub.http.schemas import ReadModel

router = APIRouter(prefix="/health", tags=["health"], route_class=HubRoute)

READY_WITHIN = 1.0
"""Seconds."""


class Health(ReadModel):
    status: Literal["ok"]


ALIVE = Health(status="ok").model_dump_json()


@router.get("/live", summary="Is the process alive?", response_model=Health)
async def live() -> Response:
    """Touches nothing else: restart the process when this does not answer."""
    return Response(ALIVE, media_type="application/json")


@router.get("/ready", summary="Can it serve?")
async def ready(request: Request) -> Health:
    """Asks the database; 503 while it does not answer within a second."""
    database: Database = request.app.state.database
    try:
        with anyio.fail_after(READY_WITHIN):
            await database.ping()
    except (SQLAlchemyError, OSError):  # TimeoutError is an OSError
        raise Unavailable("The database does not answer") from None
    return Health(status="ok")

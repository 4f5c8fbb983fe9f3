"""Apps register themselves here, when the operators allow it (RFC 7591, RFC 7592)."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.responses import JSONResponse

from backend_hub.errors import NotFound
from backend_hub.http.routing import LenientRoute
from backend_hub.http.sessions import Session
from backend_hub.oauth.models import OAuthClient
from backend_hub.oauth.registration import (
    PATH,
    ClientMetadata,
    InvalidMetadata,
    describe,
    find_registered,
    read_metadata,
    register_client,
    remove_registration,
    replace_registration,
)

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
ClientId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]{1,64}$")]


async def require_open(request: Request) -> None:
    if not request.app.state.settings.dynamic_registration:
        raise NotFound("Apps do not register themselves at this hub")


router = APIRouter(
    prefix=PATH,
    include_in_schema=False,
    route_class=LenientRoute,
    dependencies=[Depends(require_open)],
)


async def read_body(request: Request) -> ClientMetadata:
    try:
        data: Any = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise InvalidMetadata("Send a JSON document") from None
    return read_metadata(data)


def refuse(error: InvalidMetadata) -> Response:
    document = {"error": error.error, "error_description": error.detail}
    return JSONResponse(document, 400, NO_STORE)


def registration_token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def unauthorized() -> Response:
    """Also for an app that is gone: its token is worth nothing (RFC 7592 section 2)."""
    challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return JSONResponse({"error": "invalid_token"}, 401, NO_STORE | challenge)


async def managed(
    request: Request, session: Session, client_id: str, *, lock: bool = False
) -> OAuthClient | None:
    return await find_registered(session, client_id, registration_token(request), lock=lock)


@router.post("")
async def register(request: Request, session: Session) -> Response:
    try:
        metadata = await read_body(request)
        answer = await register_client(session, request.app.state.settings, metadata)
    except InvalidMetadata as error:
        return refuse(error)
    return JSONResponse(answer, 201, NO_STORE)


@router.get("/{client_id}")
async def read_registration(client_id: ClientId, request: Request, session: Session) -> Response:
    client = await managed(request, session, client_id)
    if client is None:
        return unauthorized()
    answer = describe(request.app.state.settings, client, registration_token(request))
    return JSONResponse(answer, headers=NO_STORE)


@router.put("/{client_id}")
async def change_registration(client_id: ClientId, request: Request, session: Session) -> Response:
    client = await managed(request, session, client_id, lock=True)
    if client is None:
        return unauthorized()
    try:
        await replace_registration(session, client, await read_body(request))
    except InvalidMetadata as error:
        return refuse(error)
    answer = describe(request.app.state.settings, client, registration_token(request))
    return JSONResponse(answer, headers=NO_STORE)


@router.delete("/{client_id}")
async def delete_registration(client_id: ClientId, request: Request, session: Session) -> Response:
    client = await managed(request, session, client_id, lock=True)
    if client is None:
        return unauthorized()
    await remove_registration(session, client)
    return Response(status_code=204, headers=NO_STORE)

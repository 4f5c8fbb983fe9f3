"""The endpoints that apps talk to. People see `site/authorize.py`.

Their form is that of the standards, not of the API: errors are `{error, error_description}`, and
they are described by the metadata, not by the OpenAPI document.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from authlib.oauth2.base import OAuth2Error
from fastapi import APIRouter, Depends, Request, Response, Security
from starlette.responses import JSONResponse

from backend_hub.auth.actor import Actor
from backend_hub.auth.dependencies import authenticate, current_actor, current_tokens, proven_key
from backend_hub.auth.proofs import InvalidProof
from backend_hub.db import AsyncSession
from backend_hub.errors import BadRequest
from backend_hub.http.routing import LenientRoute
from backend_hub.http.sessions import ReadSession, Session
from backend_hub.oauth.assembly import make_server
from backend_hub.oauth.claims import claims_of
from backend_hub.oauth.metadata import server_metadata
from backend_hub.oauth.requests import push
from backend_hub.oauth.server import (
    Answer,
    HubRequest,
    HubServer,
    require_known_resource,
    require_plain,
)
from backend_hub.users.models import User

router = APIRouter(include_in_schema=False, route_class=LenientRoute)


class TwoTokens(BadRequest):
    code, title = "invalid_request", "The access token was sent twice"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer error="invalid_request"'})


KnownPerson = Annotated[Actor, Security(current_actor, scopes=["openid"])]


async def server_of(request: Request, session: Session) -> HubServer:
    tokens = await current_tokens(request)
    return make_server(session, request.app.state.settings, tokens)


async def read_request(request: Request) -> HubRequest:
    """The form, with fields that came twice, read before anything runs synchronously."""
    form = await request.form()
    fields = [(name, value if isinstance(value, str) else "") for name, value in form.multi_items()]
    return HubRequest(request.method, fields, request.headers)


def json_response(answer: Answer) -> Response:
    body = dict(answer.body) if isinstance(answer.body, list) else answer.body
    kept = {k: v for k, v in answer.headers.items() if k != "Content-Type"}
    return JSONResponse(body, answer.status, kept)


async def answered(
    request: Request,
    session: AsyncSession,
    answer: Callable[[HubServer, HubRequest], Awaitable[Answer]],
) -> Response:
    """What an endpoint answers, or refuses as RFC 6749 section 5.2 asks."""
    server, asked = await server_of(request, session), await read_request(request)
    try:
        return json_response(await answer(server, asked))
    except OAuth2Error as error:
        refusal = error
    except InvalidProof as error:
        refusal = OAuth2Error(error.detail, error=error.code)
    return json_response(server.refusal(asked, refusal))


@router.post("/oauth/token")
async def exchange_token(request: Request, session: Session) -> Response:
    async def exchange(server: HubServer, asked: HubRequest) -> Answer:
        require_plain(asked)
        require_known_resource(server, asked)
        server.jkt = await proven_key(request)
        return await server.run(lambda: server.create_token_response(asked))

    return await answered(request, session, exchange)


@router.post("/oauth/par")
async def push_authorization_request(request: Request, session: Session) -> Response:
    async def keep(server: HubServer, asked: HubRequest) -> Answer:
        server.jkt = await proven_key(request)
        return await push(server, asked)

    return await answered(request, session, keep)


@router.post("/oauth/device_authorization")
async def authorize_device(request: Request, session: Session) -> Response:
    return await _endpoint("device_authorization", request, session)


@router.post("/oauth/revoke")
async def revoke_token(request: Request, session: Session) -> Response:
    return await _endpoint("revocation", request, session)


@router.post("/oauth/introspect")
async def introspect_token(request: Request, session: Session) -> Response:
    return await _endpoint("introspection", request, session)


async def _endpoint(name: str, request: Request, session: AsyncSession) -> Response:
    async def respond(server: HubServer, asked: HubRequest) -> Answer:
        require_plain(asked)
        require_known_resource(server, asked)
        return await server.run(lambda: server.create_endpoint_response(name, asked))

    return await answered(request, session, respond)


async def token_from_form(request: Request) -> None:
    """RFC 6750 section 2.2: the token may come in a form, but not in two places."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method != "POST" or kind != "application/x-www-form-urlencoded":
        return
    token = (await request.form()).get("access_token")
    if isinstance(token, str):
        if "authorization" in request.headers:
            raise TwoTokens("Send the access token in the header or in the form")
        await authenticate(request, token)


@router.api_route(
    "/oauth/userinfo", methods=["GET", "POST"], dependencies=[Depends(token_from_form)]
)
async def read_userinfo(actor: KnownPerson, session: ReadSession) -> JSONResponse:
    user = await session.get_one(User, actor.id)
    return JSONResponse(claims_of(user, actor), headers={"Cache-Control": "no-store"})


@router.get("/.well-known/oauth-authorization-server")
@router.get("/.well-known/openid-configuration")
async def read_server_metadata(request: Request) -> JSONResponse:
    document = server_metadata(request.app.state.settings)
    return JSONResponse(document, headers={"Cache-Control": "public, max-age=300"})

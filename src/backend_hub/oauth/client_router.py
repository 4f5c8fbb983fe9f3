"""Apps over HTTP."""

from typing import Annotated

from fastapi import Body, Path, Response

from backend_hub.auth.dependencies import ClientOwner
from backend_hub.http.cursors import Page
from backend_hub.http.etag import IfMatch, set_version
from backend_hub.http.openapi_examples import EXAMPLE_CLIENT
from backend_hub.http.paging import Paging
from backend_hub.http.routing import hub_router
from backend_hub.http.sessions import ReadSession, Session
from backend_hub.oauth import queries, service
from backend_hub.oauth.models import OAuthClient
from backend_hub.oauth.schemas import ClientCreate, ClientRead, ClientUpdate, ClientWithSecret

# No `Idempotency-Key` here: a stored answer would keep the secret in the clear.
router = hub_router("/oauth/clients", "clients")

ClientId = Annotated[
    str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=[EXAMPLE_CLIENT])
]
EXAMPLE = {
    "name": "Study planner",
    "type": "spa",
    "redirect_uris": ["https://planner.example.org/callback"],
    "post_logout_redirect_uris": ["https://planner.example.org/bye"],
    "scopes": ["openid", "profile", "questions:write"],
    "homepage_url": "https://planner.example.org/",
    "logo_url": "https://planner.example.org/logo.svg",
}


def _with_secret(response: Response, client: OAuthClient, secret: str | None) -> ClientWithSecret:
    response.headers["Cache-Control"] = "no-store"
    set_version(response, client.version)
    read = service.read_model(client)
    return ClientWithSecret(**read.model_dump(), client_secret=secret)


@router.get("", summary="List your apps")
async def list_clients(session: ReadSession, actor: ClientOwner, page: Paging) -> Page[ClientRead]:
    """The apps that you registered, the newest first; for admins everybody's."""
    return await queries.list_clients(session, actor, page)


@router.post("", summary="Register an app", status_code=201)
async def create_client(
    form: Annotated[ClientCreate, Body(examples=[EXAMPLE])],
    actor: ClientOwner,
    session: Session,
    response: Response,
) -> ClientWithSecret:
    """People sign in to it through the hub. `client_secret` is shown this once.

    Apps in browsers (`spa`) and on devices (`native`) have no secret; servers (`web`) and
    machines, which act in your name, do.
    """
    client, secret = await service.create_client(session, actor, form)
    response.headers["Location"] = f"/api/v1/oauth/clients/{client.id}"
    return _with_secret(response, client, secret)


@router.get("/{client_id}", summary="Read an app")
async def read_client(
    client_id: ClientId, actor: ClientOwner, session: ReadSession, response: Response
) -> ClientRead:
    """An app of yours, or for admins any."""
    client = await service.get_client(session, actor, client_id)
    set_version(response, client.version)
    return service.read_model(client)


@router.patch("/{client_id}", summary="Change an app")
async def update_client(
    client_id: ClientId,
    form: ClientUpdate,
    actor: ClientOwner,
    if_match: IfMatch,
    session: Session,
    response: Response,
) -> ClientRead:
    """Its type stays. Admins set `verified`; an app that changes is to be verified again."""
    client = await service.update_client(session, actor, client_id, form, if_match)
    set_version(response, client.version)
    return service.read_model(client)


@router.delete("/{client_id}", summary="Remove an app", status_code=204)
async def delete_client(
    client_id: ClientId, actor: ClientOwner, if_match: IfMatch, session: Session
) -> None:
    """Everybody is signed out of it at once."""
    await service.delete_client(session, actor, client_id, if_match)


@router.post("/{client_id}/secret", summary="Renew an app's secret")
async def renew_client_secret(
    client_id: ClientId,
    actor: ClientOwner,
    if_match: IfMatch,
    session: Session,
    response: Response,
) -> ClientWithSecret:
    """The one before stops working at once; the new one is shown this once."""
    client, secret = await service.renew_secret(session, actor, client_id, if_match)
    return _with_secret(response, client, secret)

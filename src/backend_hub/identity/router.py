"""Providers over HTTP: what the sign-in page offers, and how admins manage it."""

from typing import Annotated

from fastapi import Body, Path, Request, Response

from backend_hub.auth.dependencies import Admin, Once
from backend_hub.http.cursors import Page
from backend_hub.http.etag import IfMatch, set_version
from backend_hub.http.paging import Paging
from backend_hub.http.routing import hub_router
from backend_hub.http.schemas import Slug
from backend_hub.http.sessions import NewestReads, ReadSession, Session
from backend_hub.identity import queries, service
from backend_hub.identity.models import IdentityProvider
from backend_hub.identity.schemas import (
    EXAMPLE_PROVIDER,
    IdentityProviderCreate,
    IdentityProviderRead,
    IdentityProviderUpdate,
    OfferedProviders,
)

router = hub_router("/identity-providers", "identity-providers")
offered = hub_router("/auth/identity-providers", "auth")

ProviderPath = Annotated[Slug, Path(max_length=40, examples=[EXAMPLE_PROVIDER])]
SCHOOL = {
    "slug": "school",
    "name": "The school",
    "issuer": "https://login.school.example.org",
    "client_id": "backend-hub",
    "client_secret": "what-the-provider-gave-you",
}
PRESET = {
    "preset": "gitlab",
    "client_id": "0123456789abcdef",
    "client_secret": "what-the-provider-gave-you",
}
EXAMPLES = {
    "openid": {"summary": "Any OpenID provider, by its issuer", "value": SCHOOL},
    "preset": {"summary": "A preset: github, google or gitlab", "value": PRESET},
}


def _read(request: Request, response: Response, provider: IdentityProvider) -> IdentityProviderRead:
    set_version(response, provider.version)
    return queries.read_model(request.app.state.settings, provider)


@offered.get("", summary="List ways to sign in with others")
async def list_offered_providers(session: NewestReads) -> OfferedProviders:
    """The providers that the sign-in page offers, by name."""
    return OfferedProviders(items=await queries.list_offered(session))


@router.get("", summary="List providers")
async def list_identity_providers(
    request: Request, session: ReadSession, _actor: Admin, page: Paging
) -> Page[IdentityProviderRead]:
    """All whom people may sign in with, the newest first. For admins."""
    return await queries.list_providers(session, request.app.state.settings, page)


@router.post("", summary="Add a provider", status_code=201)
async def create_identity_provider(
    form: Annotated[IdentityProviderCreate, Body(openapi_examples=EXAMPLES)],
    request: Request,
    response: Response,
    session: Session,
    actor: Admin,
    _once: Once,
) -> IdentityProviderRead:
    """Offered at once, without a restart. Register `redirect_uri` of the answer there."""
    settings = request.app.state.settings
    provider = await service.create_provider(session, settings, actor, form)
    response.headers["Location"] = f"/api/v1/identity-providers/{provider.slug}"
    return _read(request, response, provider)


@router.get("/{slug}", summary="Read a provider")
async def read_identity_provider(
    slug: ProviderPath, request: Request, response: Response, session: ReadSession, _actor: Admin
) -> IdentityProviderRead:
    """One provider; its secret is never shown. For admins."""
    return _read(request, response, await service.get_provider(session, slug))


@router.patch("/{slug}", summary="Change a provider")
async def update_identity_provider(
    slug: ProviderPath,
    form: IdentityProviderUpdate,
    request: Request,
    response: Response,
    session: Session,
    actor: Admin,
    if_match: IfMatch,
) -> IdentityProviderRead:
    """A disabled provider signs nobody in; its links stay."""
    settings = request.app.state.settings
    provider = await service.update_provider(session, settings, actor, slug, form, if_match)
    return _read(request, response, provider)


@router.delete("/{slug}", summary="Remove a provider", status_code=204)
async def delete_identity_provider(
    slug: ProviderPath, session: Session, actor: Admin, if_match: IfMatch
) -> None:
    """Nobody signs in with it from now on; who linked it is known again if it returns."""
    await service.delete_provider(session, actor, slug, if_match)

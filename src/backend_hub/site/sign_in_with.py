"""Signing in with others: leaving for a provider, coming back, and choosing a name here.

These routes ask a provider between two transactions: one that is slow holds no connection.
"""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import Path, Request
from pydantic import ValidationError
from starlette.responses import Response

from backend_hub.auth.email_links import mail_verification
from backend_hub.auth.security_log import note
from backend_hub.auth.service import UsernameTaken
from backend_hub.db import AsyncSession
from backend_hub.errors import HubError
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import page_router, storable
from backend_hub.http.sessions import Session, get_database
from backend_hub.identity import accounts
from backend_hub.identity.fetching import ProviderRefused, ProviderTrouble
from backend_hub.identity.flow import Trip, begin_trip, new_handshake, take_trip
from backend_hub.identity.models import IdentityProvider, PendingIdentity
from backend_hub.identity.outside import OutsideIdentity, authorization_url, identify
from backend_hub.identity.queries import find_enabled
from backend_hub.identity.schemas import NewMember
from backend_hub.site.browser import (
    current_browser,
    form_page,
    local_path,
    own_form,
    see_other,
    session_token,
    source_after,
)
from backend_hub.site.entering import enter, signed_in
from backend_hub.site.problems import problems_of

log = structlog.get_logger(__name__)

router = page_router()
LINKS = "/account/identities"
ProviderSlug = Annotated[str, Path(max_length=40)]
PendingToken = Annotated[str, Path(max_length=100)]
MAX_VALUE = 4_000


@router.post("/sign-in/with/{slug}")
async def leave(request: Request, slug: ProviderSlug) -> Response:
    form = await own_form(request)
    return await send_away(request, slug, local_path(form.get("next", "/")))


async def send_away(
    request: Request, slug: str, target: str, user_id: UUID | None = None
) -> Response:
    """On to the provider, by a page: `form-action` would hold a redirect against its origin."""
    settings, database = request.app.state.settings, get_database(request)
    async with database.reading() as session:
        provider = await find_enabled(session, slug)
    if provider is None:
        return failed(request, 404, "There is no such way to sign in.", target)
    handshake = new_handshake(settings, provider)
    try:
        url = await authorization_url(settings, request.app.state.directory, provider, handshake)
    except (ProviderTrouble, ProviderRefused) as error:
        return trouble(request, provider, error, target)
    async with database.transaction() as session:
        browser = session_token(request)
        await begin_trip(session, settings, provider, handshake, browser, target, user_id)
    response = form_page(request, "leaving.html", provider=provider, url=url)
    response.headers["Refresh"] = f"0; url={url}"
    return response


@router.get("/sign-in/with/{slug}/callback")
async def come_back(request: Request, slug: ProviderSlug) -> Response:
    settings, database = request.app.state.settings, get_database(request)
    answer = _answer(request)
    async with database.transaction() as session:
        state, browser = answer.get("state", ""), session_token(request)
        trip = await take_trip(session, settings, slug, state, browser) if browser else None
    if trip is None:
        return failed(request, 400, "It began in another browser, too long ago, or ended before.")
    try:
        identity = await identify(
            settings, request.app.state.directory, trip.provider, trip.handshake, answer
        )
    except (ProviderTrouble, ProviderRefused) as error:
        return trouble(request, trip.provider, error, trip.target)
    async with database.transaction() as session:
        return await arrive(request, session, trip, identity)


def _answer(request: Request) -> Mapping[str, str]:
    """The query; empty when a parameter came twice (RFC 6749 section 3.1) or holds no text."""
    pairs = request.query_params.multi_items()
    answer = dict(pairs)
    sound = all(storable(value) and len(value) <= MAX_VALUE for value in answer.values())
    return answer if sound and len(answer) == len(pairs) else {}


async def arrive(
    request: Request, session: AsyncSession, trip: Trip, identity: OutsideIdentity
) -> Response:
    """Link what was to be linked, sign in whom the hub knows, and ask the others for a name."""
    caller = caller_of(request.scope)
    if trip.user_id is not None:
        return await _link(request, session, trip, identity)
    user = await accounts.find_account(session, trip.provider, identity, caller)
    if user is None:
        browser = session_token(request)
        token = await accounts.hold(session, trip.provider, identity, browser, trip.target)
        return see_other(f"/sign-up/with/{token}")
    if user.disabled_at is not None:
        note(session, user.id, "sign_in_refused", caller, trip.provider.name)
        return failed(request, 403, "This account is disabled.")
    return await enter(request, session, user, trip.target, amr="fed")


async def _link(
    request: Request, session: AsyncSession, trip: Trip, identity: OutsideIdentity
) -> Response:
    browser = await current_browser(request, session)
    if browser is None or browser.user.id != trip.user_id:
        return failed(request, 403, "You signed in as somebody else meanwhile.", LINKS)
    try:
        caller = caller_of(request.scope)
        await accounts.link(session, browser.user, trip.provider.name, identity, caller)
    except accounts.LinkedElsewhere as error:
        return failed(request, 409, f"{error.detail}.", LINKS)
    return see_other(LINKS)


@router.get("/sign-up/with/{token}")
async def show_choice(request: Request, session: Session, token: PendingToken) -> Response:
    found = await accounts.find_pending(session, token, session_token(request))
    if found is None:
        return failed(request, 404, "This page is no longer of use.")
    return await choice_page(request, session, *found)


@router.post("/sign-up/with/{token}")
async def choose(request: Request, session: Session, token: PendingToken) -> Response:
    form = await own_form(request)
    found = await accounts.find_pending(session, token, session_token(request), lock=True)
    if found is None:
        return failed(request, 404, "This page is no longer of use.")
    pending, provider = found
    identity, caller = accounts.identity_of(pending), caller_of(request.scope)
    try:
        if form.get("decision") == "link":
            browser = await signed_in(request, session, recently=True, back=request.url.path)
            await accounts.link(session, browser.user, provider.name, identity, caller)
            await accounts.settle(session, pending)
            return see_other(LINKS)
        if not request.app.state.settings.registration_open:
            return await choice_page(request, session, pending, provider)
        member = NewMember(username=form.get("username", ""))
        user = await accounts.make_account(session, provider, identity, member, caller)
        if user.email is not None and user.email_verified_at is None:
            await mail_verification(session, request.app.state.settings, user, user.email)
    except ValidationError as error:
        problem = problems_of(error, {"username": "Name"})["username"]
        return await choice_page(
            request, session, pending, provider, form.get("username"), problem, 422
        )
    except UsernameTaken as error:
        return await choice_page(
            request, session, pending, provider, form.get("username"), f"{error.detail}.", 409
        )
    except (accounts.AddressTaken, accounts.LinkedElsewhere) as error:
        return failed(request, 409, f"{error.detail}.", pending.target)
    await accounts.settle(session, pending)
    return await enter(request, session, user, pending.target, amr="fed")


async def choice_page(
    request: Request,
    session: AsyncSession,
    pending: PendingIdentity,
    provider: IdentityProvider,
    username: str | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    """What becomes of an identity that nobody has: a new account, or one more way into one."""
    identity = accounts.identity_of(pending)
    browser = await current_browser(request, session)
    owner = None
    if identity.email_verified:
        owner = await accounts.owner_of_address(session, identity.email)
    settings = request.app.state.settings
    may_join = settings.registration_open and owner is None
    if username is None and may_join:
        username = await accounts.propose_username(session, identity)
    return form_page(
        request,
        "choose_name.html",
        status=403 if not may_join and browser is None and owner is None else status,
        leads_to=source_after(pending.target),
        provider=provider,
        identity=identity,
        username=username or "",
        problem=problem,
        who=browser.user if browser else None,
        owned=owner is not None,
        open=may_join,
        here=request.url.path,
    )


def trouble(request: Request, provider: IdentityProvider, error: HubError, target: str) -> Response:
    """What went wrong at the provider: details for the operators, a way on for the person."""
    cause = error.__cause__
    log.warning(
        "sign-in with a provider failed",
        provider=provider.slug,
        code=error.code,
        detail=error.detail,
        cause=str(getattr(cause, "error", type(cause).__name__))[:60],
    )
    if isinstance(error, ProviderTrouble):
        detail = f"{provider.name} does not answer as it should. Try again in a while."
        return failed(request, error.status, detail, target)
    return failed(request, error.status, f"{error.detail}.", target)


def failed(request: Request, status: int, detail: str, target: str = "/") -> Response:
    """A page that says so; nobody is signed in, and nothing was changed."""
    return form_page(
        request, "sign_in_failed.html", status=status, detail=detail, target=target, links=LINKS
    )

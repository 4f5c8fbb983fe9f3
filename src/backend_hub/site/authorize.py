"""Where an app sends people: sign in, consent, and back to the app with a code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.oauth2.base import OAuth2Error
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.auth.scopes import held_scopes
from backend_hub.auth.security_log import note
from backend_hub.db import AsyncSession, utcnow
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import LenientRoute
from backend_hub.http.sessions import Session
from backend_hub.oauth.clients import ALL_SCOPES, KnownClient
from backend_hub.oauth.flows import CodeGrant, make_server
from backend_hub.oauth.grants import consented, remember_consent
from backend_hub.oauth.metadata import PROMPTS
from backend_hub.oauth.server import Answer, HubRequest, HubServer, require_plain
from backend_hub.site.browser import (
    current_browser,
    form_page,
    read_form,
    redirect_source,
    require_own_form,
    see_other,
)
from backend_hub.site.templating import page

router = APIRouter(
    include_in_schema=False, route_class=LenientRoute, default_response_class=HTMLResponse
)
MAX_AGE = 10**9


@dataclass
class Asked:
    """A valid request of an app: who asks, for what, and how."""

    server: HubServer
    request: HubRequest
    grant: CodeGrant
    prompts: list[str] = field(default_factory=list)
    max_age: int | None = None

    @property
    def client(self) -> KnownClient:
        client: KnownClient = self.request.client
        return client

    @property
    def redirect_uri(self) -> str:
        return str(self.grant.redirect_uri)

    def scopes_for(self, browser: SignedInBrowser) -> list[str]:
        held = held_scopes(browser.user.role)
        return [name for name in self.request.scope.split() if name in held]

    def needs_sign_in(self, browser: SignedInBrowser | None) -> bool:
        if browser is None or {"login", "select_account"} & set(self.prompts) or self.max_age == 0:
            return True
        age = (utcnow() - browser.authenticated_at).total_seconds()
        return self.max_age is not None and int(age) > self.max_age

    def refuse(self, error: str) -> Response:
        """Back to the app, without what it asked for."""
        refusal = OAuth2Error(error=error, redirect_uri=self.redirect_uri)
        refusal.state = self.request.payload.state
        return redirect(self.server.refusal(self.request, refusal))


def redirect(answer: Answer) -> Response:
    return RedirectResponse(
        answer.headers["Location"], status_code=303, headers={"Cache-Control": "no-store"}
    )


@router.api_route("/oauth/authorize", methods=["GET", "POST"])
async def authorize(request: Request, session: Session) -> Response:
    fields = request.query_params.multi_items()
    if request.method == "POST":
        form = await request.form()
        fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    asked = await read_asked(request, session, fields)
    if isinstance(asked, Response):
        return asked
    browser = await current_browser(request, session)
    if browser is None or asked.needs_sign_in(browser):
        return asked.refuse("login_required") if "none" in asked.prompts else to_sign_in(asked)
    scopes = asked.scopes_for(browser)
    if not scopes:
        return asked.refuse("invalid_scope")
    known = await consented(session, browser.user.id, asked.client)
    if "consent" not in asked.prompts and known >= set(scopes):
        return await finish(asked, browser)
    if "none" in asked.prompts:
        return asked.refuse("consent_required")
    return ask_consent(request, asked, browser, scopes)


@router.post("/oauth/consent")
async def decide(request: Request, session: Session) -> Response:
    form = await read_form(request)
    require_own_form(request, form)
    fields = parse_qsl(form.get("request", ""), keep_blank_values=True)
    asked = await read_asked(request, session, fields)
    if isinstance(asked, Response):
        return asked
    browser = await current_browser(request, session)
    if browser is None:
        return to_sign_in(asked)
    if form.get("decision") != "allow":
        return await finish(asked, None)
    scopes = " ".join(asked.scopes_for(browser))
    await remember_consent(session, browser.user.id, asked.client, scopes)
    caller = caller_of(request.scope)
    note(session, browser.user.id, "app_allowed", caller, asked.client.row.name)
    return await finish(asked, browser)


async def read_asked(
    request: Request, session: AsyncSession, fields: list[tuple[str, str]]
) -> Asked | Response:
    """The app's request, or the refusal: to the app once its redirect URI is known to be its own.

    Before that it is a page: a redirect would make the hub a tool of whoever wrote the link.
    """
    state = request.app.state
    server = make_server(session, state.settings, state.tokens)
    wanted = HubRequest("GET", fields, {})
    try:
        require_plain(wanted)
        grant = await server.run(lambda: server.get_consent_grant(wanted, None))
        asked = Asked(server, wanted, grant)
        read_openid(asked, wanted.payload.data)
    except OAuth2Error as error:
        if error.redirect_uri:
            return redirect(server.refusal(wanted, error))
        return page(
            request,
            "error.html",
            status=400,
            title="This app did not ask correctly",
            detail=f"{error.error}: {error.get_error_description()}",
        )
    return asked


def read_openid(asked: Asked, data: Mapping[str, str]) -> None:
    """`prompt`, `max_age`, and what the hub does not do (OpenID Connect Core 3.1.2.1)."""

    def refuse(description: str = "", error: str = "invalid_request") -> OAuth2Error:
        state = asked.request.payload.state
        return OAuth2Error(description, state=state, redirect_uri=asked.redirect_uri, error=error)

    for name, error in (
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
    ):
        if name in data:
            raise refuse(f"The hub takes no {name}.", error)
    if data.get("response_mode", "query") != "query":
        raise refuse("The response_mode is query.")
    asked.prompts = data.get("prompt", "").split()
    if not set(asked.prompts) <= set(PROMPTS) or ("none" in asked.prompts and asked.prompts[1:]):
        raise refuse("The prompt is none, or some of login, consent and select_account.")
    max_age = data.get("max_age", "")
    if max_age and not (max_age.isascii() and max_age.isdigit() and len(max_age) < 10):
        raise refuse("The max_age is a number of seconds.")
    asked.max_age = int(max_age) if max_age else None
    if len(data.get("nonce", "")) > 500:
        raise refuse("The nonce is too long.")


def to_sign_in(asked: Asked) -> Response:
    """And back here, with `prompt=login` and `max_age=0` done by then."""
    data: dict[str, Any] = dict(asked.request.payload.data)
    kept = [word for word in asked.prompts if word not in {"login", "select_account"}]
    data.pop("prompt", None)
    if kept:
        data["prompt"] = " ".join(kept)
    if asked.max_age == 0:
        data.pop("max_age")
    query = {"next": f"/oauth/authorize?{urlencode(data)}"}
    if hint := data.get("login_hint"):
        query["login_hint"] = hint[:254]
    return see_other(f"/sign-in?{urlencode(query)}")


def ask_consent(
    request: Request, asked: Asked, browser: SignedInBrowser, scopes: list[str]
) -> Response:
    data = {k: v for k, v in asked.request.payload.data.items() if k != "prompt"}
    destination = urlsplit(asked.redirect_uri)
    return form_page(
        request,
        "consent.html",
        leads_to=redirect_source(asked.redirect_uri),
        client=asked.client.row,
        who=browser.user,
        scopes=[ALL_SCOPES[name] for name in scopes],
        destination=destination.netloc or f"the app behind {destination.scheme}:",
        query=urlencode(data),
    )


async def finish(asked: Asked, browser: SignedInBrowser | None) -> Response:
    """A code for the app, or its refusal."""
    if browser is not None and not asked.scopes_for(browser):
        return asked.refuse("invalid_scope")
    server, wanted = asked.server, asked.request
    return redirect(
        await server.run(lambda: server.create_authorization_response(wanted, browser, asked.grant))
    )

"""Where an app sends people: sign in, consent, and back to the app with a code."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.oauth2.base import OAuth2Error
from fastapi import Request
from starlette.responses import RedirectResponse, Response

from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.auth.dependencies import current_tokens
from backend_hub.auth.security_log import note
from backend_hub.db import AsyncSession
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.oauth.assembly import make_server
from backend_hub.oauth.clients import ALL_SCOPES
from backend_hub.oauth.grants import consented, remember_consent
from backend_hub.oauth.requests import Asked, forget_pushed, read_asked
from backend_hub.oauth.server import Answer, HubRequest
from backend_hub.site.browser import (
    current_browser,
    form_page,
    own_form,
    redirect_source,
    see_other,
)
from backend_hub.site.templating import page

router = page_router()


async def refuse(session: AsyncSession, asked: Asked, error: str) -> Response:
    """Back to the app, without what it asked for."""
    await forget_pushed(session, asked)
    return redirect(asked.server.refusal(asked.request, asked.refusal(error)))


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
    asked = await asked_by(request, session, fields)
    if isinstance(asked, Response):
        return asked
    browser = await current_browser(request, session)
    if browser is None or asked.needs_sign_in(browser):
        if "none" in asked.prompts:
            return await refuse(session, asked, "login_required")
        return to_sign_in(asked)
    scopes = asked.scopes_for(browser)
    if not scopes:
        return await refuse(session, asked, "invalid_scope")
    known = await consented(session, browser.user.id, asked.client)
    if "consent" not in asked.prompts and known >= set(scopes):
        return await finish(session, asked, browser)
    if "none" in asked.prompts:
        return await refuse(session, asked, "consent_required")
    return ask_consent(request, asked, browser, scopes)


@router.post("/oauth/consent")
async def decide(request: Request, session: Session) -> Response:
    form = await own_form(request)
    fields = parse_qsl(form.get("request", ""), keep_blank_values=True)
    asked = await asked_by(request, session, fields)
    if isinstance(asked, Response):
        return asked
    browser = await current_browser(request, session)
    if browser is None or asked.is_for_another(browser):
        return to_sign_in(asked)
    if form.get("decision") != "allow":
        return await finish(session, asked, None)
    scopes = " ".join(asked.scopes_for(browser))
    await remember_consent(session, browser.user.id, asked.client, scopes)
    caller = caller_of(request.scope)
    note(session, browser.user.id, "app_allowed", caller, asked.client.row.name)
    return await finish(session, asked, browser)


async def asked_by(
    request: Request, session: AsyncSession, fields: list[tuple[str, str]]
) -> Asked | Response:
    """The app's request, or the refusal: to the app once its redirect URI is known to be its own.

    Before that it is a page: a redirect would make the hub a tool of whoever wrote the link.
    """
    server = make_server(session, request.app.state.settings, await current_tokens(request))
    try:
        return await read_asked(server, fields)
    except OAuth2Error as error:
        if error.redirect_uri:
            return redirect(server.refusal(HubRequest("GET", fields, {}), error))
        return refusal_page(request, error)


def refusal_page(request: Request, error: OAuth2Error) -> Response:
    return page(
        request,
        "error.html",
        status=400,
        title="This app did not ask correctly",
        detail="Go back to it and try again. If that leads here once more, tell those who made it:"
        f" {error.error} ({error.get_error_description()})",
    )


def to_sign_in(asked: Asked) -> Response:
    """And back here, with `prompt=login` and `max_age=0` done by then."""
    data = asked.address()
    if asked.pushed is None:
        kept = [word for word in asked.prompts if word not in {"login", "select_account"}]
        data.pop("prompt", None)
        if kept:
            data["prompt"] = " ".join(kept)
        if asked.max_age == 0:
            data.pop("max_age")
    else:
        data["redirect_uri"] = asked.redirect_uri  # for the page's policy; here it is not read
    query = {"next": f"/oauth/authorize?{urlencode(data)}"}
    if hint := asked.request.payload.data.get("login_hint"):
        query["login_hint"] = hint[:254]
    return see_other(f"/sign-in?{urlencode(query)}")


def ask_consent(
    request: Request, asked: Asked, browser: SignedInBrowser, scopes: list[str]
) -> Response:
    data = {k: v for k, v in asked.address().items() if k != "prompt"}
    destination = urlsplit(asked.redirect_uri)
    app = asked.client.row
    # A picture of its own choice is how an app that nobody looked at would pass for another.
    logo = app.logo_url if app.verified else None
    return form_page(
        request,
        "consent.html",
        leads_to=redirect_source(asked.redirect_uri),
        images=redirect_source(logo) if logo else "",
        client=app,
        logo=logo,
        who=browser.user,
        scopes=[ALL_SCOPES[name] for name in scopes],
        destination=destination.netloc or f"the app behind {destination.scheme}:",
        query=urlencode(data),
    )


async def finish(session: AsyncSession, asked: Asked, browser: SignedInBrowser | None) -> Response:
    """A code for the app, or its refusal."""
    if browser is not None and not asked.scopes_for(browser):
        return await refuse(session, asked, "invalid_scope")
    await forget_pushed(session, asked)
    server, wanted = asked.server, asked.request
    return redirect(
        await server.run(lambda: server.create_authorization_response(wanted, browser, asked.grant))
    )

"""Where an app sends people to sign out: OpenID Connect RP-Initiated Logout 1.0."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.oauth2.base import OAuth2Error
from fastapi import Request
from starlette.responses import Response

from backend_hub.auth.browser_sessions import end_session
from backend_hub.auth.dependencies import current_tokens
from backend_hub.db import AsyncSession
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.oauth.assembly import make_server
from backend_hub.oauth.grants import revoke_family
from backend_hub.oauth.logout import Logout, read_logout
from backend_hub.oauth.server import HubRequest, require_plain
from backend_hub.site.authorize import refusal_page
from backend_hub.site.browser import (
    current_browser,
    delete_session_cookie,
    form_page,
    own_form,
    redirect_source,
    see_other,
    session_token,
)
from backend_hub.site.templating import page

router = page_router()


@router.post("/oauth/logout")
async def forward_logout(request: Request) -> Response:
    """To the same by GET: browsers send our cookie with no form of another site."""
    form = await request.form()
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    return see_other(f"/oauth/logout?{urlencode(fields)}")


@router.get("/oauth/logout")
async def log_out(request: Request, session: Session) -> Response:
    """At once for an app that shows whom it signed in; otherwise the person is asked."""
    fields = request.query_params.multi_items()
    asked = await logout_asked(request, session, fields)
    if isinstance(asked, Response):
        return asked
    browser = await current_browser(request, session)
    hint = None if asked.problem else asked.hint
    if browser is None and hint is None:
        return signed_out_page(request, asked, 400 if asked.problem else 200)
    if browser is None or (hint is not None and hint.subject == browser.user.id):
        return await finish(request, session, asked)
    destination = urlsplit(asked.target)
    return form_page(
        request,
        "sign_out_for.html",
        leads_to=redirect_source(asked.target) if asked.target else "",
        status=400 if asked.problem else 200,
        client=asked.client.row if asked.client else None,
        who=browser.user,
        problem=asked.problem,
        destination=destination.netloc
        or (asked.target and f"the app behind {destination.scheme}:"),
        query=urlencode(fields),
    )


@router.post("/oauth/logout/confirm")
async def confirm_logout(request: Request, session: Session) -> Response:
    form = await own_form(request)
    fields = parse_qsl(form.get("request", ""), keep_blank_values=True)
    asked = await logout_asked(request, session, fields)
    return asked if isinstance(asked, Response) else await finish(request, session, asked)


async def logout_asked(
    request: Request, session: AsyncSession, fields: list[tuple[str, str]]
) -> Logout | Response:
    server = make_server(session, request.app.state.settings, await current_tokens(request))
    wanted = HubRequest("GET", fields, {})
    try:
        require_plain(wanted)
    except OAuth2Error as error:
        return refusal_page(request, error)
    return await read_logout(server, wanted.payload.data)


async def finish(request: Request, session: AsyncSession, asked: Logout) -> Response:
    """End the browser's session and the app's sign-in."""
    if token := session_token(request):
        await end_session(session, token)
    if asked.hint is not None:
        await revoke_family(session, asked.hint.family_id)
    response = see_other(asked.target) if asked.target else signed_out_page(request, asked)
    delete_session_cookie(response, request.app.state.settings)
    return response


def signed_out_page(request: Request, asked: Logout, status: int = 200) -> Response:
    return page(
        request,
        "signed_out.html",
        status=status,
        client=asked.client.row if asked.client else None,
        target=asked.target,
        problem=asked.problem,
    )

"""The page of one's own sign-ins, and of the apps that one allowed."""

from contextlib import suppress
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from backend_hub.account.queries import list_allowed_apps, list_sessions
from backend_hub.account.service import end_other_sessions, end_session, withdraw_app
from backend_hub.errors import NotFound
from backend_hub.http.callers import caller_of
from backend_hub.http.cursors import MAX_LIMIT, PageParams
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.oauth.clients import ALL_SCOPES
from backend_hub.site.account import account_page, sent_form
from backend_hub.site.browser import see_other
from backend_hub.site.entering import signed_in

router = page_router("/account/sessions")
PAGE = "/account/sessions"


@router.get("")
async def show_sessions(request: Request, session: Session) -> Response:
    browser = await signed_in(request, session)
    settings, user_id = request.app.state.settings, browser.user.id
    page = PageParams(MAX_LIMIT)
    sessions = await list_sessions(session, settings, user_id, browser.id, page)
    apps = await list_allowed_apps(session, user_id, PageParams(MAX_LIMIT))
    return account_page(
        request,
        browser,
        "sessions.html",
        sessions=sessions.items,
        apps=apps.items,
        words=ALL_SCOPES,
    )


@router.post("/end")
async def end_one(request: Request, session: Session) -> Response:
    browser, form = await sent_form(request, session)
    with suppress(NotFound, ValueError):  # it ended meanwhile
        await end_session(
            session, browser.user.id, UUID(form.get("id", "")), caller_of(request.scope)
        )
    return see_other(PAGE)


@router.post("/end-others")
async def end_others(request: Request, session: Session) -> Response:
    browser, _ = await sent_form(request, session)
    await end_other_sessions(session, browser.user.id, browser.id, caller_of(request.scope))
    return see_other(PAGE)


@router.post("/withdraw")
async def withdraw(request: Request, session: Session) -> Response:
    browser, form = await sent_form(request, session)
    with suppress(NotFound):
        client_id = form.get("client_id", "")
        await withdraw_app(session, browser.user.id, client_id, caller_of(request.scope))
    return see_other(PAGE)

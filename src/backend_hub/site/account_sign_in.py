"""Email and password of one's own account."""

from fastapi import Request
from pydantic import ValidationError
from starlette.responses import Response

from backend_hub.auth.addresses import ask_again, ask_for_address, pending_address
from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.auth.recovery import WeakPassword, WrongPassword, change_password
from backend_hub.auth.throttling import SIGN_IN_KNOWN, TooManyTries, Try, clear, count_try
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import HubError
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session, get_database
from backend_hub.site.account import account_page
from backend_hub.site.browser import own_form, see_other, session_token
from backend_hub.site.entering import RECENT, signed_in
from backend_hub.site.recovery import ADDRESS, NO_ADDRESS

router = page_router()
PAGE = "/account/sign-in"
DONE = {
    "address": "A mail is on its way. The address is yours once you have opened its link.",
    "again": "Another mail is on its way.",
    "password": "Your password is changed, and your other sessions have ended.",
}


@router.get(PAGE)
async def show_sign_in_settings(request: Request, session: Session, done: str = "") -> Response:
    browser = await signed_in(request, session)
    return await _page(request, session, browser, done=DONE.get(done, ""))


@router.post(f"{PAGE}/address")
async def change_address(request: Request, session: Session) -> Response:
    form = await own_form(request)
    browser = await signed_in(request, session, recently=True)
    given = form.get("email", "").strip()[:254]
    try:
        email = ADDRESS.validate_python(given)
    except ValidationError:
        problems = {"email": NO_ADDRESS}
        return await _page(request, session, browser, 422, problems=problems, email=given)
    settings, caller = request.app.state.settings, caller_of(request.scope)
    try:
        await ask_for_address(session, settings, browser.user, email, caller)
    except TooManyTries as error:
        return await _refused(request, session, browser, "email", error)
    return see_other(f"{PAGE}?done=address")


@router.post(f"{PAGE}/verification")
async def send_again(request: Request, session: Session) -> Response:
    await own_form(request)
    browser = await signed_in(request, session)
    settings, caller = request.app.state.settings, caller_of(request.scope)
    try:
        await ask_again(session, settings, browser.user, caller)
    except TooManyTries as error:
        return await _refused(request, session, browser, "again", error)
    return see_other(f"{PAGE}?done=again")


@router.post(f"{PAGE}/password")
async def change_own_password(request: Request, session: Session) -> Response:
    form = await own_form(request)
    guess = Try(SIGN_IN_KNOWN, session_token(request))
    blocked = None
    try:  # before this request holds a connection
        await count_try(get_database(request), guess)
    except TooManyTries as error:
        blocked = error
    browser = await signed_in(request, session, recently=True)
    if blocked:
        return await _refused(request, session, browser, "current", blocked)
    user, caller = browser.user, caller_of(request.scope)
    current, password = form.get("current", "")[:1_000], form.get("password", "")[:1_000]
    try:
        await change_password(session, user.id, current, password, caller, keep=browser.id)
    except WrongPassword as error:
        return await _refused(request, session, browser, "current", error)
    except WeakPassword as error:
        return await _refused(request, session, browser, "password", error)
    await clear(session, guess)
    return see_other(f"{PAGE}?done=password")


async def _refused(
    request: Request, session: AsyncSession, browser: SignedInBrowser, field: str, error: HubError
) -> Response:
    problems = {field: f"{error.detail}."}
    response = await _page(request, session, browser, error.status, problems=problems)
    response.headers.update(error.headers)
    return response


async def _page(
    request: Request,
    session: AsyncSession,
    browser: SignedInBrowser,
    status: int = 200,
    *,
    done: str = "",
    problems: dict[str, str] | None = None,
    email: str = "",
) -> Response:
    return account_page(
        request,
        browser,
        "sign_in.html",
        status=status,
        here=PAGE,
        waiting=await pending_address(session, browser.user),
        recent=utcnow() - browser.authenticated_at <= RECENT,
        done=done,
        problems=problems or {},
        given=email,
    )

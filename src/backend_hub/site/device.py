"""Where people type the code that a device shows them (RFC 8628 section 3.3)."""

from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.auth.scopes import held_scopes
from backend_hub.db import AsyncSession
from backend_hub.http.callers import caller_of
from backend_hub.http.rate_limits import network_of
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.oauth.clients import ALL_SCOPES, KnownClient
from backend_hub.oauth.devices import (
    TooManyGuesses,
    allow_device,
    deny_device,
    find_waiting,
    read_user_code,
)
from backend_hub.oauth.models import DeviceCode
from backend_hub.site.browser import (
    current_browser,
    form_page,
    own_form,
    see_other,
)

router = page_router()
UNKNOWN = (
    "No device waits with this code. It may be mistyped, or have expired: then start again there."
)


@router.get("/device")
async def show_device(request: Request, session: Session, user_code: str = "") -> Response:
    """The code of a link is only filled in: looking it up is a guess, which needs a form."""
    browser = await current_browser(request, session)
    if browser is None:
        return to_sign_in(user_code)
    return code_page(request, browser, read_user_code(user_code) or "")


@router.post("/device")
async def enter_code(request: Request, session: Session) -> Response:
    form = await own_form(request)
    browser = await current_browser(request, session)
    if browser is None:
        return to_sign_in(form.get("user_code", ""))
    found = await find_device(request, session, browser, form)
    if isinstance(found, Response):
        return found
    device, client, user_code = found
    return form_page(
        request,
        "device_consent.html",
        client=client.row,
        who=browser.user,
        scopes=[ALL_SCOPES[name] for name in scopes_for(device, browser)],
        user_code=user_code,
    )


@router.post("/device/decision")
async def decide_device(request: Request, session: Session) -> Response:
    form = await own_form(request)
    browser = await current_browser(request, session)
    if browser is None:
        return to_sign_in(form.get("user_code", ""))
    found = await find_device(request, session, browser, form)
    if isinstance(found, Response):
        return found
    device, client, _ = found
    allowed = form.get("decision") == "allow"
    if allowed:
        settings, caller = request.app.state.settings, caller_of(request.scope)
        scope = " ".join(scopes_for(device, browser))
        await allow_device(session, settings, browser, device, client, scope, caller)
    else:
        deny_device(device)
    return form_page(request, "device_done.html", client=client.row, allowed=allowed)


async def find_device(
    request: Request, session: AsyncSession, browser: SignedInBrowser, form: dict[str, str]
) -> tuple[DeviceCode, KnownClient, str] | Response:
    """The waiting device, its app and its code; or the page that says why there is none."""
    typed = form.get("user_code", "")[:40]
    user_code = read_user_code(typed)
    if user_code is None:
        problem = "A code is eight letters, such as BCDF-GHJK."
        return code_page(request, browser, typed, problem, 422)
    settings, network = request.app.state.settings, network_of(caller_of(request.scope).address)
    found = await find_waiting(session, settings, browser, network, user_code)
    if isinstance(found, TooManyGuesses):
        minutes = -(-found.seconds // 60)
        problem = f"Too many wrong codes: try again in {minutes} min."
        response = code_page(request, browser, typed, problem, 429)
        response.headers["Retry-After"] = str(found.seconds)
        return response
    if found is None:
        return code_page(request, browser, typed, UNKNOWN, 404)
    device, client = found
    if not scopes_for(device, browser):
        problem = "The app asks only for what your account may not do."
        return code_page(request, browser, typed, problem, 403)
    return device, client, user_code


def scopes_for(device: DeviceCode, browser: SignedInBrowser) -> list[str]:
    held = held_scopes(browser.user.role)
    return [name for name in device.scope.split() if name in held]


def code_page(
    request: Request, browser: SignedInBrowser, user_code: str, problem: str = "", status: int = 200
) -> Response:
    return form_page(
        request,
        "device.html",
        status=status,
        who=browser.user,
        user_code=user_code,
        problem=problem,
    )


def to_sign_in(user_code: str) -> Response:
    known = read_user_code(user_code)
    target = "/device" + (f"?{urlencode({'user_code': known})}" if known else "")
    return see_other(f"/sign-in?{urlencode({'next': target})}")

"""The browser's side of a session: its cookie, its forms, and where it may be sent next."""

import hmac
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from backend_hub.auth.browser_sessions import (
    SignedInBrowser,
    cookie_name,
    csrf_token,
    find_session,
    new_session_token,
)
from backend_hub.auth.dependencies import cookie_token as cookie_token
from backend_hub.auth.dependencies import session_token as session_token
from backend_hub.auth.devices import DEVICE_KNOWN
from backend_hub.db import AsyncSession
from backend_hub.errors import Forbidden
from backend_hub.http.callers import SESSION
from backend_hub.http.routing import storable
from backend_hub.settings import Settings
from backend_hub.site.templating import page

DEVICE, MAX_DEVICE_COOKIE = "hub_device", 200
SCRIPTS = "; script-src 'self'; connect-src 'self'"


class ForeignForm(Forbidden):
    code, title = "foreign_form", "This form did not come from this page"


def set_cookie(response: Response, settings: Settings, name: str, token: str, seconds: int) -> None:
    """A cookie for this host alone and out of reach of scripts; without seconds it ends."""
    response.set_cookie(
        cookie_name(settings, name),
        token,
        max_age=seconds,
        path="/",
        secure=settings.issuer.startswith("https://"),
        httponly=True,
        samesite="lax",
    )


def device_cookie(request: Request) -> str:
    """What says that this browser signed in before (auth/devices.py); empty without one."""
    value = request.cookies.get(cookie_name(request.app.state.settings, DEVICE), "")
    return value if len(value) <= MAX_DEVICE_COOKIE and value.isascii() else ""


def set_device_cookie(response: Response, settings: Settings, value: str) -> None:
    """It outlives the session: signing out does not make the browser a stranger."""
    set_cookie(response, settings, DEVICE, value, DEVICE_KNOWN)


def set_session_cookie(response: Response, settings: Settings, token: str) -> None:
    set_cookie(response, settings, SESSION, token, settings.session_ttl)


def delete_session_cookie(response: Response, settings: Settings) -> None:
    set_cookie(response, settings, SESSION, "", 0)


async def current_browser(request: Request, session: AsyncSession) -> SignedInBrowser | None:
    token = session_token(request)
    if not token:
        return None
    return await find_session(session, request.app.state.settings, token)


def form_page(
    request: Request,
    template: str,
    *,
    leads_to: str = "",
    images: str = "",
    scripts: bool = False,
    status: int = 200,
    **values: Any,
) -> Response:
    """A page with a form, whose hidden token belongs to this browser; never stored.

    Somebody who is not signed in gets a cookie of no account for it, so that nobody can be signed
    in to an account of somebody else's. `leads_to` is where the answer to the form may redirect:
    browsers hold that against `form-action` too. `images` is an origin whose images it shows.
    `scripts`: files of ours run, and may ask the hub.
    """
    token = session_token(request) or new_session_token()
    policy = (
        "default-src 'none'; style-src 'self';"
        f" img-src 'self' data:{images and ' ' + images}; base-uri 'none';"
        f" form-action 'self'{leads_to and ' ' + leads_to}; frame-ancestors 'none'"
        f"{scripts * SCRIPTS}"
    )
    response = page(
        request, template, status=status, policy=policy, csrf=csrf_token(token), **values
    )
    response.headers["Cache-Control"] = "no-store"
    if not session_token(request):
        set_session_cookie(response, request.app.state.settings, token)
    return response


async def own_form(request: Request) -> dict[str, str]:
    """The text fields of a form of ours; a field sent twice counts once.

    Raises ForeignForm unless this browser sent it: the form's token, and its origin.
    """
    form = {
        name: value
        for name, value in (await request.form()).items()
        if isinstance(value, str) and storable(name + value)
    }
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    own = {request.headers.get("host", ""), urlsplit(request.app.state.settings.issuer).netloc}
    token = session_token(request)
    expected = csrf_token(token) if token else ""
    if (
        (site is not None and site not in {"same-origin", "none"})
        or (site is None and origin is not None and urlsplit(origin).netloc not in own)
        or not token
        or not hmac.compare_digest(form.get("csrf", "").encode(), expected.encode())
    ):
        raise ForeignForm("Load the page again, with cookies allowed, and send it from there")
    return form


def local_path(target: str) -> str:
    """Where to go next: a path of this hub, and the start page for anything else."""
    if (
        not target.startswith("/")
        or target.startswith(("//", "/\\"))
        or any(ord(character) <= 32 or ord(character) == 127 for character in target)
        or "\\" in target
    ):
        return "/"
    return target


def redirect_source(url: str) -> str:
    """What `form-action` must allow for a redirect to an app: its origin, or its scheme."""
    try:
        parts = urlsplit(url)
        plain = parts.netloc.replace(".", "").replace(":", "").replace("-", "").isalnum()
    except ValueError:
        return ""
    if parts.scheme in {"http", "https"} and parts.netloc.isascii() and plain:
        return f"{parts.scheme}://{parts.netloc}"
    scheme = parts.scheme
    allowed = scheme.replace(".", "").replace("+", "").replace("-", "").isalnum()
    return f"{scheme}:" if scheme.isascii() and allowed and scheme not in FORBIDDEN else ""


FORBIDDEN = frozenset({"javascript", "data", "vbscript", "blob", "file"})


def source_after(target: str) -> str:
    """The app that signing in leads to, when `next` is a request of an app."""
    parts = urlsplit(target)
    if parts.path != "/oauth/authorize":
        return ""
    return redirect_source((parse_qs(parts.query).get("redirect_uri") or [""])[0])


def see_other(target: str) -> RedirectResponse:
    """303: whatever was sent is not sent again (RFC 9700 section 4.12)."""
    return RedirectResponse(target, status_code=303, headers={"Cache-Control": "no-store"})

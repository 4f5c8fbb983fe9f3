"""Every way of signing in ends here, and every page for one's own account asks here who it is."""

from datetime import timedelta
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from backend_hub.auth.browser_sessions import SignedInBrowser, begin_session, end_session
from backend_hub.auth.devices import device_of, device_token
from backend_hub.auth.second_factors import has_second_factor
from backend_hub.auth.second_step import LIVES, begin_second_step
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import Unauthorized
from backend_hub.http.callers import caller_of
from backend_hub.identity.flow import carry_over
from backend_hub.settings import Settings
from backend_hub.site.browser import (
    cookie_token,
    current_browser,
    device_cookie,
    local_path,
    see_other,
    session_token,
    set_cookie,
    set_device_cookie,
    set_session_cookie,
)
from backend_hub.users.models import User

RECENT = timedelta(minutes=10)
"""How long a sign-in is proof enough for changing what signs one in (promise 56)."""


SECOND_STEP = "hub_second_step"
"""The cookie of a sign-in that waits for its second factor."""


class NeedsSignIn(Unauthorized):
    """Answered with the sign-in page, which leads back to `target` (site/errors.py)."""

    code, title = "sign_in_needed", "Sign in first"

    def __init__(self, target: str, again: bool) -> None:
        super().__init__("Sign in again to go on" if again else "Sign in to go on")
        self.location = (
            f"/sign-in?{urlencode({'next': target} | ({'again': '1'} if again else {}))}"
        )


async def signed_in(
    request: Request, session: AsyncSession, *, recently: bool = False, back: str = ""
) -> SignedInBrowser:
    """Whose browser it is; raises NeedsSignIn, with `recently` for an older sign-in too.

    `back` is the page of the form that was sent, unless it is the section of the account.
    """
    # A form cannot be sent again after signing in: its page can be shown again.
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method == "POST":
        target = back or "/".join(request.url.path.split("/")[:3])
    browser = await current_browser(request, session)
    if browser is None:
        raise NeedsSignIn(target, again=False)
    if recently and utcnow() - browser.authenticated_at > RECENT:
        raise NeedsSignIn(target, again=True)
    return browser


async def enter(
    request: Request, session: AsyncSession, user: User, target: str, *, amr: str
) -> Response:
    """Begin a session and go on, by way of the second step for whoever has a second factor.

    `amr` is RFC 8176's; with `mfa` in it both factors were there already.
    """
    if "mfa" in amr.split() or not await has_second_factor(session, user.id):
        return await begin(request, session, user, target, amr)
    token = await begin_second_step(session, user, amr, local_path(target))
    response = see_other("/sign-in/second")
    seconds = int(LIVES.total_seconds())
    set_cookie(response, request.app.state.settings, SECOND_STEP, token, seconds)
    return response


async def begin(
    request: Request, session: AsyncSession, user: User, target: str, amr: str
) -> Response:
    """Begin a session under a new id, end the one before, and go on."""
    settings: Settings = request.app.state.settings
    if before := session_token(request):
        await end_session(session, before)
    known = device_of(settings, user.id, device_cookie(request)) is not None
    token = await begin_session(
        session, settings, user, caller_of(request.scope), amr, known_device=known
    )
    if before:
        await carry_over(session, before, token)
    response = see_other(local_path(target))
    set_session_cookie(response, settings, token)
    set_device_cookie(response, settings, device_token(settings, user.id))
    if cookie_token(request, SECOND_STEP):
        set_cookie(response, settings, SECOND_STEP, "", 0)
    return response

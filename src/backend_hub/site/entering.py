"""Every way of signing in ends here, and every page for one's own account asks here who it is."""

from datetime import timedelta
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from backend_hub.auth.browser_sessions import SignedInBrowser, begin_session, end_session
from backend_hub.db import AsyncSession, utcnow
from backend_hub.errors import Unauthorized
from backend_hub.http.callers import caller_of
from backend_hub.identity.flow import carry_over
from backend_hub.settings import Settings
from backend_hub.site.browser import (
    current_browser,
    local_path,
    see_other,
    session_token,
    set_session_cookie,
)
from backend_hub.users.models import User

RECENT = timedelta(minutes=10)
"""How long a sign-in is proof enough for changing what signs one in (promise 56)."""


class NeedsSignIn(Unauthorized):
    """Answered with the sign-in page, which leads back to `target` (site/errors.py)."""

    code, title = "sign_in_needed", "Sign in first"

    def __init__(self, target: str, again: bool) -> None:
        super().__init__("Sign in again to go on" if again else "Sign in to go on")
        self.location = (
            f"/sign-in?{urlencode({'next': target} | ({'again': '1'} if again else {}))}"
        )


async def signed_in(
    request: Request, session: AsyncSession, *, recently: bool = False, back: str = "/account"
) -> SignedInBrowser:
    """Whose browser it is; raises NeedsSignIn, with `recently` for an older sign-in too.

    `back` is the page of the form that was sent.
    """
    # A form cannot be sent again after signing in: its page can be shown again.
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method == "POST":
        target = back
    browser = await current_browser(request, session)
    if browser is None:
        raise NeedsSignIn(target, again=False)
    if recently and utcnow() - browser.authenticated_at > RECENT:
        raise NeedsSignIn(target, again=True)
    return browser


async def enter(
    request: Request, session: AsyncSession, user: User, target: str, *, amr: str
) -> Response:
    """Begin a session under a new id, end the one before, and go on; `amr` is RFC 8176's."""
    settings: Settings = request.app.state.settings
    if before := session_token(request):
        await end_session(session, before)
    token = await begin_session(session, settings, user, caller_of(request.scope), amr)
    if before:
        await carry_over(session, before, token)
    response = see_other(local_path(target))
    set_session_cookie(response, settings, token)
    return response

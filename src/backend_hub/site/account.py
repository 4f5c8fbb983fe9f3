"""Pages of one's own account: the frame that they share, and the first of them."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.auth.security_log import WORDS, list_security_events
from backend_hub.http.routing import LenientRoute
from backend_hub.http.sessions import Session
from backend_hub.site.browser import form_page
from backend_hub.site.entering import signed_in

router = APIRouter(
    include_in_schema=False, route_class=LenientRoute, default_response_class=HTMLResponse
)

SECTIONS = (
    ("/account", "Overview"),
    ("/account/sign-in", "Email and password"),
    ("/account/factors", "Second factor and passkeys"),
    ("/account/identities", "Other accounts"),
    ("/account/security", "Security log"),
)
"""The paths and names of the pages, in the order of their navigation."""


def account_page(
    request: Request,
    browser: SignedInBrowser,
    template: str,
    *,
    here: str = "",
    scripts: bool = False,
    status: int = 200,
    **values: Any,
) -> Response:
    """A page for one person only, with the navigation of all of them.

    `here` is its path, where a form of it was sent elsewhere.
    """
    return form_page(
        request,
        f"account/{template}",
        scripts=scripts,
        status=status,
        who=browser.user,
        sections=SECTIONS,
        here=here or request.url.path,
        **values,
    )


@router.get("/account")
async def show_account(request: Request, session: Session) -> Response:
    browser = await signed_in(request, session)
    return account_page(request, browser, "overview.html")


@router.get("/account/security")
async def show_security_log(request: Request, session: Session) -> Response:
    browser = await signed_in(request, session)
    events = await list_security_events(session, browser.user.id)
    return account_page(request, browser, "security.html", events=events, words=WORDS)

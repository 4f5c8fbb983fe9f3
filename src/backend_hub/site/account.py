"""Pages of one's own account: the frame that they share, and the first of them."""

from typing import Any

from fastapi import Request
from starlette.responses import Response

from backend_hub.auth.actor import Actor
from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.auth.scopes import held_scopes
from backend_hub.auth.security_log import WORDS, list_security_events
from backend_hub.db import AsyncSession
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.site.browser import form_page, own_form
from backend_hub.site.entering import signed_in
from backend_hub.users.models import Role

router = page_router()

SECTIONS = (
    ("/account", "Overview"),
    ("/account/sign-in", "Email and password"),
    ("/account/factors", "Second factor and passkeys"),
    ("/account/identities", "Other accounts"),
    ("/account/sessions", "Sessions and apps"),
    ("/account/tokens", "Tokens"),
    ("/account/apps", "Apps you made"),
    ("/account/data", "Your data"),
    ("/account/security", "Security log"),
)
"""The paths and names of the pages, in the order of their navigation."""


def _section(path: str) -> str:
    """Which page of the navigation a path lies below."""
    inside = (known for known, _ in SECTIONS if path == known or path.startswith(f"{known}/"))
    return max(inside, key=len, default="")


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
        here=here or _section(request.url.path),
        **values,
    )


async def sent_form(
    request: Request, session: AsyncSession, *, recently: bool = False
) -> tuple[SignedInBrowser, dict[str, str]]:
    """Who sent a form of these pages, and what is in it; raises NeedsSignIn and ForeignForm."""
    browser = await signed_in(request, session, recently=recently)
    form = await own_form(request)
    return browser, form


def actor_of(browser: SignedInBrowser) -> Actor:
    """The person at a browser, with all that their role holds."""
    user = browser.user
    return Actor(user.id, user.username, Role(user.role), held_scopes(user.role))


@router.get("/account")
async def show_account(request: Request, session: Session) -> Response:
    browser = await signed_in(request, session)
    return account_page(request, browser, "overview.html")


@router.get("/account/security")
async def show_security_log(request: Request, session: Session) -> Response:
    browser = await signed_in(request, session)
    events = await list_security_events(session, browser.user.id)
    return account_page(request, browser, "security.html", events=events, words=WORDS)

"""The pages of one's own personal access tokens."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from fastapi import Request
from pydantic import ValidationError
from starlette.responses import Response

from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.auth.personal_tokens import list_tokens, make_token, revoke_token
from backend_hub.auth.schemas import PersonalTokenCreate
from backend_hub.auth.scopes import APP_SCOPES, held_scopes
from backend_hub.db import utcnow
from backend_hub.errors import HubError, NotFound
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.site.account import account_page, actor_of, sent_form
from backend_hub.site.browser import see_other
from backend_hub.site.entering import signed_in
from backend_hub.site.problems import problems_of

router = page_router("/account/tokens")
PAGE = "/account/tokens"
LIVES = {"7": "a week", "30": "30 days", "90": "90 days", "365": "a year"}
LABELS = {"name": "Name", "scopes": "What it may do", "expires_in_days": "It works for"}


@router.get("")
async def show_tokens(request: Request, session: Session) -> Response:
    browser = await signed_in(request, session)
    tokens = await list_tokens(session, browser.user.id)
    return account_page(
        request, browser, "tokens.html", tokens=tokens, words=APP_SCOPES, now=utcnow()
    )


@router.get("/new")
async def show_new_token(request: Request, session: Session) -> Response:
    return _form(request, await signed_in(request, session, recently=True))


@router.post("/new")
async def make_new_token(request: Request, session: Session) -> Response:
    browser, form = await sent_form(request, session, recently=True)
    given: dict[str, Any] = {name: form.get(name, "") for name in ("name", "expires_in_days")}
    given["scopes"] = [name for name in APP_SCOPES if f"scope:{name}" in form]
    try:
        wanted = PersonalTokenCreate.model_validate(given)
        row, token = await make_token(session, actor_of(browser), wanted, caller_of(request.scope))
    except ValidationError as error:
        return _form(request, browser, given, problems_of(error, LABELS), 422)
    except HubError as error:
        return _form(request, browser, given, {"name": f"{error.detail}."}, error.status)
    return account_page(
        request, browser, "secret.html", heading="Your new token", name=row.name, secret=token,
        back=PAGE, fact=f"It works until {row.expires_at:%-d %b %Y}.",
    )  # fmt: skip


@router.post("/revoke")
async def revoke(request: Request, session: Session) -> Response:
    browser, form = await sent_form(request, session)
    with suppress(NotFound, ValueError):  # it was revoked meanwhile
        token_id = UUID(form.get("id", ""))
        await revoke_token(session, browser.user.id, token_id, caller_of(request.scope))
    return see_other(PAGE)


def _form(
    request: Request,
    browser: SignedInBrowser,
    given: dict[str, Any] | None = None,
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    held = held_scopes(browser.user.role)
    return account_page(
        request,
        browser,
        "token_form.html",
        status=status,
        given=given or {"name": "", "expires_in_days": "90", "scopes": []},
        problems=problems or {},
        lives=LIVES,
        scopes={name: words for name, words in APP_SCOPES.items() if name in held},
    )

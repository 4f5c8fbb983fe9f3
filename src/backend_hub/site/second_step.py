"""The second step of signing in: a code, a recovery code or a passkey."""

from fastapi import Request
from starlette.responses import Response

from backend_hub.auth.models import PendingSignIn
from backend_hub.auth.passkeys import check_passkey, list_passkeys, passkey_origin
from backend_hub.auth.second_factors import find_second_factor
from backend_hub.auth.second_step import StartOver, answer_with_code, end_pending, find_pending
from backend_hub.db import AsyncSession
from backend_hub.errors import HubError
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.site.browser import (
    cookie_token,
    form_page,
    own_form,
    see_other,
    source_after,
)
from backend_hub.site.entering import SECOND_STEP, begin
from backend_hub.site.passkeys import PASSKEY_AMR, ceremony
from backend_hub.users.models import User

router = page_router()
CODE_AMR = "otp mfa"


@router.get("/sign-in/second")
async def show_second_step(request: Request, session: Session) -> Response:
    found = await find_pending(session, cookie_token(request, SECOND_STEP))
    return await _page(request, session, *found) if found else see_other("/sign-in")


@router.post("/sign-in/second")
async def send_code(request: Request, session: Session) -> Response:
    form = await own_form(request)
    found = await find_pending(session, cookie_token(request, SECOND_STEP))
    if found is None:
        return see_other("/sign-in")
    pending, user = found
    settings, caller = request.app.state.settings, caller_of(request.scope)
    code = form.get("code", "")[:100]
    refusal = await answer_with_code(session, settings, pending, user, code, caller)
    if refusal is not None:
        return await _page(request, session, pending, user, refusal)
    return await _finish(request, session, pending, user, CODE_AMR)


@router.post("/sign-in/second/passkey")
async def send_passkey(request: Request, session: Session) -> Response:
    form = await own_form(request)
    found = await find_pending(session, cookie_token(request, SECOND_STEP))
    if found is None:
        return see_other("/sign-in")
    pending, user = found
    asked = ceremony(request, "second_step", user.id)
    answer = form.get("credential", "")
    refusal = await check_passkey(session, asked, answer, caller_of(request.scope))
    if isinstance(refusal, HubError):
        return await _page(request, session, pending, user, refusal)
    return await _finish(request, session, pending, user, PASSKEY_AMR)


async def _finish(
    request: Request, session: AsyncSession, pending: PendingSignIn, user: User, amr: str
) -> Response:
    await end_pending(session, pending)
    return await begin(request, session, user, pending.target, f"{pending.amr} {amr}")


async def _page(
    request: Request,
    session: AsyncSession,
    pending: PendingSignIn,
    user: User,
    refusal: HubError | None = None,
) -> Response:
    """Another try, or the end of this sign-in."""
    over = isinstance(refusal, StartOver)
    factor = await find_second_factor(session, user.id)
    has_passkeys = bool(await list_passkeys(session, user.id))
    offered = passkey_origin(request.app.state.settings) if has_passkeys and not over else None
    return form_page(
        request,
        "second_step.html",
        leads_to=source_after(pending.target),
        scripts=bool(offered),
        status=refusal.status if refusal else 200,
        problem=refusal.detail if refusal else "",
        over=over,
        next=pending.target,
        app=factor is not None and factor.totp_confirmed_at is not None,
        passkeys=offered,
    )

"""Forgotten passwords and unverified addresses over HTTP, for apps with pages of their own."""

from fastapi import Request

from backend_hub.auth import addresses, recovery
from backend_hub.auth.dependencies import ProfileOwner
from backend_hub.auth.schemas import Accepted, EmailVerification, ForgotPassword, PasswordReset
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import hub_router
from backend_hub.http.sessions import Session
from backend_hub.users.service import get_user

router = hub_router("/auth", "auth")
mine = hub_router("/users", "users")

MAILED = "If somebody verified this address here, a mail with a link is on its way to it."
VERIFYING = "If your address is not verified yet, a mail with a link is on its way to it."


@router.post("/forgot", summary="Forget a password", status_code=202)
async def forgot_password(form: ForgotPassword, request: Request, session: Session) -> Accepted:
    """Have a link mailed that sets a new password.

    The answer is the same whether or not anybody has this address.
    """
    settings = request.app.state.settings
    await recovery.ask_reset(session, settings, form.email, caller_of(request.scope))
    return Accepted(message=MAILED)


@router.post("/reset", summary="Set a new password", status_code=204)
async def reset_password(form: PasswordReset, request: Request, session: Session) -> None:
    """Set a password by the `token` of a mail: it works once, within an hour.

    Every session and every token of the person ends. Nobody is signed in: that takes the new
    password, and the second factor as ever. A link that does not work is 422 with the code
    `invalid_link`.
    """
    caller = caller_of(request.scope)
    await recovery.reset_password(session, form.token, form.password, caller)


@router.post("/verify-email", summary="Verify an address", status_code=204)
async def verify_email(form: EmailVerification, request: Request, session: Session) -> None:
    """Verify an address by the `token` of a mail: it works once, within 24 hours.

    409 with the code `address_taken`: somebody verified it for another account meanwhile.
    """
    settings, caller = request.app.state.settings, caller_of(request.scope)
    await addresses.verify_address(session, settings, form.token, caller)


@mine.post("/me/verification", summary="Verify your address", status_code=202)
async def resend_verification(request: Request, actor: ProfileOwner, session: Session) -> Accepted:
    """Have another mail sent with the link that verifies your address."""
    user = await get_user(session, actor.id)
    settings, caller = request.app.state.settings, caller_of(request.scope)
    await addresses.ask_again(session, settings, user, caller)
    return Accepted(message=VERIFYING)

"""The pages that mails lead to, and the one that asks for such a mail.

Programs that scan mails follow links: nothing happens before a form is sent.
"""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from backend_hub.auth.addresses import AddressTaken, verify_address
from backend_hub.auth.email_links import InvalidLink, open_link
from backend_hub.auth.models import Purpose
from backend_hub.auth.recovery import WeakPassword, ask_reset, reset_password
from backend_hub.auth.schemas import Address
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.mail.delivery import delivers
from backend_hub.site.browser import form_page, local_path, own_form
from backend_hub.site.sign_in import Next

router = page_router()
Token = Annotated[str, Query(max_length=200)]
ADDRESS = TypeAdapter[str](Address)
NO_ADDRESS = "That is no email address."


@router.get("/forgot")
async def show_forgot(request: Request, target: Next = "/") -> Response:
    return _forgot_page(request, target)


@router.post("/forgot")
async def forgot(request: Request, session: Session) -> Response:
    form = await own_form(request)
    given, target = form.get("email", "").strip()[:254], local_path(form.get("next", "/"))
    try:
        email = ADDRESS.validate_python(given)
    except ValidationError:
        return _forgot_page(request, target, given, NO_ADDRESS, 422)
    await ask_reset(session, request.app.state.settings, email, caller_of(request.scope))
    return _told(
        request,
        "Look into your mail",
        "If somebody verified this address here, a mail is on its way to it. Its link sets a new "
        "password; it works once, within an hour.",
        link=(f"/sign-in?{urlencode({'next': target})}", "Back to sign in"),
    )


@router.get("/reset")
async def show_reset(request: Request, session: Session, token: Token = "") -> Response:
    try:
        _, user = await open_link(session, token, Purpose.reset)
    except InvalidLink as error:
        return _dead_link(request, error, "/forgot", "Have another one sent")
    return _link_page(request, "reset.html", token, username=user.username, problem="")


@router.post("/reset")
async def reset(request: Request, session: Session) -> Response:
    form = await own_form(request)
    token, caller = form.get("token", "")[:200], caller_of(request.scope)
    try:
        await reset_password(session, token, form.get("password", "")[:1_000], caller)
    except InvalidLink as error:
        return _dead_link(request, error, "/forgot", "Have another one sent")
    except WeakPassword as error:
        _, user = await open_link(session, token, Purpose.reset)
        problem = f"Your password {error.reason}."
        return _link_page(
            request, "reset.html", token, 422, username=user.username, problem=problem
        )
    return _told(
        request,
        "Your new password is set",
        "Every browser and app was signed out.",
        link=("/sign-in?next=/account", "Sign in"),
    )


@router.get("/verify")
async def show_verify(request: Request, session: Session, token: Token = "") -> Response:
    try:
        link, user = await open_link(session, token, Purpose.verify)
    except InvalidLink as error:
        return _dead_link(request, error, "/account/sign-in", "Have another one sent")
    return _link_page(request, "verify.html", token, username=user.username, email=link.email)


@router.post("/verify")
async def verify(request: Request, session: Session) -> Response:
    form = await own_form(request)
    settings, caller = request.app.state.settings, caller_of(request.scope)
    try:
        user = await verify_address(session, settings, form.get("token", "")[:200], caller)
    except InvalidLink as error:
        return _dead_link(request, error, "/account/sign-in", "Have another one sent")
    except AddressTaken as error:
        return _told(
            request,
            error.title,
            f"{error.detail}.",
            link=("/forgot", "Forgot its password?"),
            status=error.status,
        )
    detail = f"{user.email} is the verified address of the account {user.username}."
    return _told(request, "Address confirmed", detail, link=("/account", "To your account"))


def _forgot_page(
    request: Request, target: str, email: str = "", problem: str = "", status: int = 200
) -> Response:
    return form_page(
        request,
        "forgot.html",
        status=status,
        next=local_path(target),
        email=email,
        problem=problem,
        sends=delivers(request.app.state.settings),
    )


def _link_page(
    request: Request, template: str, token: str, status: int = 200, **values: str
) -> Response:
    """A page whose own address holds a secret: no other site is told of it."""
    more: dict[str, Any] = {"token": token, **values}
    response = form_page(request, template, status=status, **more)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _dead_link(request: Request, error: InvalidLink, target: str, label: str) -> Response:
    return _told(request, error.title, f"{error.detail}.", link=(target, label), status=404)


def _told(
    request: Request,
    title: str,
    detail: str,
    *,
    link: tuple[str, str] = ("/", "To the start page"),
    status: int = 200,
) -> Response:
    response = form_page(request, "told.html", status=status, title=title, detail=detail, link=link)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response

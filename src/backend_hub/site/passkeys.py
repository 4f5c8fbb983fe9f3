"""Signing in and up with a passkey; `static/passkeys.js` is the other half."""

from typing import Any
from uuid import UUID

from fastapi import Depends, Request
from pydantic import ValidationError
from sqlalchemy import func
from sqlmodel import select
from starlette.responses import JSONResponse, Response

from backend_hub.auth.email_links import mail_verification
from backend_hub.auth.passkeys import (
    Ceremony,
    PasskeyRefused,
    add_passkey,
    check_passkey,
    creation_options,
    passkey_origin,
    register_passkey,
    request_options,
    require_room,
)
from backend_hub.auth.schemas import PasskeyRegister
from backend_hub.auth.second_step import find_pending
from backend_hub.auth.service import UsernameTaken, add_user
from backend_hub.db import AsyncSession, new_id
from backend_hub.errors import Unprocessable
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.site.browser import (
    cookie_token,
    form_page,
    local_path,
    own_form,
    session_token,
    source_after,
)
from backend_hub.site.entering import SECOND_STEP, enter, signed_in
from backend_hub.site.problems import problems_of
from backend_hub.site.sign_in import FIELDS, Next, offer, require_open, sign_in_page
from backend_hub.users.models import User

router = page_router()
PASSKEY_AMR = "pop user mfa"
"""A key was proved and somebody was there (RFC 8176); alone, the device also knew who."""


def ceremony(request: Request, purpose: str, user_id: UUID | None = None) -> Ceremony:
    """For this browser; `own_form` has seen that it has a cookie."""
    return Ceremony(request.app.state.settings, session_token(request), purpose, user_id)


@router.post("/passkeys/challenge")
async def make_challenge(request: Request, session: Session) -> Response:
    """What the browser's own dialog is opened with, as JSON for the script."""
    form = await own_form(request)
    make = CHALLENGES.get(form.get("purpose", ""))
    if make is None:
        raise Unprocessable("There is no such purpose", loc=("body", "purpose"))
    return JSONResponse(await make(request, session, form), headers={"Cache-Control": "no-store"})


async def _for_sign_in(
    request: Request, session: AsyncSession, _form: dict[str, str]
) -> dict[str, Any]:
    return await request_options(session, ceremony(request, "sign_in"))


async def _for_second_step(
    request: Request, session: AsyncSession, _form: dict[str, str]
) -> dict[str, Any]:
    found = await find_pending(session, cookie_token(request, SECOND_STEP))
    if found is None:
        raise Unprocessable("This sign-in took too long: begin again")
    return await request_options(session, ceremony(request, "second_step", found[1].id))


async def _for_registration(
    request: Request, session: AsyncSession, _form: dict[str, str]
) -> dict[str, Any]:
    back = "/account/factors"
    user = (await signed_in(request, session, recently=True, back=back)).user
    await require_room(session, user.id)
    asked = ceremony(request, "register", user.id)
    return await creation_options(session, asked, user.username)


async def _for_sign_up(
    request: Request, session: AsyncSession, form: dict[str, str]
) -> dict[str, Any]:
    """For an account that is to be: its id is chosen now, for the passkey to hold."""
    require_open(request)
    try:
        wanted = _wanted(form)
    except ValidationError as error:
        raise Unprocessable(" ".join(problems_of(error, FIELDS).values())) from None
    same = func.lower(User.username) == wanted.username.lower()
    if (await session.exec(select(User.id).where(same))).first() is not None:
        raise UsernameTaken
    asked = ceremony(request, "sign_up", new_id())
    return await creation_options(session, asked, wanted.username)


CHALLENGES = {
    "sign_in": _for_sign_in,
    "second_step": _for_second_step,
    "register": _for_registration,
    "sign_up": _for_sign_up,
}


@router.post("/sign-in/passkey", dependencies=[Depends(offer)])
async def sign_in_with_passkey(request: Request, session: Session) -> Response:
    form = await own_form(request)
    target, answer = form.get("next", "/"), form.get("credential", "")
    found = await check_passkey(
        session, ceremony(request, "sign_in"), answer, caller_of(request.scope)
    )
    if isinstance(found, PasskeyRefused):
        return sign_in_page(request, target, problem=found.detail, status=401)
    return await enter(request, session, found, target, amr=PASSKEY_AMR)


@router.get("/sign-up/passkey")
async def show_sign_up(request: Request, target: Next = "/") -> Response:
    require_open(request)
    return _sign_up_page(request, target)


@router.post("/sign-up/passkey")
async def sign_up_with_passkey(request: Request, session: Session) -> Response:
    require_open(request)
    form = await own_form(request)
    target, answer = form.get("next", "/"), form.get("credential", "")
    try:
        wanted = _wanted(form)
    except ValidationError as error:
        return _sign_up_page(request, target, form, problems_of(error, FIELDS), 422)
    passkey = await register_passkey(session, ceremony(request, "sign_up"), answer, "")
    if isinstance(passkey, PasskeyRefused):
        return _sign_up_page(request, target, form, {"passkey": passkey.detail}, 401)
    user = User(
        id=passkey.user_id,
        username=wanted.username,
        display_name=wanted.username,
        email=wanted.email,
    )
    try:
        await add_user(session, user)
    except UsernameTaken as error:
        return _sign_up_page(request, target, form, {"username": f"{error.detail}."}, 409)
    await add_passkey(session, passkey, caller_of(request.scope))
    await mail_verification(session, request.app.state.settings, user, wanted.email)
    return await enter(request, session, user, target, amr=PASSKEY_AMR)


def _wanted(form: dict[str, str]) -> PasskeyRegister:
    return PasskeyRegister(username=form.get("username", ""), email=form.get("email", ""))


def _sign_up_page(
    request: Request,
    target: str,
    given: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    target = local_path(target)
    offered = passkey_origin(request.app.state.settings)
    return form_page(
        request,
        "sign_up_passkey.html",
        leads_to=source_after(target),
        scripts=bool(offered),
        status=status,
        next=target,
        given={"username": "", "email": ""} | (given or {}),
        problems=problems or {},
        passkeys=offered,
    )

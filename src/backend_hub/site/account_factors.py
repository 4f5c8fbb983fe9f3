"""The account's page of second factors and passkeys."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import segno
from fastapi import Request
from starlette.responses import Response

from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.auth.passkeys import (
    PasskeyRefused,
    add_passkey,
    ask_for_passkeys,
    list_passkeys,
    passkey_origin,
    register_passkey,
    remove_passkey,
)
from backend_hub.auth.second_factors import (
    begin_totp,
    confirm_totp,
    count_recovery_codes,
    find_second_factor,
    is_on,
    make_recovery_codes,
    pending_secret,
    provisioning_uri,
    readable_secret,
    remove_totp,
)
from backend_hub.db import AsyncSession
from backend_hub.errors import Conflict
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.site.account import account_page
from backend_hub.site.browser import own_form, see_other
from backend_hub.site.entering import signed_in
from backend_hub.site.passkeys import ceremony

router = page_router()
PAGE = "/account/factors"


async def changing(
    request: Request, session: AsyncSession
) -> tuple[SignedInBrowser, dict[str, str]]:
    """Who changes what signs them in, and the form that says how (promise 56)."""
    form = await own_form(request)
    return await signed_in(request, session, recently=True), form


@router.get(PAGE)
async def show_factors(request: Request, session: Session) -> Response:
    return await _page(request, session, await signed_in(request, session, recently=True))


@router.post(f"{PAGE}/app")
async def set_up_app(request: Request, session: Session) -> Response:
    browser, _ = await changing(request, session)
    try:
        await begin_totp(session, request.app.state.settings, browser.user)
    except Conflict as error:
        return await _page(request, session, browser, error.detail, 409)
    return see_other(f"{PAGE}/app")


@router.get(f"{PAGE}/app")
async def show_app(request: Request, session: Session) -> Response:
    browser = await signed_in(request, session, recently=True)
    return await _app_page(request, session, browser)


@router.post(f"{PAGE}/app/confirm")
async def confirm_app(request: Request, session: Session) -> Response:
    browser, form = await changing(request, session)
    settings, caller = request.app.state.settings, caller_of(request.scope)
    try:
        right = await confirm_totp(session, settings, browser.user, form.get("code", ""), caller)
    except Conflict:
        return see_other(PAGE)
    if not right:
        problem = "The code is wrong: is the clock of your phone right?"
        return await _app_page(request, session, browser, problem, 422)
    return await _with_first_codes(request, session, browser)


@router.post(f"{PAGE}/app/remove")
async def remove_app(request: Request, session: Session) -> Response:
    browser, _ = await changing(request, session)
    await remove_totp(session, browser.user, caller_of(request.scope))
    return see_other(PAGE)


@router.post(f"{PAGE}/recovery-codes")
async def renew_codes(request: Request, session: Session) -> Response:
    browser, _ = await changing(request, session)
    try:
        return await _codes_page(request, session, browser)
    except Conflict as error:
        return await _page(request, session, browser, error.detail, 409)


@router.post(f"{PAGE}/passkeys")
async def add(request: Request, session: Session) -> Response:
    browser, form = await changing(request, session)
    asked = ceremony(request, "register", browser.user.id)
    name, answer = form.get("name", ""), form.get("credential", "")
    passkey = await register_passkey(session, asked, answer, name)
    if isinstance(passkey, PasskeyRefused):
        return await _page(request, session, browser, passkey.detail, 401)
    await add_passkey(session, passkey, caller_of(request.scope))
    return see_other(PAGE)


@router.post(f"{PAGE}/passkeys/{{passkey_id}}/remove")
async def remove(passkey_id: UUID, request: Request, session: Session) -> Response:
    browser, _ = await changing(request, session)
    try:
        await remove_passkey(session, browser.user, passkey_id, caller_of(request.scope))
    except Conflict as error:
        return await _page(request, session, browser, error.detail, 409)
    return see_other(PAGE)


@router.post(f"{PAGE}/second-step")
async def switch(request: Request, session: Session) -> Response:
    browser, form = await changing(request, session)
    on = form.get("passkeys") == "on"
    try:
        await ask_for_passkeys(session, browser.user, on, caller_of(request.scope))
    except Conflict as error:
        return await _page(request, session, browser, error.detail, 409)
    return await _with_first_codes(request, session, browser) if on else see_other(PAGE)


async def _with_first_codes(
    request: Request, session: AsyncSession, browser: SignedInBrowser
) -> Response:
    """Nobody is left with a second factor and no recovery codes."""
    if await count_recovery_codes(session, browser.user.id):
        return see_other(PAGE)
    return await _codes_page(request, session, browser)


async def _codes_page(
    request: Request, session: AsyncSession, browser: SignedInBrowser
) -> Response:
    """New codes, shown this once."""
    codes = await make_recovery_codes(session, browser.user, caller_of(request.scope))
    name = f"{request.app.state.settings.name}, recovery codes of {browser.user.username}"
    text = "\n".join([name, "Each works once.", "", *codes, ""])
    file = f"data:text/plain;charset=utf-8,{quote(text)}"
    return account_page(request, browser, "recovery_codes.html", here=PAGE, codes=codes, file=file)


async def _app_page(
    request: Request,
    session: AsyncSession,
    browser: SignedInBrowser,
    problem: str = "",
    status: int = 200,
) -> Response:
    settings = request.app.state.settings
    secret = await pending_secret(session, settings, browser.user)
    if secret is None:
        return see_other(PAGE)
    uri = provisioning_uri(settings, browser.user, secret)
    # Dark on white in both colour schemes: cameras want it so.
    picture = segno.make_qr(uri, error="m").svg_data_uri(scale=4, border=4, light="#fff")
    return account_page(
        request,
        browser,
        "authenticator_app.html",
        here=PAGE,
        status=status,
        problem=problem,
        picture=picture,
        secret=readable_secret(secret),
    )


async def _page(
    request: Request,
    session: AsyncSession,
    browser: SignedInBrowser,
    problem: str = "",
    status: int = 200,
) -> Response:
    user, settings = browser.user, request.app.state.settings
    factor = await find_second_factor(session, user.id)
    values: dict[str, Any] = {
        "app_since": factor.totp_confirmed_at if factor else None,
        "passkeys_since": factor.passkeys_since if factor else None,
        "second_step": factor is not None and is_on(factor),
        "codes_left": await count_recovery_codes(session, user.id),
        "passkeys": await list_passkeys(session, user.id),
        "offered": passkey_origin(settings),
        "issuer": settings.issuer,
        "has_password": user.password_hash is not None,
    }
    return account_page(
        request,
        browser,
        "factors.html",
        scripts=bool(values["offered"]),
        status=status,
        problem=problem,
        **values,
    )

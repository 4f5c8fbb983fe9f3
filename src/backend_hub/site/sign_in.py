"""The pages on which people sign in, sign up and sign out."""

from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from backend_hub.auth.browser_sessions import end_session
from backend_hub.auth.email_links import mail_verification
from backend_hub.auth.passkeys import passkey_origin
from backend_hub.auth.password_sign_in import Guess, authenticate
from backend_hub.auth.schemas import UserRegister
from backend_hub.auth.service import InvalidGrant, UsernameTaken, register_user
from backend_hub.auth.throttling import TooManyTries
from backend_hub.errors import Forbidden
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session, get_database
from backend_hub.identity.queries import list_offered
from backend_hub.site.browser import (
    current_browser,
    delete_session_cookie,
    device_cookie,
    form_page,
    local_path,
    own_form,
    see_other,
    session_token,
    source_after,
)
from backend_hub.site.entering import enter
from backend_hub.site.problems import problems_of
from backend_hub.users.models import User


async def offer(request: Request, session: Session) -> None:
    """Whom people may sign in with instead, for the pages."""
    request.state.offered = await list_offered(session)


# Not in the OpenAPI document, hence without a row in access.py: they are for anyone.
router = page_router(dependencies=[Depends(offer)])
Next = Annotated[str, Query(alias="next", max_length=4_000)]
FIELDS = {"username": "Name", "email": "Email", "password": "Password"}


@router.get("/sign-in")
async def show_sign_in(
    request: Request,
    session: Session,
    target: Next = "/",
    login_hint: str = "",
    again: bool = False,
) -> Response:
    browser = await current_browser(request, session)
    who = browser.user if browser else None
    username = who.username if who and again else login_hint[:254]
    return sign_in_page(request, target, username=username, who=who, again=again)


@router.post("/sign-in")
async def sign_in(request: Request, session: Session) -> Response:
    form = await own_form(request)
    target, username = form.get("next", "/"), form.get("username", "")[:254]
    guess = Guess(
        username,
        form.get("password", "")[:1_000],
        caller_of(request.scope),
        device_cookie(request),
    )
    try:
        user = await authenticate(get_database(request), session, request.app.state.settings, guess)
    except (InvalidGrant, TooManyTries) as error:
        refusal = sign_in_page(
            request, target, username=username, problem=error.detail, status=error.status
        )
        refusal.headers.update(error.headers)
        return refusal
    return await enter(request, session, user, target, amr="pwd")


@router.get("/sign-up")
async def show_sign_up(request: Request, target: Next = "/") -> Response:
    require_open(request)
    return sign_up_page(request, target)


@router.post("/sign-up")
async def sign_up(request: Request, session: Session) -> Response:
    require_open(request)
    form = await own_form(request)
    target = form.get("next", "/")
    given = {name: form.get(name, "") for name in FIELDS}
    try:
        user = await register_user(session, UserRegister(**given))
        await mail_verification(session, request.app.state.settings, user, user.email or "")
    except ValidationError as error:
        return sign_up_page(request, target, given, problems_of(error, FIELDS), 422)
    except UsernameTaken as error:
        return sign_up_page(request, target, given, {"username": f"{error.detail}."}, 409)
    return await enter(request, session, user, target, amr="pwd")


@router.get("/sign-out")
async def show_sign_out(request: Request, session: Session) -> Response:
    browser = await current_browser(request, session)
    return form_page(request, "sign_out.html", who=browser.user if browser else None)


@router.post("/sign-out")
async def sign_out_browser(request: Request, session: Session) -> Response:
    await own_form(request)
    await end_session(session, session_token(request))
    response = see_other("/")
    delete_session_cookie(response, request.app.state.settings)
    return response


def require_open(request: Request) -> None:
    if not request.app.state.settings.registration_open:
        raise Forbidden("This hub does not take registrations")


def sign_in_page(
    request: Request,
    target: str,
    *,
    username: str = "",
    problem: str = "",
    who: User | None = None,
    again: bool = False,
    status: int = 200,
) -> Response:
    target = local_path(target)
    offered = passkey_origin(request.app.state.settings)
    return form_page(
        request,
        "sign_in.html",
        leads_to=source_after(target),
        scripts=bool(offered),
        passkeys=offered,
        status=status,
        next=target,
        username=username,
        problem=problem,
        who=who,
        again=again,
        offered=request.state.offered,
        open=request.app.state.settings.registration_open,
    )


def sign_up_page(
    request: Request,
    target: str,
    given: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    target = local_path(target)
    return form_page(
        request,
        "sign_up.html",
        leads_to=source_after(target),
        status=status,
        next=target,
        offered=request.state.offered,
        given=given or dict.fromkeys(FIELDS, ""),
        problems=problems or {},
        passkeys=passkey_origin(request.app.state.settings),
    )

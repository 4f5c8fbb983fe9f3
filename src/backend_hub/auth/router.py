"""Registration, tokens and keys over HTTP."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response

from backend_hub.auth import service
from backend_hub.auth.dependencies import Once, SignedIn, current_tokens
from backend_hub.auth.email_links import mail_verification
from backend_hub.auth.password_sign_in import Guess
from backend_hub.auth.schemas import JsonWebKeySet, TokenRead, UserRegister
from backend_hub.auth.second_step import sign_in_with_password
from backend_hub.auth.service import Grant
from backend_hub.errors import Forbidden, HubError, Unprocessable
from backend_hub.http.callers import caller_of
from backend_hub.http.problems import hub_error_response
from backend_hub.http.routing import HubRoute, hub_router
from backend_hub.http.sessions import Session, get_database
from backend_hub.settings import Settings
from backend_hub.users.queries import read_user
from backend_hub.users.schemas import UserRead

router = hub_router("/auth", "auth")
well_known = APIRouter(tags=["auth"], route_class=HubRoute)


async def _token_answer(request: Request, response: Response, grant: Grant) -> TokenRead:
    settings: Settings = request.app.state.settings
    tokens = await current_tokens(request)
    seconds = settings.access_token_ttl
    response.headers["Cache-Control"] = "no-store"
    return TokenRead(
        access_token=tokens.issue(grant.user_id, grant.family_id, grant.scopes, seconds),
        token_type="Bearer",  # noqa: S106
        expires_in=seconds,
        refresh_token=grant.refresh_token,
        scope=" ".join(sorted(grant.scopes)),
    )


@router.post("/register", summary="Make an account", status_code=201)
async def register(
    form: UserRegister, request: Request, session: Session, response: Response, _once: Once
) -> UserRead:
    """Open to everyone, unless the hub's operators closed it."""
    if not request.app.state.settings.registration_open:
        raise Forbidden("This hub does not take registrations")
    user = await service.register_user(session, form)
    await mail_verification(session, request.app.state.settings, user, form.email)
    response.headers["Location"] = f"/api/v1/users/{user.username}"
    return await read_user(session, user.username)


@router.post("/token", summary="Sign in, or refresh", response_model=TokenRead)
async def issue_token(
    request: Request,
    session: Session,
    response: Response,
    grant_type: Annotated[Literal["password", "refresh_token"], Form()] = "password",
    username: Annotated[str, Form(max_length=254, examples=["demo"])] = "",
    password: Annotated[str, Form(max_length=1_000, json_schema_extra={"format": "password"})] = "",
    otp: Annotated[
        str, Form(max_length=100, description="The code of a second factor, for whoever has one.")
    ] = "",
    refresh_token: Annotated[str, Form(max_length=200)] = "",
    scope: Annotated[
        str, Form(max_length=1_000, description="Space-separated; empty: all you hold.")
    ] = "",
    client_id: Annotated[str, Form(max_length=200)] = "",
    client_secret: Annotated[str, Form(max_length=200)] = "",
) -> TokenRead | Response:
    """First-party sign-in in the form that FastAPI's `OAuth2PasswordRequestForm` has.

    `grant_type=password` takes `username` and `password`, and `otp` of people with a second factor:
    the code of an authenticator app, or a recovery code. Without it the answer is 401 with the
    code `second_factor_needed`. `grant_type=refresh_token` takes the refresh token and gives a new
    one. A refresh token works once: used again after the grace,
    it ends the whole sign-in. `client_id` and `client_secret` are not used.
    """
    settings: Settings = request.app.state.settings
    if not settings.password_sign_in and grant_type == "password":
        raise Forbidden("This hub does not take passwords here")
    grant: Grant | HubError
    if grant_type == "refresh_token":
        grant = await service.rotate_refresh_token(session, settings, refresh_token)
    elif not username or not password:
        raise Unprocessable("Send username and password", loc=("body", "username"))
    else:
        guess = Guess(username, password, caller_of(request.scope))
        database, wanted = get_database(request), scope.split()
        grant = await sign_in_with_password(database, session, settings, guess, otp, wanted)
    if isinstance(grant, HubError):  # returned, so that a revocation or a failure commits
        return hub_error_response(request.scope, grant)
    return await _token_answer(request, response, grant)


@router.post("/sign-out", summary="Sign out", status_code=204)
async def sign_out(actor: SignedIn, session: Session) -> None:
    """End this sign-in: its access and refresh tokens stop working at once."""
    await service.sign_out(session, actor)


@well_known.get("/.well-known/jwks.json", summary="The public keys")
async def read_jwks(request: Request, response: Response) -> JsonWebKeySet:
    """The keys that access tokens are verified with (RFC 7517)."""
    tokens = await current_tokens(request)
    response.headers["Cache-Control"] = "public, max-age=300"
    return JsonWebKeySet.model_validate(tokens.keys.jwks())

"""Who is asking: the security dependencies that every router uses."""

import time
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.openapi.models import OAuth2, OAuthFlowAuthorizationCode
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from starlette.types import Scope

from backend_hub.auth.actor import Actor
from backend_hub.auth.keys import read_key_ring
from backend_hub.auth.personal_tokens import PREFIX, TokenOwners, find_token_actor, require_fresh
from backend_hub.auth.scopes import OPENID_SCOPES, SCOPES
from backend_hub.auth.service import find_actor
from backend_hub.auth.tokens import Claims, InvalidToken, TokenService, UnknownKey
from backend_hub.errors import Forbidden, Unauthorized
from backend_hub.http.idempotency import IdempotencyKeyHeader, reserve
from backend_hub.http.sessions import Session, get_database

bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/token",
    refreshUrl="/api/v1/auth/token",
    scopes=SCOPES,
    auto_error=False,
    scheme_name="hub",
    description="Sign in with your name and password; leave client id and secret empty. "
    "Access tokens are JWTs (RFC 9068), checked as RFC8725 asks; a personal access token is sent "
    "in the same way.",
)

_model = cast(OAuth2, bearer.model)
_model.flows.authorizationCode = OAuthFlowAuthorizationCode(
    authorizationUrl="/oauth/authorize",
    tokenUrl="/oauth/token",
    refreshUrl="/oauth/token",
    scopes=SCOPES | OPENID_SCOPES,
)

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="backend-hub"'}


KEYS_LIVE = 60.0
"""Seconds after which a process looks for keys that were rotated or retired."""
KEYS_PAUSE = 2.0
"""Seconds between two looks because of an unknown key: anyone can invent one."""


async def current_tokens(request: Request, seconds: float = KEYS_LIVE) -> TokenService:
    """The token service, with the keys of at most so many seconds ago."""
    tokens: TokenService = request.app.state.tokens
    if time.monotonic() - tokens.keys_read > seconds:
        tokens.replace_keys(None)  # now, so that no other request looks too
        secret = request.app.state.settings.secret_key.get_secret_value()
        known = frozenset(tokens.keys.verifying)
        async with get_database(request).reading() as session:
            tokens.replace_keys(await read_key_ring(session, secret, known))
    return tokens


async def verified_claims(request: Request, token: str) -> Claims:
    """Raises InvalidToken; a key that another process made is looked for first."""
    tokens = await current_tokens(request)
    try:
        return tokens.verify(token)
    except UnknownKey:
        return (await current_tokens(request, KEYS_PAUSE)).verify(token)


async def optional_actor(
    request: Request, token: Annotated[str | None, Depends(bearer)]
) -> Actor | None:
    """The person behind the bearer token; None without one; raises InvalidToken for a bad one."""
    # FastAPI caches a security dependency for each set of scopes; who it is depends on none.
    known: Actor | None = getattr(request.state, "actor", None)
    if known is not None:
        return known
    if token is None:
        if "authorization" in request.headers:
            raise InvalidToken("Send the access token as `Authorization: Bearer <token>`")
        return None
    if token.startswith(PREFIX):
        actor: Actor | None = await _token_actor(request, token)
    else:
        claims = await verified_claims(request, token)
        actor = await find_actor(get_database(request), claims)
    if actor is None:
        raise InvalidToken("The sign-in has ended")
    request.state.actor = actor
    return actor


async def _token_actor(request: Request, token: str) -> Actor:
    """The person behind a personal access token; raises InvalidToken."""
    owners: TokenOwners = request.app.state.token_owners
    actor = await find_token_actor(get_database(request), token)
    if actor is None:
        owners.forget(token)
        raise InvalidToken("The personal access token is not valid: it expired or was revoked")
    owners.remember(token, actor.id)
    return actor


async def current_actor(
    required: SecurityScopes, actor: Annotated[Actor | None, Depends(optional_actor)]
) -> Actor:
    """The signed-in person; raises Unauthorized, and Forbidden when a scope is missing."""
    if actor is None:
        raise Unauthorized("Send an access token", headers=CHALLENGE)
    missing = [scope for scope in required.scopes if not actor.may(scope)]
    if missing:
        challenge = f'Bearer error="insufficient_scope", scope="{required.scope_str}"'
        raise Forbidden(
            f"This needs the scope {' '.join(missing)}", headers={"WWW-Authenticate": challenge}
        )
    return actor


Viewer = Annotated[Actor | None, Depends(optional_actor)]
SignedIn = Annotated[Actor, Security(current_actor)]
ProfileOwner = Annotated[Actor, Security(current_actor, scopes=["users:write"])]
Member = Annotated[Actor, Security(current_actor, scopes=["posts:write"])]
ResourceAuthor = Annotated[Actor, Security(current_actor, scopes=["resources:write"])]
QuestionAuthor = Annotated[Actor, Security(current_actor, scopes=["questions:write"])]
Contributor = Annotated[Actor, Security(current_actor, scopes=["contributions:write"])]
Reviewer = Annotated[Actor, Security(current_actor, scopes=["contributions:review"])]
AccountOwner = Annotated[Actor, Security(current_actor, scopes=["account:write"])]
ClientOwner = Annotated[Actor, Security(current_actor, scopes=["clients:write"])]
TopicEditor = Annotated[Actor, Security(current_actor, scopes=["topics:write"])]
Admin = Annotated[Actor, Security(current_actor, scopes=["users:admin"])]


async def fresh_actor(actor: AccountOwner, session: Session) -> Actor:
    """The person, who signed in a moment ago; raises SignInAgain."""
    await require_fresh(session, actor)
    return actor


FreshOwner = Annotated[Actor, Depends(fresh_actor, scope="function")]
"""For whatever a stolen token must not do: an older sign-in is not enough."""


async def _once(
    request: Request,
    session: Session,
    actor: Annotated[Actor | None, Depends(optional_actor)],
    key: IdempotencyKeyHeader = None,
) -> None:
    if key is not None:
        address = request.client.host if request.client else "unknown"
        await reserve(session, request, str(actor.id) if actor else address, key)


Once = Annotated[None, Depends(_once, scope="function")]
"""A creating POST: with an `Idempotency-Key` its retry gets the first answer."""


def account_of(scope: Scope) -> str | None:
    """The account whose valid token is on the request: what rate limits count against."""
    for name, value in scope["headers"]:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            token, state = value[7:].decode("latin-1"), scope["app"].state
            if token.startswith(PREFIX):
                owners: TokenOwners = state.token_owners
                return owners.find(token)
            try:
                tokens: TokenService = state.tokens
                return str(tokens.verify(token).subject)
            except InvalidToken:
                return None
    return None

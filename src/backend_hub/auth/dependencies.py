"""Who is asking: the security dependencies that every router uses."""

import time
from typing import Annotated, cast
from urllib.parse import quote

from fastapi import Depends, Request, Security
from fastapi.openapi.models import OAuth2, OAuthFlowAuthorizationCode
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from starlette.types import Scope

from backend_hub.auth import proofs
from backend_hub.auth.actor import Actor
from backend_hub.auth.browser_sessions import cookie_name, find_session
from backend_hub.auth.keys import read_key_ring
from backend_hub.auth.personal_tokens import PREFIX, TokenOwners, find_token_actor, require_fresh
from backend_hub.auth.proofs import InvalidProof, read_proof, take_proof
from backend_hub.auth.scopes import OPENID_SCOPES, SCOPES, SCOPES_OF_ROLE
from backend_hub.auth.service import find_actor
from backend_hub.auth.tokens import Claims, InvalidToken, TokenService, UnknownKey
from backend_hub.errors import Forbidden, Unauthorized
from backend_hub.http.callers import SESSION
from backend_hub.http.cors import origin_of
from backend_hub.http.idempotency import IdempotencyKeyHeader, Key, expect, reserve
from backend_hub.http.sessions import Session, get_database
from backend_hub.settings import Settings
from backend_hub.users.models import Role

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

BEARER, DPOP = "Bearer", f"{proofs.CHALLENGE},"
"""How the answer begins to a token that was sent so, and was refused."""
CHALLENGE = {"WWW-Authenticate": f'Bearer realm="backend-hub", {proofs.CHALLENGE}'}


MAX_COOKIE = 100
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


async def verified_claims(request: Request, token: str, scheme: str) -> Claims:
    """Raises InvalidToken; a key that another process made is looked for first."""
    tokens = await current_tokens(request)
    try:
        try:
            return tokens.verify(token)
        except UnknownKey:
            return (await current_tokens(request, KEYS_PAUSE)).verify(token)
    except InvalidToken as error:
        raise InvalidToken(error.detail, scheme) from None


async def optional_actor(
    request: Request, token: Annotated[str | None, Depends(bearer)]
) -> Actor | None:
    """The person behind the access token, or where the settings allow it behind the cookie.

    None without one; raises InvalidToken for a bad token.
    """
    # FastAPI caches a security dependency for each set of scopes; who it is depends on none.
    known: Actor | None = getattr(request.state, "actor", None)
    if known is not None:
        return known
    if token is not None:
        return await authenticate(request, token)
    header = request.headers.get("authorization")
    if header is None:
        return await browser_actor(request)
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "dpop":
        raise InvalidToken("Send the access token as `Authorization: Bearer <token>`")
    return await authenticate(request, token.strip(), DPOP)


async def browser_actor(request: Request) -> Actor | None:
    """Who is signed in to the hub's pages, when it is one of them that asks the API.

    A cookie goes with whatever request a browser sends to the hub, so for any other page it is as
    if there were none: no page of another origin can read or write in somebody's name.
    """
    settings: Settings = request.app.state.settings
    if not settings.api_cookies or not request.scope["path"].startswith("/api/"):
        return None
    token = session_token(request)
    if not token or not sent_by_own_page(request, settings):
        return None
    async with get_database(request).transaction() as session:
        browser = await find_session(session, settings, token)
    if browser is None:
        return None
    user, role = browser.user, Role(browser.user.role)
    scopes = SCOPES_OF_ROLE[role]
    actor = Actor(user.id, user.username, role, scopes, session_id=browser.id)
    request.state.actor = actor
    return actor


def sent_by_own_page(request: Request, settings: Settings) -> bool:
    """Whether the browser says that a page of the hub's own origin sent the request.

    Both headers are the browser's own: no page can set them. One that is older than
    `Sec-Fetch-Site` sends `Origin` with what writes; its reads are refused.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = origin_of(settings.issuer)
    if origin is not None and origin != own:
        return False
    return site == "same-origin" or (site is None and origin == own)


def cookie_token(request: Request, name: str) -> str:
    """The value of one of our cookies; empty without one."""
    token = request.cookies.get(cookie_name(request.app.state.settings, name), "")
    return token if len(token) <= MAX_COOKIE and token.isascii() else ""


def session_token(request: Request) -> str:
    return cookie_token(request, SESSION)


async def authenticate(request: Request, token: str, scheme: str = BEARER) -> Actor:
    """The person behind a token, kept for the request.

    Raises InvalidToken, and InvalidProof when the token is bound to a key and the proof fails.
    """
    if token.startswith(PREFIX):
        return await token_actor(request, token)
    claims = await verified_claims(request, token, scheme)
    if scheme == DPOP:
        if claims.jkt is None:
            raise InvalidToken("This access token is bound to no key: send it as Bearer", DPOP)
        if await proven_key(request, token) != claims.jkt:
            raise InvalidToken("The access token is bound to another key", DPOP)
    elif claims.jkt is not None:
        raise InvalidToken("This access token is bound to a key: send it as DPoP", DPOP)
    actor = await find_actor(get_database(request), claims)
    if actor is None:
        raise InvalidToken("The sign-in has ended", scheme)
    request.state.actor, request.state.scheme = actor, scheme
    return actor


async def token_actor(request: Request, token: str) -> Actor:
    """The person behind a personal access token, kept for the request; raises InvalidToken."""
    owners: TokenOwners = request.app.state.token_owners
    actor = await find_token_actor(get_database(request), token)
    if actor is None:
        owners.forget(token)
        raise InvalidToken("The personal access token is not valid: it expired or was revoked")
    owners.remember(token, actor.id)
    request.state.actor, request.state.scheme = actor, BEARER
    return actor


async def proven_key(request: Request, token: str | None = None) -> str | None:
    """The thumbprint of the key that the request's DPoP proof is made with; None without a proof.

    Raises InvalidProof. A request that is run again after a deadlock keeps its proof.
    """
    known: str | None = getattr(request.state, "proven_key", None)
    if known is not None:
        return known
    sent = request.headers.getlist("dpop")
    if not sent and token is None:
        return None
    if len(sent) != 1:
        raise InvalidProof("Send one DPoP header")
    method = "HEAD" if getattr(request.state, "head", False) else request.method
    url = f"{request.app.state.settings.issuer}{quote(request.scope['path'])}"
    proof = read_proof(sent[0], method, url, token)
    async with get_database(request).transaction() as session:
        await take_proof(session, proof)
    request.state.proven_key = proof.jkt
    return proof.jkt


async def current_actor(
    request: Request,
    required: SecurityScopes,
    actor: Annotated[Actor | None, Depends(optional_actor)],
) -> Actor:
    """The signed-in person; raises Unauthorized, and Forbidden when a scope is missing."""
    if actor is None:
        raise Unauthorized("Send an access token", headers=CHALLENGE)
    missing = [scope for scope in required.scopes if not actor.may(scope)]
    if missing:
        scheme = getattr(request.state, "scheme", BEARER)
        challenge = f'{scheme} error="insufficient_scope", scope="{required.scope_str}"'
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


async def _owner(request: Request, actor: Annotated[Actor | None, Depends(optional_actor)]) -> str:
    """To whom a key belongs."""
    return str(actor.id) if actor else request.client.host if request.client else "unknown"


Owner = Annotated[str, Depends(_owner)]


async def _once(
    request: Request, session: Session, owner: Owner, key: IdempotencyKeyHeader = None
) -> None:
    if key is not None:
        await reserve(session, request, owner, key)


async def _once_in_one(
    request: Request, owner: Owner, key: IdempotencyKeyHeader = None
) -> Key | None:
    return await expect(request, owner, key) if key is not None else None


Once = Annotated[None, Depends(_once, scope="function")]
"""A creating POST: with an `Idempotency-Key` its retry gets the first answer."""
OnceInOne = Annotated[Key | None, Depends(_once_in_one)]
"""The same for one that writes by one statement, the key's row among the rest."""


def account_of(scope: Scope) -> str | None:
    """The account whose valid token is on the request: what rate limits count against."""
    for name, value in scope["headers"]:
        scheme, _, sent = value.partition(b" ") if name == b"authorization" else (b"", b"", b"")
        if scheme.lower() in {b"bearer", b"dpop"}:
            token, state = sent.decode("latin-1"), scope["app"].state
            if token.startswith(PREFIX):
                owners: TokenOwners = state.token_owners
                return owners.find(token)
            try:
                tokens: TokenService = state.tokens
                return str(tokens.verify(token).subject)
            except InvalidToken:
                return None
    return None

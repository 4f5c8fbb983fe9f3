"""The flows of OAuth 2.1 that the hub has, as Authlib's grants and endpoints."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, InvalidScopeError, grants
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from sqlalchemy.util import await_only

from backend_hub.auth.scopes import OPENID_SCOPES, held_scopes
from backend_hub.auth.service import Grant, InvalidGrant, rotate_refresh_token
from backend_hub.oauth.clients import KnownClient
from backend_hub.oauth.grants import (
    IssuedToken,
    begin_family,
    exchange_code,
    find_access_token,
    find_refresh_token,
    revoke_family,
    save_code,
    take_code,
)
from backend_hub.oauth.models import AuthorizationCode
from backend_hub.oauth.server import HubRequest, HubServer
from backend_hub.users.models import User

CLIENT_AUTHENTICATION = ["none", "client_secret_basic", "client_secret_post"]
WITH_SECRET = CLIENT_AUTHENTICATION[1:]


class S256Only(CodeChallenge):  # type: ignore[misc]
    """PKCE by SHA-256 for every type of client (RFC 9700 section 2.1.1)."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: Any) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("Send a code_challenge with code_challenge_method=S256.")
        super().validate_code_challenge(grant, redirect_uri)


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTHENTICATION
    server: HubServer
    request: HubRequest

    def generate_authorization_code(self) -> str:
        return secrets.token_urlsafe(32)

    def save_authorization_code(self, code: str, request: HubRequest) -> None:
        data = request.payload.data
        await_only(
            save_code(
                self.server.session,
                request.user,
                request.client,
                code,
                redirect_uri=data["redirect_uri"],
                scope=request.scope,
                code_challenge=data["code_challenge"],
                nonce=data.get("nonce"),
                dpop_jkt=data.get("dpop_jkt"),
            )
        )

    def query_authorization_code(self, code: str, client: KnownClient) -> "_Code | None":
        found = await_only(take_code(self.server.session, code, client.id))
        if found and found.dpop_jkt not in {None, self.server.jkt}:
            raise InvalidGrantError("The code is bound to another key.")
        return _Code(found) if found else None

    def authenticate_user(self, code: "_Code") -> User | None:
        return enabled(await_only(self.server.session.get(User, code.row.user_id)))

    def generate_token(self, user: User, scope: str, **_options: Any) -> dict[str, Any]:
        server, code = self.server, self.request.authorization_code.row
        exchange = exchange_code(
            server.session, server.settings, user, self.client, code, server.jkt
        )
        grant = await_only(exchange)
        token = token_answer(server, self.client, grant)
        claims: dict[str, Any] = {"nonce": code.nonce} if code.nonce is not None else {}
        if code.amr:
            claims["amr"] = code.amr.split()
        return with_id_token(server, self.client, grant, token, code.authenticated_at, **claims)

    def delete_authorization_code(self, code: "_Code") -> None:
        """Nothing: it was marked as used, and stays so that a second use is noticed."""


class _Code:
    """A code's row as Authlib asks about it."""

    code_challenge_method = "S256"

    def __init__(self, row: AuthorizationCode) -> None:
        self.row = row
        self.code_challenge = row.code_challenge

    def get_redirect_uri(self) -> str:
        return self.row.redirect_uri

    def get_scope(self) -> str:
        return self.row.scope


class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
    """Rotation with a grace is the one of the hub's own sign-in (auth/service.py)."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTHENTICATION
    server: HubServer
    request: HubRequest

    def authenticate_refresh_token(self, refresh_token: str) -> IssuedToken | None:
        return await_only(find_refresh_token(self.server.session, refresh_token))

    def authenticate_user(self, refresh_token: IssuedToken) -> User | None:
        return await_only(self.server.session.get(User, refresh_token.family.user_id))

    def issue_token(self, user: User, refresh_token: IssuedToken) -> dict[str, Any]:
        server = self.server
        if refresh_token.jkt not in {None, server.jkt}:
            raise InvalidGrantError("The refresh token is bound to another key.")
        presented = self.request.form["refresh_token"]
        rotation = rotate_refresh_token(server.session, server.settings, presented, self.client.id)
        grant = await_only(rotation)
        if isinstance(grant, InvalidGrant):
            raise InvalidGrantError(grant.detail)
        asked = (self.request.payload.scope or "").split()
        return token_answer(server, self.client, grant, asked)

    def revoke_old_credential(self, refresh_token: IssuedToken) -> None:
        """Nothing: rotation did it."""


class MachineGrant(grants.ClientCredentialsGrant):  # type: ignore[misc]
    """A machine acts in the name of its owner, with no more than the owner holds."""

    TOKEN_ENDPOINT_AUTH_METHODS = WITH_SECRET
    server: HubServer
    request: HubRequest

    def generate_token(self, scope: str | None = None, **_options: Any) -> dict[str, Any]:
        server, client = self.server, self.client
        owner = enabled(await_only(server.session.get(User, client.row.owner_id)))
        allowed = (client.get_allowed_scope(scope) or "").split()
        if owner is None:
            raise InvalidGrantError("The owner of this app is gone.")
        held = held_scopes(owner.role) - frozenset(OPENID_SCOPES)
        scopes = frozenset(allowed) & held
        if not scopes:
            raise InvalidScopeError
        seconds = server.settings.access_token_ttl
        words = " ".join(sorted(scopes))
        begin = begin_family(server.session, owner, client, words, seconds)
        grant = Grant(owner.id, await_only(begin).id, scopes, "")
        return token_answer(server, client, grant)


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """RFC 7009. The whole sign-in ends, whichever of its tokens is sent."""

    CLIENT_AUTH_METHODS = CLIENT_AUTHENTICATION

    def check_params(self, request: HubRequest, client: KnownClient) -> None:
        _require_token(request)

    def query_token(self, token: str, hint: str | None) -> IssuedToken | None:
        return await_only(_find_token(self.server, token))

    def revoke_token(self, token: IssuedToken, request: HubRequest) -> None:
        await_only(revoke_family(self.server.session, token.family.id))


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    """RFC 7662, for apps with a secret and about their own tokens."""

    CLIENT_AUTH_METHODS = WITH_SECRET

    def check_params(self, request: HubRequest, client: KnownClient) -> None:
        _require_token(request)

    def query_token(self, token: str, hint: str | None) -> IssuedToken | None:
        return await_only(_find_token(self.server, token))

    def check_permission(
        self, token: IssuedToken, client: KnownClient, request: HubRequest
    ) -> bool:
        return token.check_client(client)

    def introspect_token(self, token: IssuedToken) -> dict[str, Any]:
        described = {
            "active": True,
            "scope": token.scope,
            "client_id": token.family.client_id,
            "username": token.username,
            "sub": str(token.family.user_id),
            "iss": self.server.settings.issuer,
            "iat": token.issued_at,
            "exp": token.expires_at,
        }
        if token.kind == "access_token":
            kind = "DPoP" if token.jkt else "Bearer"
            described |= {"token_type": kind, "aud": self.server.settings.issuer}
        return described | ({"cnf": {"jkt": token.jkt}} if token.jkt else {})


ID_TOKEN_LIVES = 600
"""Seconds: an app reads it at once."""


def token_answer(
    server: HubServer, client: KnownClient, grant: Grant, asked: Iterable[str] = ()
) -> dict[str, Any]:
    """RFC 6749 section 5.1; `asked` narrows this access token, not the sign-in."""
    scopes = grant.scopes & frozenset(asked) if asked else grant.scopes
    seconds = server.settings.access_token_ttl
    access_token = server.tokens.issue(
        grant.user_id, grant.family_id, scopes, seconds, client.id, server.jkt
    )
    token = {
        "access_token": access_token,
        "token_type": "DPoP" if server.jkt else "Bearer",
        "expires_in": seconds,
        "scope": " ".join(sorted(scopes)),
    }
    return token | ({"refresh_token": grant.refresh_token} if grant.refresh_token else {})


def with_id_token(
    server: HubServer,
    client: KnownClient,
    grant: Grant,
    token: dict[str, Any],
    authenticated_at: datetime,
    **claims: Any,
) -> dict[str, Any]:
    """The answer, and who signed in if the app asked for it (`openid`)."""
    if "openid" in grant.scopes:
        told = {"auth_time": int(authenticated_at.timestamp()), "sid": str(grant.family_id)}
        token["id_token"] = server.tokens.issue_id_token(
            grant.user_id, client.id, token["access_token"], told | claims, ID_TOKEN_LIVES
        )
    return token


async def _find_token(server: HubServer, token: str) -> IssuedToken | None:
    found = await find_refresh_token(server.session, token)
    return found or await find_access_token(server.session, server.tokens, token)


def _require_token(request: HubRequest) -> None:
    """The hint is not needed: both kinds are tried, as RFC 7009 section 2.1 allows."""
    if "token" not in request.form:
        raise InvalidRequestError("Send the token.")


def enabled(user: User | None) -> User | None:
    return user if user is not None and user.disabled_at is None else None

"""Apps: finding one, and what it may ask for."""

import hmac
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE
from sqlalchemy.dialects.postgresql import insert

from backend_hub.auth.scopes import APP_SCOPES, OPENID_SCOPES, SCOPES
from backend_hub.auth.service import hash_token
from backend_hub.auth.tokens import SWAGGER_CLIENT
from backend_hub.db import AsyncSession
from backend_hub.oauth.models import ClientType, OAuthClient
from backend_hub.oauth.redirects import matches
from backend_hub.setting_types import LOOPBACK
from backend_hub.settings import Settings

SWAGGER_REDIRECT = "/docs/oauth2-redirect"
ALL_SCOPES = SCOPES | OPENID_SCOPES
"""With those of the hub's own clients."""
SWAGGER_SCOPE = " ".join(ALL_SCOPES)
GRANTABLE_SCOPES = APP_SCOPES | OPENID_SCOPES
"""What any app may register and ask for."""
CONFIDENTIAL = frozenset({ClientType.web, ClientType.machine})
MAX_ID = 64


class KnownClient(ClientMixin):  # type: ignore[misc]
    """A row as Authlib asks about it."""

    def __init__(self, row: OAuthClient) -> None:
        self.row = row
        self.id = row.id
        self.type = ClientType(row.type)

    def get_client_id(self) -> str:
        return self.id

    def get_default_redirect_uri(self) -> None:
        """None: OpenID Connect wants it in every request, and so does the hub."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """What was asked for, is known and is registered; None when nothing is left.

        Unknown words are left out: OpenID Connect Core 3.1.2.1 says so. Without any the app asks
        for all that it registered.
        """
        known = ALL_SCOPES if self.id == SWAGGER_CLIENT else GRANTABLE_SCOPES
        registered = [name for name in self.row.scope.split() if name in known]
        asked = (scope or "").split()
        allowed = [name for name in registered if name in asked] if asked else registered
        return " ".join(allowed) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return matches(redirect_uri, self.row.redirect_uris, self.type)

    def check_client_secret(self, client_secret: str) -> bool:
        expected = self.row.secret_hash or ""
        return hmac.compare_digest(hash_token(client_secret), expected)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return (method != "none") == (self.type in CONFIDENTIAL)

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and self.type is not ClientType.machine

    def check_grant_type(self, grant_type: str) -> bool:
        """Only a native app can run on a device without a browser; a machine has no people."""
        if grant_type == DEVICE_CODE_GRANT_TYPE:
            return self.type is ClientType.native
        return (grant_type == "client_credentials") == (self.type is ClientType.machine)


async def find_client(
    session: AsyncSession, settings: Settings, client_id: str
) -> KnownClient | None:
    """The app of that id; Swagger UI's is made when it is first asked for."""
    if not 0 < len(client_id) <= MAX_ID or not client_id.isascii() or "\x00" in client_id:
        return None
    row = await session.get(OAuthClient, client_id)
    if client_id == SWAGGER_CLIENT:
        uris = swagger_redirects(settings)
        if row is None or row.redirect_uris != uris or row.scope != SWAGGER_SCOPE:
            row = await _keep_swagger_client(session, uris)
    return KnownClient(row) if row else None


def swagger_redirects(settings: Settings) -> list[str]:
    """The page of this hub; in development under each name that this machine has for itself."""
    uris = [f"{settings.issuer}{SWAGGER_REDIRECT}"]
    scheme, _, place = settings.issuer.partition("://")
    name, colon, port = place.rpartition(":")
    if settings.development and colon and name in LOOPBACK:
        uris += [f"{scheme}://{other}:{port}{SWAGGER_REDIRECT}" for other in LOOPBACK[:2]]
    return list(dict.fromkeys(uris))


async def _keep_swagger_client(session: AsyncSession, uris: list[str]) -> OAuthClient:
    values: dict[str, Any] = {
        "name": "Swagger UI",
        "type": ClientType.spa,
        "redirect_uris": uris,
        "scope": SWAGGER_SCOPE,
        "verified": True,
        "version": 1,
    }
    kept = insert(OAuthClient).values(id=SWAGGER_CLIENT, **values)
    await session.execute(kept.on_conflict_do_update(index_elements=["id"], set_=values))
    row = await session.get(OAuthClient, SWAGGER_CLIENT, populate_existing=True)
    assert row is not None  # noqa: S101 - it was just written
    return row

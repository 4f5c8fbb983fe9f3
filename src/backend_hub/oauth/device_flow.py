"""Apps on devices without a browser (RFC 8628), as Authlib's endpoint and grant."""

import secrets
from typing import Any, NoReturn

from authlib.oauth2.rfc6749 import (
    AccessDeniedError,
    InvalidGrantError,
    InvalidScopeError,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc8628 import (
    DEVICE_CODE_GRANT_TYPE,
    AuthorizationPendingError,
    DeviceAuthorizationEndpoint,
    DeviceCodeGrant,
    ExpiredTokenError,
    SlowDownError,
)
from sqlalchemy.util import await_only

from backend_hub.auth.models import TokenFamily
from backend_hub.auth.service import Grant, new_grant
from backend_hub.db import utcnow
from backend_hub.oauth.clients import KnownClient
from backend_hub.oauth.devices import polled_too_soon, save_device_code, take_device_code
from backend_hub.oauth.flows import CLIENT_AUTHENTICATION, enabled, token_answer, with_id_token
from backend_hub.oauth.models import DeviceCode
from backend_hub.oauth.server import HubRequest, HubServer
from backend_hub.users.models import User


class DeviceAuthorization(DeviceAuthorizationEndpoint):  # type: ignore[misc]
    """A code for the device, and one for the person to type (20 consonants, eight of them)."""

    CLIENT_AUTH_METHODS = CLIENT_AUTHENTICATION
    EXPIRES_IN = 600
    server: HubServer
    allowed: str
    """What the client may ask for of what it asked for."""

    def authenticate_client(self, request: HubRequest) -> KnownClient:
        client: KnownClient = super().authenticate_client(request)
        if not client.check_grant_type(DEVICE_CODE_GRANT_TYPE):
            raise UnauthorizedClientError("Register the app as native to use it on devices.")
        allowed = client.get_allowed_scope(request.payload.scope)
        if allowed is None:
            raise InvalidScopeError
        self.allowed = allowed
        return client

    def generate_device_code(self) -> str:
        return secrets.token_urlsafe(32)

    def get_verification_uri(self) -> str:
        return f"{self.server.settings.issuer}/device"

    def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
        saved = save_device_code(
            self.server.session,
            self.server.settings,
            client_id=client_id,
            scope=self.allowed,
            device_code=data["device_code"],
            user_code=data["user_code"],
            interval=data["interval"],
            seconds=data["expires_in"],
        )
        await_only(saved)


class DeviceGrant(DeviceCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTHENTICATION
    server: HubServer
    request: HubRequest

    def query_device_credential(self, device_code: str) -> "_Device":
        row = await_only(take_device_code(self.server.session, device_code))
        if row is None or row.used_at is not None:
            raise InvalidGrantError("The device_code is not valid.")
        return _Device(row)

    def validate_device_credential(self, credential: "_Device") -> User:
        row, session = credential.row, self.server.session
        if row.expires_at <= utcnow():
            raise ExpiredTokenError
        if row.denied_at is not None:
            raise AccessDeniedError
        if row.family_id is None:
            _wait(row)
        credential.family = await_only(session.get_one(TokenFamily, row.family_id))
        user = enabled(await_only(session.get(User, credential.family.user_id)))
        if user is None or credential.family.revoked_at is not None:
            raise InvalidGrantError("The sign-in has ended.")
        return user

    def generate_token(self, user: User, **_options: Any) -> dict[str, Any]:
        server, row = self.server, self.request.credential.row
        row.used_at = utcnow()
        family = self.request.credential.family
        family.dpop_jkt = server.jkt  # a native app has no secret: its refresh tokens are bound
        grant: Grant = new_grant(server.session, family, user.role, None)
        token = token_answer(server, self.client, grant)
        return with_id_token(server, self.client, grant, token, row.authenticated_at)


class _Device:
    """A device's code as Authlib asks about it."""

    family: TokenFamily

    def __init__(self, row: DeviceCode) -> None:
        self.row = row

    def get_client_id(self) -> str:
        return self.row.client_id

    def get_scope(self) -> str:
        return self.row.scope


def _wait(row: DeviceCode) -> NoReturn:
    """Nobody decided yet; the error is an answer, so that a raised interval is kept."""
    raise SlowDownError if polled_too_soon(row) else AuthorizationPendingError

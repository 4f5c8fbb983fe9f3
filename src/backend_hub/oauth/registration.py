"""Apps that register themselves (RFC 7591) and manage what they registered (RFC 7592).

Nobody vouches for them: they have no owner, are never verified, cannot act without a person, and
never ask for what only moderators and admins hold.
"""

import hmac
import secrets
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, ValidationError
from sqlalchemy import delete, exists
from sqlmodel import col

from backend_hub.auth.models import TokenFamily
from backend_hub.auth.scopes import FIRST_PARTY_SCOPES, OPENID_SCOPES, SCOPES_OF_ROLE
from backend_hub.auth.service import hash_token
from backend_hub.db import AsyncSession, utcnow
from backend_hub.events.service import record
from backend_hub.http.schemas import WriteModel
from backend_hub.oauth.models import ClientType, Consent, OAuthClient
from backend_hub.oauth.redirects import origins_of
from backend_hub.oauth.schemas import (
    ClientName,
    HomepageUrl,
    LogoUrl,
    RedirectUri,
    check_redirects,
)
from backend_hub.settings import Settings
from backend_hub.users.models import Role

PATH = "/oauth/register"
MAY_ASK = (SCOPES_OF_ROLE[Role.member] - FIRST_PARTY_SCOPES) | frozenset(OPENID_SCOPES)
UNUSED = timedelta(days=30)
"""After which an app that nobody signed in to is forgotten."""

CLIENT_SECRETS = ("client_secret_basic", "client_secret_post")
AuthMethod = Literal["none", "client_secret_basic", "client_secret_post"]
GrantType = Literal["authorization_code", "refresh_token"]


class InvalidMetadata(Exception):
    """What an app says of itself cannot be; `error` is a word of RFC 7591 section 3.2.2."""

    def __init__(self, detail: str, error: str = "invalid_client_metadata") -> None:
        super().__init__(detail)
        self.detail, self.error = detail, error


class ClientMetadata(WriteModel):
    """What an app says of itself (RFC 7591 section 2); what the hub does not know is ignored."""

    model_config = ConfigDict(extra="ignore")

    client_id: Annotated[str, Field(max_length=64)] | None = None
    redirect_uris: Annotated[list[RedirectUri], Field(min_length=1, max_length=20)]
    client_name: ClientName | None = None
    client_uri: HomepageUrl | None = None
    logo_uri: LogoUrl | None = None
    scope: Annotated[str, Field(max_length=1_000)] = "openid profile email"
    token_endpoint_auth_method: AuthMethod = "client_secret_basic"  # noqa: S105
    application_type: Literal["web", "native"] = "web"
    grant_types: Annotated[list[GrantType], Field(max_length=2)] = ["authorization_code"]
    response_types: Annotated[list[Literal["code"]], Field(max_length=1)] = ["code"]

    @property
    def type(self) -> ClientType:
        if self.token_endpoint_auth_method in CLIENT_SECRETS:
            return ClientType.web
        return ClientType.native if self.application_type == "native" else ClientType.spa

    def fields(self) -> dict[str, Any]:
        """The columns of the app; raises InvalidMetadata."""
        try:
            check_redirects(self.redirect_uris, self.type)
        except ValueError as error:
            raise InvalidMetadata(str(error), "invalid_redirect_uri") from None
        scopes = [name for name in dict.fromkeys(self.scope.split()) if name in MAY_ASK]
        if not scopes:
            raise InvalidMetadata("None of these scopes can be had")
        first = urlsplit(self.redirect_uris[0])
        spa = self.type is ClientType.spa
        return {
            "name": (self.client_name or first.hostname or first.scheme).strip()[:80],
            "homepage_url": self.client_uri,
            "logo_url": self.logo_uri,
            "redirect_uris": self.redirect_uris,
            "allowed_origins": origins_of(self.redirect_uris) if spa else [],
            "scope": " ".join(scopes),
        }


def read_metadata(data: Any) -> ClientMetadata:
    """Raises InvalidMetadata, which repeats nothing of what was sent."""
    try:
        return ClientMetadata.model_validate(data)
    except ValidationError as error:
        where = error.errors(include_input=False, include_url=False)[0]["loc"]
        name = str(where[0]) if where else "the document"
        kind = "invalid_redirect_uri" if name == "redirect_uris" else "invalid_client_metadata"
        raise InvalidMetadata(f"{name} is not what it must be", kind) from None


async def register_client(
    session: AsyncSession, settings: Settings, metadata: ClientMetadata
) -> dict[str, Any]:
    """A new app, its secret if it keeps one, and the token to manage it with; both shown once."""
    secret = secrets.token_urlsafe(32) if metadata.type is ClientType.web else None
    token = secrets.token_urlsafe(32)
    client = OAuthClient(
        id=secrets.token_urlsafe(16),
        type=metadata.type,
        secret_hash=hash_token(secret) if secret else None,
        registration_hash=hash_token(token),
        **metadata.fields(),
    )
    session.add(client)
    await session.flush()
    _record(session, client, "client.registered")
    answer = describe(settings, client, token)
    if secret:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    return answer | {"token_endpoint_auth_method": metadata.token_endpoint_auth_method}


async def find_registered(
    session: AsyncSession, client_id: str, token: str, *, lock: bool = False
) -> OAuthClient | None:
    """The app that this token manages."""
    client = await session.get(OAuthClient, client_id, with_for_update=lock)
    expected = (client.registration_hash if client else None) or ""
    return client if hmac.compare_digest(hash_token(token), expected) else None


async def replace_registration(
    session: AsyncSession, client: OAuthClient, metadata: ClientMetadata
) -> None:
    """What is left out is as in a new registration (RFC 7592 section 2.2).

    Raises InvalidMetadata, also when the app would become one of another type: a secret could
    not appear or vanish without a new registration.
    """
    if metadata.client_id != client.id:
        raise InvalidMetadata("The client_id is this app's")
    if metadata.type != client.type:
        raise InvalidMetadata("An app's type stays; register another one")
    for name, value in metadata.fields().items():
        setattr(client, name, value)
    client.version += 1
    await session.flush()
    _record(session, client, "client.updated")


async def remove_registration(session: AsyncSession, client: OAuthClient) -> None:
    _record(session, client, "client.deleted")
    await session.execute(delete(OAuthClient).where(col(OAuthClient.id) == client.id))


def describe(settings: Settings, client: OAuthClient, token: str) -> dict[str, Any]:
    """The client information response (RFC 7592 section 3); the secret is not kept."""
    public = client.secret_hash is None
    known = {
        "client_id": client.id,
        "client_id_issued_at": int(client.created_at.timestamp()),
        "registration_access_token": token,
        "registration_client_uri": f"{settings.issuer}{PATH}/{client.id}",
        "client_name": client.name,
        "client_uri": client.homepage_url,
        "logo_uri": client.logo_url,
        "redirect_uris": client.redirect_uris,
        "scope": client.scope,
        "token_endpoint_auth_method": "none" if public else "client_secret_basic",
        "application_type": "native" if client.type == ClientType.native else "web",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    }
    return {name: value for name, value in known.items() if value is not None}


async def purge_unused_registrations(session: AsyncSession) -> None:
    """Anyone can register: what nobody ever signed in to does not stay."""
    signed_in = exists().where(col(TokenFamily.client_id) == OAuthClient.id)
    allowed = exists().where(col(Consent.client_id) == OAuthClient.id)
    unused = (
        col(OAuthClient.registration_hash).is_not(None),
        col(OAuthClient.created_at) < utcnow() - UNUSED,
        ~signed_in,
        ~allowed,
    )
    await session.execute(delete(OAuthClient).where(*unused))


def _record(session: AsyncSession, client: OAuthClient, event: str) -> None:
    record(session, event, actor_id=None, subject_id=client.id, private=True, name=client.name)

"""Asking an OpenID provider who somebody is: where to send the browser, and what came back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import EmailStr, TypeAdapter, ValidationError

from backend_hub.auth.secret_box import UnreadableSecret, unseal
from backend_hub.http.routing import storable
from backend_hub.identity import github
from backend_hub.identity.fetching import (
    Conversation,
    ProviderRefused,
    ProviderTrouble,
    allowed_url,
    read_json,
    talking,
)
from backend_hub.identity.id_tokens import verified_id_token
from backend_hub.identity.metadata import Directory
from backend_hub.identity.models import IdentityProvider, ProviderKind
from backend_hub.identity.presets import SECRET
from backend_hub.settings import Settings

EMAIL = TypeAdapter(EmailStr)


@dataclass(frozen=True, slots=True)
class OutsideIdentity:
    """A person, as a provider knows them."""

    issuer: str
    subject: str
    label: str
    name: str
    nickname: str
    email: str | None
    email_verified: bool


@dataclass(frozen=True, slots=True)
class Handshake:
    """What the hub made up for one sign-in, and expects to see again."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


async def metadata_of(directory: Directory, provider: IdentityProvider) -> dict[str, Any]:
    """Where the provider is asked what; GitHub does not say it by itself."""
    if provider.kind == ProviderKind.github:
        return github.metadata(provider.issuer)
    return await directory.metadata(provider.issuer)


async def authorization_url(
    settings: Settings, directory: Directory, provider: IdentityProvider, handshake: Handshake
) -> str:
    """Where the browser goes; raises ProviderTrouble."""
    metadata = await metadata_of(directory, provider)
    endpoint = metadata["authorization_endpoint"]
    if not allowed_url(settings, endpoint):
        raise ProviderTrouble("It names an address that the hub does not send people to")
    options = {} if provider.kind == ProviderKind.github else {"nonce": handshake.nonce}
    async with talking(settings, provider.client_id, scope=provider.scope) as client:
        url, _ = client.create_authorization_url(
            endpoint,
            state=handshake.state,
            code_verifier=handshake.verifier,
            redirect_uri=handshake.redirect_uri,
            **options,
        )
    return str(url)


async def identify(
    settings: Settings,
    directory: Directory,
    provider: IdentityProvider,
    handshake: Handshake,
    answer: Mapping[str, str],
) -> OutsideIdentity:
    """Who came back; raises ProviderRefused and ProviderTrouble.

    `answer` is the query of the redirect; its state was compared before.
    """
    metadata = await metadata_of(directory, provider)
    _require_issuer(metadata, answer.get("iss"))
    if "error" in answer:
        raise ProviderRefused(f"{provider.name} did not sign you in")
    if not answer.get("code"):
        raise ProviderRefused(f"{provider.name} sent no code")
    secret = _secret(settings, provider)
    method = _auth_method(metadata, secret)
    async with talking(
        settings, provider.client_id, secret, token_endpoint_auth_method=method
    ) as client:
        token = await _redeem(client, settings, metadata, handshake, answer["code"])
        if provider.kind == ProviderKind.github:
            claims = await github.read_claims(client, settings, metadata)
        else:
            claims = await verified_id_token(
                directory,
                metadata,
                token.get("id_token"),
                client_id=provider.client_id,
                nonce=handshake.nonce,
                access_token=token["access_token"],
            )
            claims = await _with_userinfo(client, settings, metadata, claims)
    return _identity(provider.issuer, claims)


def _require_issuer(metadata: dict[str, Any], iss: str | None) -> None:
    """RFC 9207: a code of one provider is not taken for another's."""
    advertised = metadata.get("authorization_response_iss_parameter_supported") is True
    if iss not in (metadata["issuer"], None) or (iss is None and advertised):
        raise ProviderRefused("The answer is not from the site that was asked")


def _secret(settings: Settings, provider: IdentityProvider) -> str | None:
    if provider.sealed_secret is None:
        return None
    try:
        return unseal(settings, SECRET, str(provider.id), provider.sealed_secret)
    except UnreadableSecret:
        raise ProviderTrouble("Its secret was sealed with another HUB_SECRET_KEY") from None


def _auth_method(metadata: dict[str, Any], secret: str | None) -> str:
    supported = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if secret is None:
        return "none"
    return "client_secret_basic" if "client_secret_basic" in supported else "client_secret_post"


async def _redeem(
    client: Conversation,
    settings: Settings,
    metadata: dict[str, Any],
    handshake: Handshake,
    code: str,
) -> dict[str, Any]:
    if not allowed_url(settings, metadata["token_endpoint"]):
        raise ProviderTrouble("It names an address that the hub does not ask")
    try:
        token: dict[str, Any] = await client.fetch_token(
            metadata["token_endpoint"],
            grant_type="authorization_code",
            code=code,
            redirect_uri=handshake.redirect_uri,
            code_verifier=handshake.verifier,
        )
    except ValueError as error:  # no JSON object
        raise ProviderTrouble("Its token cannot be read") from error
    if not isinstance(token.get("access_token"), str):
        raise ProviderTrouble("It sent no access token")
    return token


async def _with_userinfo(
    client: Conversation,
    settings: Settings,
    metadata: dict[str, Any],
    claims: dict[str, Any],
) -> dict[str, Any]:
    """The claims, completed by userinfo where the ID token leaves the address out."""
    endpoint = metadata.get("userinfo_endpoint")
    if "email" in claims or endpoint is None:
        return claims
    told = await read_json(client, settings, endpoint)
    if not isinstance(told, dict) or told.get("sub") != claims["sub"]:  # Core 5.3.2
        raise ProviderRefused("The other site names two people at once")
    return told | claims


def _identity(issuer: str, claims: dict[str, Any]) -> OutsideIdentity:
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not storable(subject):
        raise ProviderRefused("The other site does not say who you are")
    email = _email(claims.get("email"))
    nickname = _text(claims, "preferred_username", "nickname")
    name = _text(claims, "name")
    return OutsideIdentity(
        issuer=issuer,
        subject=subject,
        label=(nickname or email or name or subject)[:254],
        name=(name or nickname)[:80],
        nickname=(nickname or name)[:254],
        email=email,
        email_verified=email is not None and claims.get("email_verified") is True,
    )


def _email(value: object) -> str | None:
    try:
        email: str = EMAIL.validate_python(value)
    except ValidationError:
        return None
    return email if len(email) <= 254 and storable(email) else None


def _text(claims: dict[str, Any], *names: str) -> str:
    """The first of the claims that holds a line of text."""
    for name in names:
        value = claims.get(name)
        if isinstance(value, str) and storable(value) and (line := " ".join(value.split())):
            return line
    return ""

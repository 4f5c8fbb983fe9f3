"""What an app asks of `/oauth/authorize`: in the address, or pushed beforehand (RFC 9126)."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError
from sqlalchemy import delete
from sqlmodel import col

from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.auth.proofs import JKT
from backend_hub.auth.scopes import held_scopes
from backend_hub.auth.service import hash_token
from backend_hub.auth.tokens import InvalidToken
from backend_hub.db import AsyncSession, utcnow
from backend_hub.oauth.claims import scopes_of_claims
from backend_hub.oauth.clients import KnownClient
from backend_hub.oauth.flows import CLIENT_AUTHENTICATION, CodeGrant
from backend_hub.oauth.metadata import PROMPTS
from backend_hub.oauth.models import PushedRequest
from backend_hub.oauth.server import (
    Answer,
    HubRequest,
    HubServer,
    require_known_resource,
    require_plain,
)

PUSHED = "urn:ietf:params:oauth:request_uri:"
PUSHED_LIVES = timedelta(seconds=60)
BEGUN_LIVES = timedelta(minutes=30)
"""For signing in and deciding, once somebody came with it."""
LONGEST = 8_000
NOT_KEPT = frozenset({"client_secret", "client_assertion", "client_assertion_type"})


@dataclass
class Asked:
    """A valid request of an app: who asks, for what, and how."""

    server: HubServer
    request: HubRequest
    grant: CodeGrant
    pushed: PushedRequest | None = None
    prompts: list[str] = field(default_factory=list)
    max_age: int | None = None
    subject: UUID | None = None
    """Whom the app expects (`id_token_hint`)."""

    @property
    def client(self) -> KnownClient:
        client: KnownClient = self.request.client
        return client

    @property
    def redirect_uri(self) -> str:
        return str(self.grant.redirect_uri)

    @property
    def begun_at(self) -> datetime | None:
        return self.pushed.begun_at if self.pushed else None

    def scopes_for(self, browser: SignedInBrowser) -> list[str]:
        held = held_scopes(browser.user.role)
        return [name for name in self.request.scope.split() if name in held]

    def widen(self, scopes: list[str]) -> None:
        """Ask for these too, if the app may; Authlib reads the scope again from the request."""
        wanted = " ".join([*self.request.scope.split(), *scopes])
        self.request.scope = self.client.get_allowed_scope(wanted)
        self.request.payload.data["scope"] = self.request.scope

    def is_for_another(self, browser: SignedInBrowser) -> bool:
        return self.subject is not None and self.subject != browser.user.id

    def needs_sign_in(self, browser: SignedInBrowser) -> bool:
        """Of a pushed request it is known when it began; an address loses what was done."""
        if self.is_for_another(browser):
            return True
        if {"login", "select_account"} & set(self.prompts) or self.max_age == 0:
            return self.begun_at is None or browser.authenticated_at < self.begun_at
        age = (utcnow() - browser.authenticated_at).total_seconds()
        return self.max_age is not None and int(age) > self.max_age

    def refusal(self, error: str, description: str = "") -> OAuth2Error:
        state = self.request.payload.state
        return OAuth2Error(description, state=state, redirect_uri=self.redirect_uri, error=error)

    def address(self) -> dict[str, Any]:
        """The parameters with which somebody comes back to it."""
        data: dict[str, Any] = dict(self.request.payload.data)
        if self.pushed is not None:
            return {"client_id": data["client_id"], "request_uri": data["request_uri"]}
        return data


async def read_asked(server: HubServer, fields: Iterable[tuple[str, str]]) -> Asked:
    """Raises OAuth2Error, with a redirect URI once that is known to be the app's own."""
    wanted = HubRequest("GET", fields, {})
    require_plain(wanted)
    data = wanted.payload.data
    pushed = None
    if data.get("request_uri", "").startswith(PUSHED):
        pushed = await _begin(server.session, data)
        wanted = HubRequest("GET", pushed.parameters.items(), {})
    asked = await _validate(server, wanted, pushed)
    if pushed is None and asked.client.row.require_pushed_authorization_requests:
        raise asked.refusal("invalid_request", "This app pushes its requests (RFC 9126).")
    if pushed is not None:
        wanted.payload.data["request_uri"] = data["request_uri"]
    return asked


async def push(server: HubServer, sent: HubRequest) -> Answer:
    """Keep a request of an app for a minute; raises OAuth2Error."""
    require_plain(sent)
    client: KnownClient = await server.run(
        lambda: server.authenticate_client(sent, CLIENT_AUTHENTICATION, "par")
    )
    data = {name: value for name, value in sent.payload.data.items() if name not in NOT_KEPT}
    if data.setdefault("client_id", client.id) != client.id:
        raise InvalidRequestError("The client_id is not the one that authenticated.")
    if server.jkt is not None and data.setdefault("dpop_jkt", server.jkt) != server.jkt:
        raise InvalidRequestError("The dpop_jkt is not the key of the proof.")
    if len(urlencode(data)) > LONGEST:
        raise InvalidRequestError("The request is too long.")
    try:
        asked = await _validate(server, HubRequest("GET", data.items(), {}), None)
    except OAuth2Error as error:
        error.redirect_uri = error.state = None  # the app itself is told
        raise
    data.pop("id_token_hint", None)
    uri = f"{PUSHED}{secrets.token_urlsafe(32)}"
    server.session.add(
        PushedRequest(
            uri_hash=hash_token(uri), client_id=client.id, parameters=data, subject=asked.subject
        )
    )
    await server.session.flush()
    body = {"request_uri": uri, "expires_in": int(PUSHED_LIVES.total_seconds())}
    return Answer(201, body, {"Cache-Control": "no-store"})


async def _begin(session: AsyncSession, data: Mapping[str, str]) -> PushedRequest:
    """A minute to come with it; then it lives until it is answered, so that pages can reload."""
    row = await session.get(PushedRequest, hash_token(data["request_uri"]), with_for_update=True)
    now = utcnow()
    if (
        row is None
        or row.client_id != data.get("client_id")
        or now - (row.begun_at or row.created_at) > (BEGUN_LIVES if row.begun_at else PUSHED_LIVES)
    ):
        raise OAuth2Error(
            "The request has expired, was answered, or is of another app.",
            error="invalid_request_uri",
        )
    row.begun_at = row.begun_at or now
    return row


async def forget_pushed(session: AsyncSession, asked: Asked) -> None:
    """It was answered."""
    if asked.pushed is not None:
        this = col(PushedRequest.uri_hash) == asked.pushed.uri_hash
        await session.execute(delete(PushedRequest).where(this))


async def purge_expired_requests(session: AsyncSession) -> None:
    old = col(PushedRequest.created_at) < utcnow() - BEGUN_LIVES - PUSHED_LIVES
    await session.execute(delete(PushedRequest).where(old))


async def _validate(server: HubServer, wanted: HubRequest, pushed: PushedRequest | None) -> Asked:
    grant = await server.run(lambda: server.get_consent_grant(wanted, None))
    asked = Asked(server, wanted, grant, pushed, subject=pushed.subject if pushed else None)
    _read_openid(asked, wanted.payload.data)
    require_known_resource(server, wanted, asked.redirect_uri)
    return asked


def _read_openid(asked: Asked, data: Mapping[str, str]) -> None:
    """`prompt`, `max_age`, and what the hub does not do (OpenID Connect Core 3.1.2.1)."""

    def refuse(description: str) -> OAuth2Error:
        return asked.refusal("invalid_request", description)

    for name in ("request", "request_uri"):
        if name in data:
            raise asked.refusal(f"{name}_not_supported", f"The hub takes no such {name}.")
    if data.get("response_mode", "query") != "query":
        raise refuse("The response_mode is query.")
    asked.prompts = data.get("prompt", "").split()
    if not set(asked.prompts) <= set(PROMPTS) or ("none" in asked.prompts and asked.prompts[1:]):
        raise refuse("The prompt is none, or some of login, consent and select_account.")
    max_age = data.get("max_age", "")
    if max_age and not (max_age.isascii() and max_age.isdigit() and len(max_age) < 10):
        raise refuse("The max_age is a number of seconds.")
    asked.max_age = int(max_age) if max_age else None
    if len(data.get("nonce", "")) > 500:
        raise refuse("The nonce is too long.")
    if "dpop_jkt" in data and not JKT.fullmatch(data["dpop_jkt"]):
        raise refuse("The dpop_jkt is the SHA-256 thumbprint of a key.")
    if "claims" in data:
        try:
            asked.widen(scopes_of_claims(data["claims"]))
        except ValueError:
            raise refuse("The claims are a JSON object.") from None
    if token := data.get("id_token_hint"):
        try:
            hint = asked.server.tokens.verify_hint(token)
        except InvalidToken:
            raise refuse("The id_token_hint is not an ID token of this hub.") from None
        if hint.client_id != asked.client.id:
            raise refuse("The id_token_hint is for another app.")
        asked.subject = hint.subject

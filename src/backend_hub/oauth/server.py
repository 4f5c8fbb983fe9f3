"""Authlib's authorization server inside the request's one session.

Authlib asks synchronously. Every call runs in `AsyncSession.run_sync`, whose greenlet lets the
answers be awaited (`await_only`), so there is one set of queries and one transaction
(docs/decisions/0008-oauth-provider.md). Refusals are returned, so that a revocation commits.
"""

import binascii
from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.base import OAuth2Error, invalid_error_characters
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidRequestError,
    OAuth2Payload,
    OAuth2Request,
)
from sqlalchemy.util import await_only

from backend_hub.auth.tokens import TokenService
from backend_hub.db import AsyncSession
from backend_hub.http.routing import storable
from backend_hub.oauth.clients import KnownClient, find_client
from backend_hub.settings import Settings

T = TypeVar("T")
TOKEN_HEADERS = [
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-store"),
    ("Pragma", "no-cache"),
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back, before it is an HTTP response."""

    status: int
    body: Any
    headers: dict[str, str]


class Parameters(OAuth2Payload):  # type: ignore[misc]
    """The query or the form, with what came twice."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._datalist: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in fields:
            self._datalist[name].append(value)
        self._data = {name: values[0] for name, values in self._datalist.items()}

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return self._datalist


class HubRequest(OAuth2Request):  # type: ignore[misc]
    """A request as Authlib reads it. Its URI is never the Host header's, and is used for nothing.

    Authlib refuses http by that URI; the settings decide whether a hub may run on http.
    """

    def __init__(
        self, method: str, fields: Iterable[tuple[str, str]], headers: Mapping[str, str]
    ) -> None:
        super().__init__(method, "https://hub.invalid/", headers=headers)
        self.payload = Parameters(fields)

    @property
    def args(self) -> dict[str, str]:
        return self.payload.data

    @property
    def form(self) -> dict[str, str]:
        return self.payload.data


class HubServer(AuthorizationServer):  # type: ignore[misc]
    """One request's view of Authlib: it knows the session, the settings and the keys."""

    def __init__(self, session: AsyncSession, settings: Settings, tokens: TokenService) -> None:
        super().__init__()
        self.session, self.settings, self.tokens = session, settings, tokens
        self.jkt: str | None = None
        """The key that this request proved to have (RFC 9449)."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run Authlib's synchronous code where it can wait for the database."""
        return await self.session.run_sync(lambda _session: work())

    def query_client(self, client_id: str) -> KnownClient | None:
        return await_only(find_client(self.session, self.settings, client_id))

    def save_token(self, token: dict[str, Any], request: HubRequest) -> None:
        """Nothing: the rows were written when the token was made."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nothing listens."""

    def create_oauth2_request(self, request: HubRequest) -> HubRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: Iterable[tuple[str, str]]) -> Answer:
        """Every redirect to an app names who sent it (RFC 9207), and none is sent again (303)."""
        kept = {**dict(headers), "Cache-Control": "no-store"}
        if "Location" in kept:
            kept["Location"] = add_params_to_uri(kept["Location"], [("iss", self.settings.issuer)])
            status = 303
        return Answer(status, body, kept)

    def refusal(self, request: HubRequest, error: OAuth2Error) -> Answer:
        answer: Answer = self.handle_error_response(request, error)
        return answer


def require_plain(request: HubRequest) -> None:
    """Raise InvalidRequestError for what Authlib or PostgreSQL would stumble over.

    Authlib repeats these parameters in messages that may hold only some characters (RFC 6749
    section 4.1.2.1), and reads the Basic header as UTF-8 without looking.
    """
    for name, values in request.payload.datalist.items():
        if len(values) > 1 and name != "resource":
            raise InvalidRequestError("A parameter was sent twice.")
        if not storable(name + "".join(values)):
            raise InvalidRequestError("A parameter holds characters that no text has.")
    for name in ("response_type", "grant_type", "redirect_uri", "client_id"):
        if invalid_error_characters(request.payload.data.get(name, "")):
            raise InvalidRequestError(f"The {name} holds characters that it may not have.")
    kind, _, credentials = (request.headers.get("Authorization") or "").partition(" ")
    if kind.lower() == "basic":
        try:
            readable = storable(b64decode(credentials.strip()).decode())
        except (binascii.Error, UnicodeDecodeError):
            readable = False
        if not readable:
            raise InvalidRequestError("The Authorization header cannot be read.")


def require_known_resource(
    server: HubServer, request: HubRequest, redirect_uri: str | None = None
) -> None:
    """Raise `invalid_target` unless tokens are wanted for the hub or its API (RFC 8707)."""
    issuer = server.settings.issuer
    known = {issuer, f"{issuer}/api/v1"}
    for resource in request.payload.datalist.get("resource", ()):
        if resource.removesuffix("/") not in known:
            raise OAuth2Error(
                "Tokens of this hub are for the hub alone.",
                error="invalid_target",
                state=request.payload.state if redirect_uri else None,
                redirect_uri=redirect_uri,
            )

"""Asking a provider over HTTP: in time, of bounded size, and nowhere but where it said."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx
import orjson
from authlib.common.errors import AuthlibBaseError
from authlib.deprecate import AuthlibDeprecationWarning

from backend_hub.errors import HubError
from backend_hub.setting_types import LOOPBACK
from backend_hub.settings import Settings

# Authlib would rather have the successor of httpx; nobody who runs the hub can act on that.
warnings.filterwarnings("ignore", "The httpx", AuthlibDeprecationWarning)
from authlib.integrations.httpx_client import AsyncOAuth2Client  # noqa: E402

Conversation: TypeAlias = AsyncOAuth2Client

MAX_BYTES = 512_000
"""Of any answer; the largest known metadata and key sets are under 20 kB."""
HEADERS = {"User-Agent": "backend-hub", "Accept-Encoding": "identity"}


class ProviderTrouble(HubError):
    """The provider cannot be reached, is slow, or answers what nobody can use."""

    status, code, title = 502, "provider_trouble", "The other site does not answer"


class ProviderRefused(HubError):
    """What the provider said is not to be believed, or it said no."""

    status, code, title = 400, "provider_refused", "That sign-in did not work"


class _Bounded(httpx.AsyncHTTPTransport):
    """Refuses answers that are too long, or that would unfold into long ones."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx.DecodingError("compressed, though it was asked not to be")
        response.stream = _Counted(response.stream)
        return response


class _Counted(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self.stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self.stream:
            size += len(chunk)
            if size > MAX_BYTES:
                raise httpx.DecodingError("too long")
            yield chunk

    async def aclose(self) -> None:
        await self.stream.aclose()


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def allowed_url(settings: Settings, url: object) -> bool:
    """https; on a development hub also http to this machine (OpenID Connect Discovery 4.1)."""
    if not isinstance(url, str) or len(url) > 500 or not url.isascii() or not url.isprintable():
        return False
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.fragment or "@" in parts.netloc or "\\" in url or " " in url:
        return False
    local = settings.development and parts.scheme == "http" and host in LOOPBACK
    return parts.scheme == "https" or local


@asynccontextmanager
async def talking(
    settings: Settings, client_id: str = "", secret: str | None = None, **options: Any
) -> AsyncIterator[Conversation]:
    """A client for one conversation; whatever goes wrong with it is ProviderTrouble.

    It follows no redirect: a provider could send the hub to addresses inside its network.
    """
    client = AsyncOAuth2Client(
        client_id or None,
        secret,
        code_challenge_method="S256",
        transport=_Bounded(verify=_tls()),
        timeout=settings.provider_timeout,
        follow_redirects=False,
        **options,
    )
    try:
        async with asyncio.timeout(settings.provider_timeout), client:
            client.headers.update(HEADERS)
            yield client
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ssl.SSLError, OSError) as error:
        raise ProviderTrouble(f"It could not be asked ({type(error).__name__})") from error
    except AuthlibBaseError as error:
        raise ProviderRefused("The other site took the sign-in back") from error


async def read_json(client: Conversation, settings: Settings, url: object) -> Any:
    """The JSON behind the address, asked with the client's token if it has one; raises
    ProviderTrouble."""
    if not allowed_url(settings, url):
        raise ProviderTrouble("It names an address that the hub does not ask")
    headers = {"Accept": "application/json"}
    anonymous = client.token is None
    response = await client.request("GET", url, withhold_token=anonymous, headers=headers)
    if response.status_code != 200:
        raise ProviderTrouble(f"It answered {response.status_code}")
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise ProviderTrouble("It did not answer with JSON") from None

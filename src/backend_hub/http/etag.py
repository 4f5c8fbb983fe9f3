"""Strong ETags, conditional reads (304) and lost-update protection (412, 428), RFC 9110.

The tag of an item is `"<version>-<hash of the body>"`: the hash makes it strong, the version lets
a write be checked before any body is built. An edit is refused when the version moved on; a vote
or a comment in between changes the hash only, and does not (docs/decisions/0004-etags.md).
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend_hub.errors import PreconditionFailed, PreconditionRequired
from backend_hub.http.compression import GZIP_SUFFIX, accepts_gzip
from backend_hub.http.headers import Pairs, every, first, varied, without

TAGGED_TYPES = (b"application/json", b"text/html")
_TAG = re.compile(r'(W/)?"([!#-~\x80-\xff]*)"')


async def _if_match(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            max_length=500,
            description="The ETag of what you read; `*` overwrites whatever is there.",
        ),
    ] = None,
) -> str:
    if if_match is None:
        raise PreconditionRequired("Send the ETag that you read in If-Match, or *")
    return if_match


IfMatch = Annotated[str, Depends(_if_match)]


def require_version(if_match: str, version: int) -> None:
    """Raise PreconditionFailed unless a tag of the If-Match list is of this version."""
    if if_match.strip() == "*":
        return
    for weak, tag in _TAG.findall(if_match):
        if not weak and tag.partition("-")[0] == str(version):
            return
    raise PreconditionFailed("It was changed after you read it: read it again", version=version)


def set_version(response: Response, version: int) -> None:
    """Begin the ETag; the middleware completes it with the hash of the body."""
    response.headers["ETag"] = f'"{version}"'


def body_tag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:24]


BY_COOKIE = b"Authorization, Cookie, Sec-Fetch-Site, Origin"


@dataclass(frozen=True, slots=True)
class Caching:
    """What an answer that says nothing itself tells caches."""

    control: bytes = b"no-cache"
    vary: bytes = b"Authorization"


@dataclass(frozen=True, slots=True)
class KnownTags:
    """What the client has, by its If-None-Match."""

    tags: frozenset[str]
    anything: bool
    gzip: bool

    def match(self, etag: str) -> str | None:
        """The tag that the client has of this answer, compared weakly (RFC 9110 13.1.2).

        It may have the compressed form, which is as good if it still takes gzip.
        """
        if self.anything or etag in self.tags:
            return etag
        compressed = f'{etag[:-1]}{GZIP_SUFFIX}"'
        return compressed if self.gzip and compressed in self.tags else None


def _known_tags(headers: Pairs) -> KnownTags | None:
    lines = every(headers, b"if-none-match")
    if not lines:
        return None
    value = b", ".join(lines).decode("latin-1")
    tags = frozenset(f'"{tag}"' for _, tag in _TAG.findall(value))
    return KnownTags(tags, value.strip() == "*", accepts_gzip(headers))


class ETagMiddleware:
    """Tags every 200 and 201 with a body, and answers 304 when the client has it already.

    With `cookies` the API's answers depend on the session cookie too: no cache shares them.
    """

    def __init__(self, app: ASGIApp, *, cookies: bool = False) -> None:
        self.app = app
        self.caching = Caching(b"private, no-cache", BY_COOKIE) if cookies else Caching()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reading = scope["method"] in {"GET", "HEAD"}
        wanted = _known_tags(scope["headers"]) if reading else None
        start: Message | None = None

        async def tag(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                head, start = start, None
                if message["type"] == "http.response.body" and _taggable(head, message):
                    message = _tagged(head, message, wanted, reading, self.caching)
                await send(head)
            await send(message)

        await self.app(scope, receive, tag)


def _taggable(head: Message, body: Message) -> bool:
    """A whole JSON answer or page in one piece; streams and files have their own validators."""
    if head["status"] not in {200, 201} or body.get("more_body"):
        return False
    headers = head["headers"]
    kind = first(headers, b"content-type") or b""
    return kind.startswith(TAGGED_TYPES) and first(headers, b"cache-control") != b"no-store"


def _tagged(
    head: Message, body: Message, wanted: KnownTags | None, reading: bool, caching: Caching
) -> Message:
    headers = head["headers"]
    given = first(headers, b"etag")
    if given is None and not reading:
        return body
    begun = (given or b"").decode("latin-1")
    version = begun.strip('"')
    digest = body_tag(body.get("body", b""))
    etag = f'"{version}-{digest}"' if version and "-" not in version else begun or f'"{digest}"'
    known = wanted.match(etag) if wanted is not None else None
    if known is not None:
        head["status"] = 304
        headers = without(headers, b"content-length", b"content-type")
        body = {**body, "body": b""}
    headers = [*without(headers, b"etag"), (b"etag", (known or etag).encode("latin-1"))]
    if reading:
        if first(headers, b"cache-control") is None:
            headers.append((b"cache-control", caching.control))
        headers = varied(headers, caching.vary)
    head["headers"] = headers
    return body

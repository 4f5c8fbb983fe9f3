"""Where an app may have people sent back to, exact URIs (RFC 9700 section 2.1), and its origins."""

import re
from urllib.parse import urlsplit

from backend_hub.http.cors import origin_of
from backend_hub.oauth.models import ClientType

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PRINTABLE = re.compile(r"[!-~]{1,500}")
_PRIVATE_USE = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
"""A reversed domain name (RFC 8252 section 7.1), so that apps do not take each other's."""


def mistake_in(uri: str, client_type: ClientType) -> str | None:
    """Why an app of this type may not register the URI, or None."""
    try:
        parts = urlsplit(uri)
        hostname, _port = parts.hostname, parts.port
    except ValueError:
        return "is not a URI"
    if not _PRINTABLE.fullmatch(uri) or "\\" in uri:
        return "must be printable ASCII of at most 500 characters"
    if "#" in uri:
        return "must not have a fragment"
    if "@" in parts.netloc or "*" in uri or ".." in parts.path.split("/"):
        return "must not have user names, wildcards or `..`"
    if client_type is ClientType.native and _PRIVATE_USE.fullmatch(parts.scheme):
        return None
    if parts.scheme == "https" and hostname:
        return None
    if parts.scheme == "http" and hostname in LOOPBACK:
        return None
    if client_type is ClientType.native:
        return "must be https, http on the loopback, or a scheme such as com.example.app"
    return "must be https, or http on the loopback while you develop"


def mistake_in_origin(origin: str) -> str | None:
    """Why an app may not name the origin, or None. It is compared with what browsers send."""
    if origin_of(origin) != origin:
        return "must be as browsers send it, such as https://app.example, without a path"
    if not origin.startswith("https://") and urlsplit(origin).hostname not in LOOPBACK:
        return "must be https, or http on the loopback while you develop"
    return None


def origins_of(uris: list[str]) -> list[str]:
    """The origins that the URIs are of."""
    return list(dict.fromkeys(origin for uri in uris if (origin := origin_of(uri))))


def matches(uri: str, registered: list[str], client_type: ClientType) -> bool:
    """Character by character; but for native apps on the loopback any port (RFC 8252 7.3)."""
    if uri in registered:
        return True
    if client_type is not ClientType.native:
        return False
    portless = _without_port(uri)
    return portless is not None and portless in {_without_port(known) for known in registered}


def _without_port(uri: str) -> str | None:
    """A loopback URI without its port; None for every other one."""
    found = re.fullmatch(r"(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::[0-9]{1,5})?(/.*)?", uri)
    if not found or not _PRINTABLE.fullmatch(uri):
        return None
    return found[1] + (found[2] or "")

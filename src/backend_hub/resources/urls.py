"""URLs of links: one form to show, one key to tell whether two are the same page."""

import hashlib
import ipaddress
from urllib.parse import quote, unquote_plus, urlsplit

from url_normalize import url_normalize

MAX_URL_LENGTH = 2_000
FRAGMENT = "%!$&'()*+,;=:@/?-._~"
TRACKING = frozenset(
    {"gclid", "fbclid", "dclid", "msclkid", "mc_cid", "mc_eid", "igshid", "yclid", "_hsenc"}
)


def normalize_url(url: str) -> str:
    """The URL as the hub keeps it (RFC 3986 section 6.2.2); raises ValueError with the reason.

    Scheme and host in lower case, international hosts in Punycode, no default port, no dot
    segments, no tracking parameters, and no fragment unless it is a page of its own (`#/`, `#!`).
    """
    url = url.strip()
    if len(url) > MAX_URL_LENGTH:
        raise ValueError(f"must have at most {MAX_URL_LENGTH} characters")
    if any(ord(char) < 33 or ord(char) == 127 for char in url):
        raise ValueError("must not contain white space or control characters")
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    try:
        parts = urlsplit(url_normalize(url) or "")
        if parts.port == 0 or not _plausible_host(parts.hostname or ""):
            raise ValueError("no host")
    except (ValueError, UnicodeError):
        raise ValueError("is not a URL that a browser could open") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or a password")
    query = "&".join(part for part in parts.query.split("&") if not _tracks(part))
    fragment = urlsplit(url).fragment  # as given: url_normalize hides its first slash
    fragment = quote(fragment, safe=FRAGMENT) if fragment.startswith(("/", "!")) else ""
    normalized = parts._replace(query=query, fragment=fragment).geturl()
    if len(normalized) > MAX_URL_LENGTH:
        raise ValueError(f"must have at most {MAX_URL_LENGTH} characters once it is encoded")
    return normalized


def _tracks(parameter: str) -> bool:
    name = unquote_plus(parameter.partition("=")[0]).lower()
    return name in TRACKING or name.startswith("utm_")


def _plausible_host(host: str) -> bool:
    """A name with a dot, or an IP address."""
    if not host or len(host) > 253:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.rstrip(".").split(".")
        return len(labels) > 1 and all(0 < len(label) <= 63 for label in labels)
    return True


def url_key(normalized: str) -> str:
    """SHA-256 of what tells one page from another: neither scheme, `www.` nor a final slash."""
    parts = urlsplit(normalized)
    host = parts.netloc.removeprefix("www.")
    page = parts._replace(scheme="", netloc=host, path=parts.path.rstrip("/")).geturl()
    return hashlib.sha256(page.encode()).hexdigest()

"""Settings that are more than text: the addresses of databases and mail servers."""

import re
from email.utils import parseaddr
from typing import Annotated
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator, SecretStr

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SSL_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
URL_PARAMETERS = {
    *("host", "port", "user", "password", "passfile"),
    *("target_session_attrs", "ssl", "prepared_statement_cache_size"),
}
# libpq's, without meaning to asyncpg, or set by the hub itself.
DROPPED_PARAMETERS = {
    *("application_name", "fallback_application_name", "channel_binding", "connect_timeout"),
    *("gssencmode", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    "tcp_user_timeout",
}


def _async_url(url: str) -> str:
    """Turn the libpq form that users paste into SQLAlchemy's asyncpg form.

    `sslmode` is libpq's word; asyncpg takes `ssl` with the same values. Several hosts, and the
    percent-encoded folder of a socket, move into the query. No message repeats a piece of the
    URL: it may be one of the password.
    """
    if not url:
        return url
    encode = "percent-encode the special characters of the database URL's password"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(encode) from None
    scheme = parts.scheme
    if scheme in {"postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"}:
        scheme = "postgresql+asyncpg"
    if scheme != "postgresql+asyncpg":
        raise ValueError("the database URL must begin with postgresql://")
    user, at, place = parts.netloc.rpartition("@")
    if parts.fragment or "@" in parts.path + parts.query:
        raise ValueError(encode)
    query = _url_parameters(parts.query)
    if "," in place or "%2f" in place.lower():
        hosts = [unquote(host) for host in place.split(",")]
        several = [host if ":" in host else f"{host}:5432" for host in hosts]
        query += [("host", host) for host in (several if len(hosts) > 1 else hosts)]
        place = ""
    elif not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(:[0-9]{0,5})?", place):
        raise ValueError(f"the database URL names no host and port; {encode}")
    # Written out by hand: urlunsplit drops the `//` of a URL without a host (a socket directory).
    tail = "?" + urlencode(query, quote_via=quote, safe="/:,") if query else ""
    return f"{scheme}://{user}{at}{place}{parts.path}{tail}"


def _url_parameters(query: str) -> list[tuple[str, str]]:
    """What asyncpg takes; raises ValueError for what it would stumble over at the first query."""
    kept = [
        ("ssl" if key == "sslmode" else key, value)
        for key, value in parse_qsl(query, keep_blank_values=True)
        if key not in DROPPED_PARAMETERS
    ]
    unknown = {key for key, _ in kept} - URL_PARAMETERS
    if any(key.startswith("ssl") for key in unknown):
        raise ValueError(
            "certificates do not go into the database URL: set PGSSLROOTCERT, PGSSLCERT, "
            "PGSSLKEY and PGSSLCRL"
        )
    if unknown:
        raise ValueError(f"the database URL may have {', '.join(sorted(URL_PARAMETERS))} only")
    if any(key == "ssl" and value not in SSL_MODES for key, value in kept):
        raise ValueError(f"sslmode is one of {', '.join(sorted(SSL_MODES))}")
    return kept


def _origin(value: str) -> str:
    return value if value == "*" else value.rstrip("/")


def _smtp_url(url: SecretStr) -> SecretStr:
    """Refuse what no mail server can be reached by; no message repeats a piece of it."""
    if not url.get_secret_value():
        return url
    try:
        parts = urlsplit(url.get_secret_value())
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("percent-encode the special characters of the mail URL") from None
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme not in {"smtp", "smtps"} or not host or parts.path.strip("/"):
        raise ValueError("it has the form smtp://user:password@host:587 or smtps://")
    if query not in ({}, {"tls": "starttls"}, {"tls": "none"}):
        raise ValueError("its one parameter is tls=starttls or tls=none")
    if query.get("tls") == "none" and parts.password and host not in LOOPBACK:
        raise ValueError("tls=none would send the password in the clear")
    return url


def _mail_from(sender: str) -> str:
    """Refuse a sender that is no address."""
    address = parseaddr(sender)[1]
    if sender and (not re.fullmatch(r"[^@\s]+@[^@\s]+", address) or not sender.isprintable()):
        raise ValueError("it has the form Backend Hub <hub@example.org>")
    return sender


DatabaseUrl = Annotated[str, AfterValidator(_async_url)]
SmtpUrl = Annotated[SecretStr, AfterValidator(_smtp_url)]
MailFrom = Annotated[str, AfterValidator(_mail_from)]
Origin = Annotated[str, AfterValidator(_origin)]


def without_password(url: str) -> str:
    """The URL as it may be shown in a log or on a terminal."""
    parts = urlsplit(url)
    netloc = parts.netloc
    if parts.password is not None:
        netloc = netloc.replace(f":{parts.password}@", ":***@")
    query = re.sub(r"(?i)(?<![^&])(password)=[^&]*", r"\1=***", parts.query)
    return urlunsplit(parts._replace(netloc=netloc, query=query))

"""From where a request comes, as far as the hub can tell."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

SESSION = "hub_session"
"""The cookie of a session; `__Host-` comes before it (auth/browser_sessions.py)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The address behind the trusted proxies, and what the program calls itself."""

    address: str = ""
    user_agent: str = ""


def caller_of(scope: Scope) -> Caller:
    """Whoever sent this request; what it says of itself is cut to what a row holds."""
    client = scope.get("client")
    agent = "".join(c for c in Headers(scope=scope).get("user-agent", "") if c.isprintable())
    return Caller(str(client[0])[:45] if client else "", agent[:300])


def is_visitor(scope: Scope) -> bool:
    """Whether nothing on the request says who sent it, rightly or not."""
    cookie = f"{SESSION}=".encode()
    return not any(
        name == b"authorization" or (name == b"cookie" and cookie in value)
        for name, value in scope["headers"]
    )


# The first match counts: Edge and Opera call themselves Chrome too, and Chrome calls itself Safari.
_PROGRAMS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python-httpx/", "Python (httpx)"),
    ("python-requests/", "Python (requests)"),
    ("okhttp/", "an Android program"),
    ("node", "Node.js"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def program_of(user_agent: str) -> str:
    """`Firefox on Linux`: a guess, and never words of the caller, who could write anything."""
    program = next((name for mark, name in _PROGRAMS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if program and system:
        return f"{program} on {system}"
    return program or system or "an unknown program"

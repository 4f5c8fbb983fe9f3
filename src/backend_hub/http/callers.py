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


_PROGRAMS = {
    **{"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome"},
    **{"Safari/": "Safari", "curl/": "curl", "python": "Python"},
}
_SYSTEMS = {
    **{"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows"},
    **{"Mac OS": "macOS", "CrOS": "ChromeOS", "Linux": "Linux"},
}


def program_of(user_agent: str) -> str:
    """`Firefox on Linux`: never words of the caller, who could write anything into a mail."""
    program = next((name for mark, name in _PROGRAMS.items() if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS.items() if mark in user_agent), "")
    return f"{program or 'an unknown program'}{f' on {system}' if system else ''}"

"""From where a request comes, as far as the hub can tell."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope


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

"""What an app is told of a person (OpenID Connect Core 5)."""

import json
from typing import Any

from backend_hub.auth.actor import Actor
from backend_hub.users.models import User

SCOPE_OF = {
    "name": "profile",
    "preferred_username": "profile",
    "email": "email",
    "email_verified": "email",
}
MAX_CLAIMS = 4_000
"""Characters of a `claims` parameter."""


def claims_of(user: User, actor: Actor) -> dict[str, Any]:
    """The person's claims that the scopes of this token cover."""
    found: dict[str, Any] = {"name": user.display_name, "preferred_username": user.username}
    if user.email is not None:
        verified = user.email_verified_at is not None
        found |= {"email": user.email, "email_verified": verified}
    covered = {name: value for name, value in found.items() if actor.may(SCOPE_OF[name])}
    return {"sub": str(user.id), **covered}


def scopes_of_claims(claims: str) -> list[str]:
    """The scopes that cover the claims that an app asks userinfo for (Core 5.5).

    People are asked for scopes, so a single claim is asked for as the scope that holds it. Raises
    ValueError for what is no JSON object.
    """
    try:
        asked = json.loads(claims) if len(claims) <= MAX_CLAIMS else None
    except RecursionError:
        asked = None
    if not isinstance(asked, dict):
        raise ValueError("not a JSON object")
    told = asked.get("userinfo")
    names = told if isinstance(told, dict) else {}
    return sorted({SCOPE_OF[name] for name in names if name in SCOPE_OF})

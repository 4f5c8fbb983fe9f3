"""GitHub is no OpenID provider: its API says who somebody is."""

from typing import Any

from backend_hub.identity.fetching import Conversation, ProviderTrouble, read_json
from backend_hub.settings import Settings

PUBLIC = "https://github.com"


def metadata(issuer: str) -> dict[str, Any]:
    """Its addresses: github.com has its API beside it, an Enterprise Server below it."""
    api = "https://api.github.com" if issuer == PUBLIC else f"{issuer}/api/v3"
    return {
        "issuer": f"{issuer}/login/oauth",
        "authorization_endpoint": f"{issuer}/login/oauth/authorize",
        "token_endpoint": f"{issuer}/login/oauth/access_token",
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "api": api,
    }


async def read_claims(
    client: Conversation, settings: Settings, metadata: dict[str, Any]
) -> dict[str, Any]:
    """The person in the words of OpenID Connect; of the addresses only a verified primary one.

    The number is the subject: a login can be given up, and taken by somebody else.
    """
    user = await read_json(client, settings, f"{metadata['api']}/user")
    emails = await read_json(client, settings, f"{metadata['api']}/user/emails")
    if not isinstance(user, dict) or type(user.get("id")) is not int:
        raise ProviderTrouble("It does not say who you are")
    if not isinstance(emails, list):
        raise ProviderTrouble("It does not tell your addresses")
    primary = [
        entry["email"]
        for entry in emails
        if isinstance(entry, dict)
        and entry.get("primary") is True
        and entry.get("verified") is True
        and isinstance(entry.get("email"), str)
    ]
    return {
        "sub": str(user["id"]),
        "preferred_username": user.get("login"),
        "name": user.get("name"),
        "email": primary[0] if primary else None,
        "email_verified": bool(primary),
    }

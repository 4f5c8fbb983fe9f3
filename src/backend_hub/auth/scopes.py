"""What a token may do: scopes `resource:action`, and which roles hold them."""

from backend_hub.users.models import Role

SCOPES: dict[str, str] = {
    "users:write": "Change your own profile",
    "resources:write": "Add resources and edit your own",
    "questions:write": "Ask and answer questions",
    "posts:write": "Vote, comment and bookmark",
    "contributions:write": "Propose resources and changes to them",
    "contributions:review": "Review and merge the contributions of others",
    "account:write": "See and end your sign-ins, apps and personal tokens; export your data",
    "clients:write": "Register apps that people sign in to through the hub",
    "posts:moderate": "Edit, close, delete and restore what others wrote",
    "topics:write": "Edit topics and tags",
    "users:admin": "Change roles and disable accounts",
}

FIRST_PARTY_SCOPES = frozenset({"account:write", "clients:write"})
"""What only the hub's own clients get: with these an app, or a personal access token, could make
itself another key (an app that a person registers may act in their name)."""
APP_SCOPES = {name: words for name, words in SCOPES.items() if name not in FIRST_PARTY_SCOPES}
"""What apps and personal access tokens may ask for."""

# OpenID Connect Core 5.4 and 11; they tell an app who somebody is, whatever the role.
OPENID_SCOPES: dict[str, str] = {
    "openid": "Know that it is you",
    "profile": "See your name and your profile",
    "email": "See your email address",
    "offline_access": "Stay signed in while you are away",
}

# Members may review where they maintain a topic: the service asks which.
_MEMBER = frozenset(SCOPES) - {"posts:moderate", "topics:write", "users:admin"}

SCOPES_OF_ROLE: dict[str, frozenset[str]] = {
    Role.member: _MEMBER,
    Role.reviewer: _MEMBER,
    Role.moderator: _MEMBER | {"posts:moderate"},
    Role.admin: frozenset(SCOPES),
}


def held_scopes(role: str) -> frozenset[str]:
    """Every scope that a token for somebody of this role may have."""
    return SCOPES_OF_ROLE[role] | frozenset(OPENID_SCOPES)

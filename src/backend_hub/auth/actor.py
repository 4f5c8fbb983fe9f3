"""Who acts."""

from dataclasses import dataclass
from uuid import UUID

from backend_hub.users.models import ROLES, Role


@dataclass(frozen=True, slots=True)
class Actor:
    """The person behind a request, and what this request's token lets them do."""

    id: UUID
    username: str
    role: Role
    scopes: frozenset[str]
    family_id: UUID | None = None
    """The sign-in that the token came from."""
    token_id: UUID | None = None
    """The personal access token, if it is one."""
    session_id: UUID | None = None
    """The browser's session, where a cookie came instead of a token."""

    @property
    def sign_in_id(self) -> UUID | None:
        """What ends when they sign out."""
        return self.family_id or self.session_id

    def may(self, scope: str) -> bool:
        return scope in self.scopes

    def is_at_least(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def moderates(self) -> bool:
        """Whether this request may touch what others wrote."""
        return self.is_at_least(Role.moderator) and self.may("posts:moderate")

"""Who sees which post: the one predicate that details, lists, search and events share."""

from typing import Literal

from sqlalchemy import ColumnElement, Uuid, and_, bindparam, false, or_
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.posts.models import Post
from backend_hub.users.models import Role

ReaderKind = Literal["visitor", "member", "moderator"]


def reader_kind(actor: Actor | None) -> ReaderKind:
    """What the statements of a reader depend on, beside the parameter `actor_id`."""
    if actor is None:
        return "visitor"
    return "moderator" if actor.moderates else "member"


def _stand_in(role: Role, *scopes: str) -> Actor:
    actor_id = bindparam("actor_id", type_=Uuid())
    return Actor(actor_id, "", role, frozenset(scopes))  # type: ignore[arg-type]


STAND_INS: dict[ReaderKind, Actor | None] = {
    "visitor": None,
    "member": _stand_in(Role.member),
    "moderator": _stand_in(Role.moderator, "posts:moderate"),
}
"""Each stands for the readers of its kind in a statement that is kept."""


def visible(actor: Actor | None) -> ColumnElement[bool]:
    """Neither deleted nor under a deleted question; drafts to their author only."""
    mine = col(Post.author_id) == actor.id if actor else false()
    return and_(
        col(Post.deleted_at).is_(None),
        col(Post.parent_deleted).is_(False),
        or_(col(Post.draft).is_(False), mine),
    )


def reachable(actor: Actor | None) -> ColumnElement[bool]:
    """What is visible, and what a person may restore: their own, and all for moderators.

    Used for one post at a time, never for lists. A post without a revision has no text to restore:
    its author left, and took it along.
    """
    if actor is None:
        return visible(None)
    theirs = col(Post.draft).is_(False) if actor.moderates else col(Post.author_id) == actor.id
    return or_(visible(actor), and_(theirs, col(Post.revision) > 0))

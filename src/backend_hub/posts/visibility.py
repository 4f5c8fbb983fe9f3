"""Who sees which post: the one predicate that details, lists, search and events share."""

from sqlalchemy import ColumnElement, and_, false, or_
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.posts.models import Post


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

    Used for one post at a time, never for lists.
    """
    if actor is None:
        return visible(None)
    if actor.moderates:
        return or_(visible(actor), col(Post.draft).is_(False))
    return or_(visible(actor), col(Post.author_id) == actor.id)

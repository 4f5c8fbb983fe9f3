"""Reading resources: each list and each detail is one statement."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.errors import NotFound, Unprocessable
from backend_hub.http.cursors import Order, Page, PageParams, read_page
from backend_hub.posts.fulltext import matches, rank
from backend_hub.posts.models import Post, PostKind
from backend_hub.posts.queries import (
    ACTIVE,
    NEWEST,
    TOP,
    from_posts,
    one,
    tagged,
    text_columns,
    titled_columns,
    written_by,
)
from backend_hub.posts.visibility import reachable, visible
from backend_hub.resources.models import Level, Resource, ResourceKind
from backend_hub.resources.schemas import ResourceRead, ResourceSummary, resource_read
from backend_hub.topics.service import subtree

ResourceSort = Literal["newest", "top", "active", "relevance"]
ORDERS: dict[str, Order] = {"newest": NEWEST, "top": TOP, "active": ACTIVE}


@dataclass(frozen=True)
class ResourceFilters:
    kind: ResourceKind | None = None
    topic: str | None = None
    tag: str | None = None
    level: Level | None = None
    language: str | None = None
    author: str | None = None
    q: str | None = None

    def conditions(self) -> list[Any]:
        """One condition for each filter that is set."""
        wanted: list[Any] = []
        if self.kind is not None:
            wanted.append(col(Resource.kind) == self.kind)
        if self.topic is not None:
            wanted.append(col(Post.topic_id).in_(subtree(self.topic)))
        if self.tag is not None:
            wanted.append(tagged(self.tag))
        if self.level is not None:
            wanted.append(col(Resource.level) == self.level)
        if self.language is not None:
            wanted.append(col(Post.language) == self.language)
        if self.author is not None:
            wanted.append(written_by(self.author))
        if self.q is not None:
            wanted.append(matches(self.q))
        return wanted


def order_for(sort: ResourceSort, q: str | None, orders: dict[str, Order] = ORDERS) -> Order:
    """The order of a sort; relevance needs something to be relevant to."""
    if sort != "relevance":
        return orders[sort]
    if q is None:
        raise Unprocessable("Sorting by relevance needs q", loc=("query", "sort"))
    return Order("relevance", [rank(q), col(Post.id)])


async def list_resources(
    session: AsyncSession,
    actor: Actor | None,
    filters: ResourceFilters,
    sort: ResourceSort,
    page: PageParams,
) -> Page[ResourceSummary]:
    columns = [col(getattr(Resource, name)) for name in ("kind", "level", "link_type", "url")]
    statement = (
        from_posts([*titled_columns(), *columns])
        .join(Resource, col(Resource.post_id) == Post.id)
        .where(col(Post.kind) == PostKind.resource, visible(actor), *filters.conditions())
    )
    return await read_page(session, statement, order_for(sort, filters.q), page, ResourceSummary)


async def read_resource(session: AsyncSession, actor: Actor | None, post_id: UUID) -> ResourceRead:
    """The whole resource, in the form of its kind; raises NotFound."""
    names = ("kind", "level", "link_type", "url", "details", "source")
    columns = [col(getattr(Resource, name)) for name in names]
    statement = (
        from_posts([*titled_columns(), *text_columns(actor), *columns])
        .join(Resource, col(Resource.post_id) == Post.id)
        .where(col(Post.id) == post_id, reachable(actor))
    )
    row = await one(session, statement)
    if row is None:
        raise NotFound("There is no such resource")
    return resource_read.validate_python({**row, **row["details"]})

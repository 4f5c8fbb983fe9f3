"""Reading resources: each list and each detail is one statement."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import orjson
from pydantic import TypeAdapter
from sqlalchemy import Select, Uuid, bindparam, literal_column
from sqlmodel import col

from backend_hub.auth.actor import Actor
from backend_hub.errors import NotFound, Unprocessable
from backend_hub.http.cursors import Page, PageParams
from backend_hub.http.ready import Listing, Ready, dump, fields_of
from backend_hub.posts.models import Post
from backend_hub.posts.queries import (
    ORDERS,
    POST_CONDITIONS,
    from_posts,
    set_filters,
    text_columns,
    titled_columns,
)
from backend_hub.posts.visibility import STAND_INS, ReaderKind, reachable, reader_kind, visible
from backend_hub.resources.models import Level, Resource, ResourceKind
from backend_hub.resources.schemas import (
    CodeSampleRead,
    LinkRead,
    ProjectRead,
    ResourceRead,
    ResourceSummary,
    resource_read,
)
from backend_hub.statements import Prepared, Reader, prepare, text_parameter

ResourceSort = Literal["newest", "top", "active", "relevance"]
KEPT = 256
"""Shapes whose statements are kept."""
RESOURCE_PAGE = TypeAdapter(Page[ResourceSummary])
FIELDS: dict[str, tuple[str, ...]] = {
    "link": tuple(LinkRead.model_fields),
    "code_sample": tuple(CodeSampleRead.model_fields),
    "project": tuple(ProjectRead.model_fields),
}
"""What each kind shows."""


@dataclass(frozen=True)
class ResourceFilters:
    kind: ResourceKind | None = None
    topic: str | None = None
    tag: str | None = None
    level: Level | None = None
    language: str | None = None
    author: str | None = None
    q: str | None = None


CONDITIONS: dict[str, Any] = {
    **POST_CONDITIONS,
    "kind": lambda kind: col(Resource.kind) == kind,
    "level": lambda level: col(Resource.level) == level,
}


def from_resources(columns: list[Any], *names: str) -> Select[Any]:
    """A statement over resources, with these of their own columns."""
    own = [col(getattr(Resource, name)) for name in names]
    return from_posts([*columns, *own]).join(Resource, col(Resource.post_id) == Post.id)


@lru_cache(KEPT)
def _listing(
    filters: frozenset[str], sort: ResourceSort, reader: ReaderKind
) -> Listing[Page[ResourceSummary]]:
    statement = from_resources(titled_columns(), "kind", "level", "link_type", "url").where(
        col(Post.kind) == literal_column("'resource'"),
        visible(STAND_INS[reader]),
        *(CONDITIONS[name](text_parameter(name)) for name in filters),
    )
    return Listing(statement, ORDERS[sort], RESOURCE_PAGE)


async def list_resources(
    reader: Reader,
    actor: Actor | None,
    filters: ResourceFilters,
    sort: ResourceSort,
    page: PageParams,
) -> Ready[Page[ResourceSummary]]:
    """Raises Unprocessable for a sort by relevance to nothing."""
    if sort == "relevance" and filters.q is None:
        raise Unprocessable("Sorting by relevance needs q", loc=("query", "sort"))
    listing = _listing(set_filters(filters), sort, reader_kind(actor))
    return await listing.read(reader, {**vars(filters), "actor_id": actor and actor.id}, page)


@lru_cache(KEPT)
def _whole_resource(reader: ReaderKind) -> Prepared:
    """The statement of the resource `resource_id`."""
    actor = STAND_INS[reader]
    names = ("kind", "level", "link_type", "url", "details", "source")
    statement = from_resources([*titled_columns(), *text_columns(actor)], *names)
    resource_id = bindparam("resource_id", type_=Uuid())
    return prepare(statement.where(col(Post.id) == resource_id, reachable(actor)))


async def read_resource(reader: Reader, actor: Actor | None, post_id: UUID) -> Ready[ResourceRead]:
    """The whole resource, in the form of its kind; raises NotFound."""
    statement = _whole_resource(reader_kind(actor))
    values = {"resource_id": post_id, "actor_id": actor and actor.id}
    rows = await reader.fetch(statement, values)
    if not rows:
        raise NotFound("There is no such resource")
    row = rows[0]
    known = {**fields_of(row, statement), **orjson.loads(row["details"])}
    fields = {name: known[name] for name in FIELDS[row["kind"]]}
    return Ready(dump(fields), resource_read, row["version"])

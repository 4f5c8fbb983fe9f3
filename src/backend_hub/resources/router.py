"""Resources over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Depends, Path, Query, Response

from backend_hub.auth.dependencies import Once, ResourceAuthor, Viewer
from backend_hub.http.cursors import Page
from backend_hub.http.etag import IfMatch
from backend_hub.http.paging import Paging
from backend_hub.http.ready import answer
from backend_hub.http.routing import hub_router
from backend_hub.http.schemas import Language, Slug, TagName, Username
from backend_hub.http.sessions import Reads, Session
from backend_hub.posts.schemas import RevisionNumber
from backend_hub.resources import queries, service
from backend_hub.resources.examples import CREATE_EXAMPLES, UPDATE_EXAMPLES
from backend_hub.resources.models import Level, ResourceKind
from backend_hub.resources.queries import ResourceFilters, ResourceSort
from backend_hub.resources.schemas import (
    ResourceCreate,
    ResourceRead,
    ResourceSummary,
    ResourceUpdate,
)

router = hub_router("/resources", "resources")

SearchText = Annotated[
    str | None, Query(min_length=1, max_length=200, description='Words; `"a phrase"`, `-not`.')
]


async def resource_filters(
    kind: Annotated[ResourceKind | None, Query(description="Only this kind.")] = None,
    topic: Annotated[Slug | None, Query(description="In this topic, or below it.")] = None,
    tag: Annotated[TagName | None, Query(description="With this tag, or its synonym.")] = None,
    level: Annotated[Level | None, Query(description="Only this level.")] = None,
    language: Annotated[Language | None, Query(description="Written in this language.")] = None,
    author: Annotated[Username | None, Query(description="Written by this person.")] = None,
    q: SearchText = None,
) -> ResourceFilters:
    return ResourceFilters(kind, topic, tag, level, language, author, q)


@router.get("", summary="List resources", response_model=Page[ResourceSummary])
async def list_resources(
    reads: Reads,
    actor: Viewer,
    page: Paging,
    filters: Annotated[ResourceFilters, Depends(resource_filters)],
    sort: Annotated[ResourceSort, Query(description="`relevance` needs `q`.")] = "newest",
) -> Response:
    """Links, code samples and projects; a topic includes its sub-topics."""
    return answer(await queries.list_resources(reads, actor, filters, sort, page))


@router.post("", summary="Add a resource", status_code=201, response_model=ResourceRead)
async def add_resource(
    form: Annotated[ResourceCreate, Body(openapi_examples=CREATE_EXAMPLES)],
    actor: ResourceAuthor,
    session: Session,
    _once: Once,
) -> Response:
    """Share a link, a code sample or a project.

    A link that the hub has already is answered with 409; `existing` names it.
    """
    post = await service.add_resource(session, actor.id, form)
    location = f"/api/v1/resources/{post.id}"
    return answer(await queries.read_resource(session, actor, post.id), location)


@router.get("/{resource_id}", summary="Read a resource", response_model=ResourceRead)
async def read_resource(resource_id: UUID, reads: Reads, actor: Viewer) -> Response:
    """The whole resource; its `kind` tells which fields it has."""
    return answer(await queries.read_resource(reads, actor, resource_id))


@router.patch("/{resource_id}", summary="Edit a resource", response_model=ResourceRead)
async def edit_resource(
    resource_id: UUID,
    form: Annotated[ResourceUpdate, Body(openapi_examples=UPDATE_EXAMPLES)],
    actor: ResourceAuthor,
    if_match: IfMatch,
    session: Session,
) -> Response:
    """By its author, or by a reviewer; everyone else proposes a contribution.

    Each edit is a revision: it can be compared and restored.
    """
    await service.edit_resource(session, actor, resource_id, form, if_match)
    return answer(await queries.read_resource(session, actor, resource_id))


@router.delete("/{resource_id}", summary="Delete a resource", status_code=204)
async def delete_resource(
    resource_id: UUID, actor: ResourceAuthor, if_match: IfMatch, session: Session
) -> None:
    """By its author, or by a moderator. It can be restored."""
    await service.delete_resource(session, actor, resource_id, if_match)


@router.post("/{resource_id}/restore", summary="Restore a resource", response_model=ResourceRead)
async def restore_resource(resource_id: UUID, actor: ResourceAuthor, session: Session) -> Response:
    """Undo a deletion; what a moderator deleted only moderators restore."""
    await service.restore_resource(session, actor, resource_id)
    return answer(await queries.read_resource(session, actor, resource_id))


@router.post(
    "/{resource_id}/revisions/{number}/restore",
    summary="Go back to a revision",
    response_model=ResourceRead,
)
async def restore_resource_revision(
    resource_id: UUID,
    number: Annotated[RevisionNumber, Path(examples=[1])],
    actor: ResourceAuthor,
    if_match: IfMatch,
    session: Session,
) -> Response:
    """Write the content of an earlier revision as a new one."""
    await service.restore_revision(session, actor, resource_id, number, if_match)
    return answer(await queries.read_resource(session, actor, resource_id))

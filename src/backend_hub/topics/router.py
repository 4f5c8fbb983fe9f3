"""Topics and tags over HTTP."""

from typing import Annotated

from fastapi import Path, Query, Response

from backend_hub.auth.dependencies import Once, TopicEditor
from backend_hub.http.cursors import Page
from backend_hub.http.etag import IfMatch, set_version
from backend_hub.http.paging import Paging
from backend_hub.http.routing import hub_router
from backend_hub.http.schemas import Slug, TagName, Username
from backend_hub.http.sessions import ReadSession, Session
from backend_hub.topics import queries, service
from backend_hub.topics.schemas import (
    TagRead,
    TagUpdate,
    TopicCreate,
    TopicDetail,
    TopicRead,
    TopicUpdate,
)

topics = hub_router("/topics", "topics")
tags = hub_router("/tags", "tags")

TopicSlug = Annotated[Slug, Path(examples=["databases"])]
TagPath = Annotated[TagName, Path(examples=["python"])]
Person = Annotated[Username, Path(examples=["demo"])]


@topics.get("", summary="List topics")
async def list_topics(
    session: ReadSession,
    page: Paging,
    parent: Annotated[
        Slug | None, Query(description="Only the direct sub-topics of this topic.")
    ] = None,
    depth: Annotated[
        int | None, Query(ge=0, le=20, description="0: top topics; 1: their sub-topics too.")
    ] = None,
) -> Page[TopicRead]:
    """The tree of topics, each before its sub-topics. Counts include what lies below."""
    return await queries.list_topics(session, parent, depth, page)


@topics.post("", summary="Add a topic", status_code=201)
async def create_topic(
    form: TopicCreate, actor: TopicEditor, session: Session, response: Response, _once: Once
) -> TopicDetail:
    """Admins shape the tree: a topic is a top topic, or lies below a `parent`."""
    topic = await service.create_topic(session, actor, form)
    response.headers["Location"] = f"/api/v1/topics/{topic.slug}"
    set_version(response, topic.version)
    return await queries.read_topic(session, topic.slug)


@topics.get("/{slug}", summary="Read a topic")
async def read_topic(slug: TopicSlug, session: ReadSession, response: Response) -> TopicDetail:
    """A topic with its overview and its maintainers."""
    topic = await queries.read_topic(session, slug)
    set_version(response, topic.version)
    return topic


@topics.patch("/{slug}", summary="Change a topic")
async def update_topic(
    slug: TopicSlug,
    form: TopicUpdate,
    actor: TopicEditor,
    if_match: IfMatch,
    session: Session,
    response: Response,
) -> TopicDetail:
    """Rename, describe or move a topic; posts stay with it."""
    topic = await service.update_topic(session, actor, slug, form, if_match)
    set_version(response, topic.version)
    return await queries.read_topic(session, topic.slug)


@topics.delete("/{slug}", summary="Delete an empty topic", status_code=204)
async def delete_topic(
    slug: TopicSlug, actor: TopicEditor, if_match: IfMatch, session: Session
) -> None:
    """Answers 409 while the topic has sub-topics or posts."""
    await service.delete_topic(session, actor, slug, if_match)


@topics.put("/{slug}/maintainers/{username}", summary="Appoint a maintainer", status_code=204)
async def add_maintainer(
    slug: TopicSlug, username: Person, actor: TopicEditor, session: Session
) -> None:
    """A maintainer reviews the contributions of a topic and of its sub-topics."""
    await service.add_maintainer(session, actor, slug, username)


@topics.delete("/{slug}/maintainers/{username}", summary="Dismiss a maintainer", status_code=204)
async def remove_maintainer(
    slug: TopicSlug, username: Person, actor: TopicEditor, session: Session
) -> None:
    """Answers 204 too when the person was no maintainer."""
    await service.remove_maintainer(session, actor, slug, username)


@tags.get("", summary="List tags")
async def list_tags(
    session: ReadSession,
    page: Paging,
    prefix: Annotated[
        str | None,
        Query(min_length=1, max_length=40, description="Begins with; synonyms count."),
    ] = None,
) -> Page[TagRead]:
    """Tags by name, with the number of posts that carry each."""
    return await queries.list_tags(session, prefix, page)


@tags.get("/{name}", summary="Read a tag")
async def read_tag(name: TagPath, session: ReadSession, response: Response) -> TagRead:
    """A tag by its name or by one of its synonyms."""
    tag = await queries.read_tag(session, name)
    set_version(response, tag.version)
    return tag


@tags.patch("/{name}", summary="Change a tag")
async def update_tag(
    name: TagPath,
    form: TagUpdate,
    actor: TopicEditor,
    if_match: IfMatch,
    session: Session,
    response: Response,
) -> TagRead:
    """Describe a tag, or name its synonyms: whoever writes a synonym gets the tag."""
    await service.update_tag(session, actor, name, form, if_match)
    tag = await queries.read_tag(session, name)
    set_version(response, tag.version)
    return tag

"""What every kind of post shares, over HTTP."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from backend_hub.auth.dependencies import Member, Once, SignedIn, Viewer
from backend_hub.http.cursors import Page, PageParams
from backend_hub.http.etag import IfMatch, set_version
from backend_hub.http.paging import Paging
from backend_hub.http.ready import answer
from backend_hub.http.routing import hub_router
from backend_hub.http.schemas import Username
from backend_hub.http.sessions import NewestReads, ReadSession, Session, Writes, get_database
from backend_hub.posts import activity, queries, service, streams, voting
from backend_hub.posts import comments as remarks
from backend_hub.posts.models import PostKind
from backend_hub.posts.schemas import (
    BookmarkRead,
    CommentCreate,
    CommentRead,
    CommentUpdate,
    ContributorRead,
    DiffRead,
    EventPage,
    PostRef,
    RevisionDetail,
    RevisionNumber,
    RevisionRead,
    VoteRead,
    VoteUpdate,
)

router = hub_router("/posts", "posts")
comments = hub_router("/comments", "posts")
people = hub_router("/users", "users")
bookmarks = hub_router("/bookmarks", "posts")
events = hub_router("/events", "events")

Number = Annotated[RevisionNumber, Path(examples=[1])]
AfterEvent = Annotated[
    str | None,
    Query(
        max_length=1_000,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="The `next_cursor` of the page before; absent: from the beginning.",
    ),
]
EventType = Annotated[
    str | None,
    Query(
        alias="type",
        max_length=60,
        pattern=r"^[a-z_.]+$",
        description="Begins with: `answer.` or `answer.accepted`.",
    ),
]


@router.get("/{post_id}", summary="Find a post of any kind")
async def read_post(post_id: UUID, session: ReadSession, actor: Viewer) -> PostRef:
    """What the post is, and where the whole of it is (`href`)."""
    return await queries.read_post_ref(session, actor, post_id)


@router.put("/{post_id}/vote", summary="Vote", response_model=VoteRead)
async def vote(post_id: UUID, form: VoteUpdate, actor: Member, writer: Writes) -> Response:
    """Up, down or none; your latest vote counts, and never on your own post."""
    return answer(await voting.vote(writer, actor, post_id, form))


@router.put("/{post_id}/bookmark", summary="Bookmark")
async def add_bookmark(post_id: UUID, actor: Member, session: Session) -> BookmarkRead:
    """Keep the post in your list; only you see it."""
    await service.add_bookmark(session, actor, post_id)
    return BookmarkRead(bookmarked=True)


@router.delete("/{post_id}/bookmark", summary="Remove a bookmark", status_code=204)
async def remove_bookmark(post_id: UUID, actor: Member, session: Session) -> None:
    """Answers 204 too when there was none."""
    await service.remove_bookmark(session, actor, post_id)


@bookmarks.get("", summary="List your bookmarks")
async def list_bookmarks(session: ReadSession, actor: SignedIn, page: Paging) -> Page[PostRef]:
    """What you bookmarked, the newest bookmark first."""
    return await queries.list_bookmarks(session, actor, page)


@router.get("/{post_id}/comments", summary="List comments")
async def list_comments(
    post_id: UUID, session: ReadSession, actor: Viewer, page: Paging
) -> Page[CommentRead]:
    """The comments under a post, the oldest first."""
    await service.require_visible(session, actor, post_id)
    return await queries.list_comments(session, post_id, page)


@router.post("/{post_id}/comments", summary="Comment", status_code=201)
async def create_comment(
    post_id: UUID,
    form: CommentCreate,
    actor: Member,
    session: Session,
    response: Response,
    _once: Once,
) -> CommentRead:
    """A short remark under a resource, a question, an answer or a contribution."""
    comment = await remarks.create_comment(session, actor, post_id, form)
    response.headers["Location"] = f"/api/v1/comments/{comment.id}"
    set_version(response, comment.version)
    return await queries.read_comment(session, actor, comment.id)


@comments.get("/{comment_id}", summary="Read a comment")
async def read_comment(
    comment_id: UUID, session: ReadSession, actor: Viewer, response: Response
) -> CommentRead:
    """One comment, with the ETag that changing it takes."""
    comment = await queries.read_comment(session, actor, comment_id)
    set_version(response, comment.version)
    return comment


@comments.patch("/{comment_id}", summary="Change a comment")
async def update_comment(
    comment_id: UUID,
    form: CommentUpdate,
    actor: Member,
    if_match: IfMatch,
    session: Session,
    response: Response,
) -> CommentRead:
    """By its author, or by a moderator."""
    comment = await remarks.update_comment(session, actor, comment_id, form, if_match)
    set_version(response, comment.version)
    return await queries.read_comment(session, actor, comment_id)


@comments.delete("/{comment_id}", summary="Delete a comment", status_code=204)
async def delete_comment(
    comment_id: UUID, actor: Member, if_match: IfMatch, session: Session
) -> None:
    """By its author, or by a moderator."""
    await remarks.delete_comment(session, actor, comment_id, if_match)


@router.get("/{post_id}/revisions", summary="List revisions")
async def list_revisions(
    post_id: UUID, session: ReadSession, actor: Viewer, page: Paging
) -> Page[RevisionRead]:
    """Every edit, the latest first: who, when, why, and who reviewed it."""
    await service.require_visible(session, actor, post_id)
    return await queries.list_revisions(session, post_id, page)


@router.get("/{post_id}/revisions/{number}", summary="Read a revision")
async def read_revision(
    post_id: UUID, number: Number, session: ReadSession, actor: Viewer
) -> RevisionDetail:
    """The full content of the post as it was after one edit."""
    await service.require_visible(session, actor, post_id)
    return await queries.read_revision(session, post_id, number)


@router.get("/{post_id}/diff", summary="Compare two revisions")
async def diff_revisions(
    post_id: UUID,
    session: ReadSession,
    actor: Viewer,
    from_revision: Annotated[RevisionNumber, Query(alias="from", examples=[1])],
    to_revision: Annotated[RevisionNumber, Query(alias="to", examples=[1])],
) -> DiffRead:
    """What changed between any two revisions, field by field."""
    await service.require_visible(session, actor, post_id)
    return await service.diff_revisions(session, post_id, from_revision, to_revision)


@router.get("/{post_id}/contributors", summary="List contributors")
async def list_contributors(
    post_id: UUID, session: ReadSession, actor: Viewer, page: Paging
) -> Page[ContributorRead]:
    """Everyone whose edits or reviews are in the post."""
    await service.require_visible(session, actor, post_id)
    return await queries.list_contributors(session, post_id, page)


@people.get("/{username}/posts", summary="List somebody's posts")
async def list_posts_by(
    username: Annotated[Username, Path(examples=["demo"])],
    session: ReadSession,
    actor: Viewer,
    page: Paging,
    kind: Annotated[PostKind | None, Query(description="Only posts of this kind.")] = None,
) -> Page[PostRef]:
    """What a person wrote, the newest first."""
    return await queries.list_posts_by(session, actor, username, kind, page)


@events.get("", summary="Follow what happens")
async def list_events(
    session: NewestReads,
    actor: Viewer,
    limit: Annotated[int, Query(ge=1, le=100, description="Events a page.")] = 20,
    after: AfterEvent = None,
    prefix: EventType = None,
) -> EventPage:
    """The log of every change that you may see, the oldest first. Poll with `after`."""
    return await activity.list_events(session, actor, prefix, PageParams(limit, after))


async def _start(
    request: Request,
    after: AfterEvent = None,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            max_length=1_000,
            description="Sent by browsers that come back: go on after it.",
            examples=[activity.BEGINNING],
        ),
    ] = None,
) -> str:
    """Where a stream begins; raises Unprocessable before its first byte."""
    if (known := last_event_id or after) is not None:
        activity.read_cursor(known)
        return known
    return await streams.newest_position(get_database(request))


@events.get("/stream", summary="Stream what happens", response_class=EventSourceResponse)
async def stream_events(
    request: Request,
    actor: Viewer,
    start: Annotated[str, Depends(_start)],
    prefix: EventType = None,
    seconds: Annotated[
        int,
        Query(
            ge=0,
            le=300,
            description="Then the stream ends; clients come back by themselves.",
            examples=[0],
        ),
    ] = 300,
) -> AsyncIterator[ServerSentEvent]:
    """Every change that you may see, as server-sent events while they happen.

    From now on, or after the `Last-Event-ID` or `after` that you have; with `seconds=0` what
    there is, and no more. `event` is the type, `data` an `EventRead`. The stream ends when your
    sign-in does.
    """
    yield ServerSentEvent(retry=2_000)
    async for cursor, event in streams.follow(
        request.app.state.bell, actor, prefix, start, seconds
    ):
        yield ServerSentEvent(event=event.type, id=cursor, raw_data=event.model_dump_json())

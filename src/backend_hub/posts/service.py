"""What can be done to every post: write, edit, delete, restore, bookmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, literal, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession, Writer, new_id, utcnow
from backend_hub.errors import Conflict, Forbidden, NotFound
from backend_hub.events.service import event_row, record
from backend_hub.http.etag import require_version
from backend_hub.http.markdown import render_markdown
from backend_hub.inserting import Row, insert_together
from backend_hub.posts.content import PostContent, TextContent
from backend_hub.posts.diffs import diff
from backend_hub.posts.fulltext import (
    SEARCH_VECTOR,
    configuration_for,
    search_words,
    vector_of,
)
from backend_hub.posts.models import Bookmark, Post, PostKind, PostTag, Revision
from backend_hub.posts.schemas import DiffRead
from backend_hub.posts.visibility import reachable, visible
from backend_hub.statements import Row as FoundRow
from backend_hub.topics.service import Tags, find_topic_slug, place, topic_exists


class NotDeleted(Conflict):
    code, title = "not_deleted", "It was not deleted"


@dataclass(frozen=True)
class Credit:
    """Whose work a revision is, and, for a merged contribution, who approved it."""

    editor_id: UUID
    reviewer_id: UUID | None = None
    contribution_id: UUID | None = None


def for_change(statement: Any) -> Any:
    """Lock the rows found until the transaction ends.

    `FOR NO KEY UPDATE`, not `FOR UPDATE`: the latter conflicts with the foreign key of every
    comment and vote that is being written, and two of those with one of these are a deadlock.
    """
    return statement.with_for_update(key_share=True)


async def require_visible(session: AsyncSession, actor: Actor | None, post_id: UUID) -> None:
    """Raise NotFound unless the actor may see the post; reads nothing of its text."""
    found = await session.exec(select(Post.id).where(Post.id == post_id, visible(actor)))
    if found.first() is None:
        raise NotFound("There is no such post")


async def lock_post(session: AsyncSession, actor: Actor, post_id: UUID, kind: PostKind) -> Post:
    """The post of that kind, locked for a change, deleted ones too where the actor may restore."""
    statement = select(Post).where(Post.id == post_id, Post.kind == kind, reachable(actor))
    post: Post | None = (await session.exec(for_change(statement))).first()
    if post is None:
        raise NotFound(f"There is no such {kind}")
    return post


def require_author(post: Post, actor: Actor) -> None:
    """Raise Forbidden unless the actor wrote the post or moderates."""
    if post.author_id != actor.id and not actor.moderates:
        raise Forbidden("Only its author may do this")


@dataclass(frozen=True)
class NewPost:
    """A post that is yet to be written, with its first revision and whatever else belongs to it."""

    columns: dict[str, Any]
    rows: list[Row]
    search: dict[str, str]
    """The parameters of SEARCH_VECTOR."""

    async def write(
        self,
        writer: Writer,
        values: Mapping[str, Any] | None = None,
        *,
        reading: Select[Any] | None = None,
        kept_in: Any = None,
    ) -> Sequence[FoundRow]:
        """Write all of it at once, and read it (`insert_together`); `values` are for reading."""
        rows: list[Row] = [(Post, self.columns), *self.rows]
        computed = {Post.search: SEARCH_VECTOR}
        values = {**self.search, **(values or {})}
        return await insert_together(
            writer, rows, computed, values, reading=reading, kept_in=kept_in
        )


async def new_post(
    writer: Writer,
    author_id: UUID,
    kind: PostKind,
    content: TextContent,
    *,
    post_id: UUID | None = None,
    rows: Sequence[Row] = (),
    summary: str = "",
    credit: Credit | None = None,
    **columns: Any,
) -> NewPost:
    """A post, its first revision, and further rows, such as that of its kind."""
    text = await _text_of(writer, content)
    post_id = post_id or new_id()
    post = {
        "id": post_id,
        "kind": kind,
        "author_id": author_id,
        "title": "",
        "revision": 1,
        "version": 1,
        "score": 0,
        "comment_count": 0,
        "draft": False,
        "parent_deleted": False,
        "created_at": text.columns["updated_at"],
        **columns,
        **text.columns,
    }
    further = [
        *(*rows, *text.tag_rows(post_id)),
        text.revision_row(post_id, 1, credit or Credit(editor_id=author_id), summary),
        event_row(f"{kind}.created", actor_id=author_id, subject_id=post_id, post_id=post_id),
    ]
    return NewPost(post, further, text.search_words())


async def create_post(
    writer: Writer, author_id: UUID, kind: PostKind, content: TextContent, **fields: Any
) -> Post:
    """Write a post; `fields` are those of `new_post`.

    The session does not know the post that is returned: a change of it would not be written.
    """
    new = await new_post(writer, author_id, kind, content, **fields)
    await new.write(writer)
    return Post(**new.columns)


async def write_revision(
    session: AsyncSession,
    post: Post,
    content: TextContent,
    credit: Credit,
    *,
    summary: str,
) -> None:
    """Make `content` the post's text, as a new revision; the row must be locked."""
    text = await _text_of(session, content)
    for name, value in text.columns.items():
        setattr(post, name, value)
    post.revision += 1
    post.version += 1
    vector: Any = vector_of(*(literal(word) for word in text.search_words().values()))
    post.search = vector  # an SQL expression, run on flush
    await session.execute(delete(PostTag).where(col(PostTag.post_id) == post.id))
    rows = [*text.tag_rows(post.id), text.revision_row(post.id, post.revision, credit, summary)]
    session.add_all(model(**fields) for model, fields in rows)
    await session.flush()


@dataclass(frozen=True)
class _Text:
    """The text of a revision, and what follows from it."""

    content: TextContent
    columns: dict[str, Any]
    """Of the post's row."""
    tags: Tags

    def search_words(self) -> dict[str, str]:
        names = [name for _, name in self.tags]
        post = self.columns
        return search_words(post["search_config"], post.get("title", ""), names, post["body"])

    def tag_rows(self, post_id: UUID) -> list[Row]:
        return [
            (PostTag, {"post_id": post_id, "tag_id": tag_id, "position": position})
            for position, (tag_id, _) in enumerate(self.tags)
        ]

    def revision_row(self, post_id: UUID, number: int, credit: Credit, summary: str) -> Row:
        """Synonyms of tags are replaced in it."""
        content = self.content.model_dump(mode="json")
        if isinstance(self.content, PostContent):
            content["tags"] = [name for _, name in self.tags]
        fields = {
            "post_id": post_id,
            "number": number,
            "editor_id": credit.editor_id,
            "reviewer_id": credit.reviewer_id,
            "contribution_id": credit.contribution_id,
            "summary": summary,
            "content": content,
            "created_at": self.columns["updated_at"],
        }
        return Revision, fields


async def _text_of(writer: Writer, content: TextContent) -> _Text:
    now = utcnow()
    columns = {
        "body": content.body,
        "body_html": await render_markdown(content.body),
        "language": content.language,
        "license": content.license,
        "search_config": configuration_for(content.language),
        "updated_at": now,
        "last_activity_at": now,
    }
    tags: Tags = []
    if isinstance(content, PostContent):
        topic_id, tags = await place(writer, content.topic, content.tags)
        columns |= {"title": content.title, "topic_id": topic_id}
    return _Text(content, columns, tags)


async def edit_post(
    session: AsyncSession,
    actor: Actor,
    post: Post,
    content: TextContent,
    *,
    summary: str,
    credit: Credit | None = None,
) -> None:
    """Write a revision and tell of it; who may edit is the caller's to check."""
    credit = credit or Credit(editor_id=actor.id)
    await write_revision(session, post, content, credit, summary=summary)
    record(
        session,
        f"{post.kind}.edited",
        actor_id=actor.id,
        subject_id=post.id,
        post_id=post.id,
        revision=post.revision,
    )


async def get_revision(session: AsyncSession, post_id: UUID, number: int) -> Revision:
    """One revision; raises NotFound."""
    revision = await session.get(Revision, (post_id, number))
    if revision is None:
        raise NotFound(f"There is no revision {number}")
    return revision


async def revision_content(session: AsyncSession, post: Post, number: int) -> dict[str, Any]:
    """The content of a revision as it may be written again; raises NotFound.

    Topics are renamed and deleted: the post's own stands for the latest revision's, and for an
    earlier one's that is gone.
    """
    content = (await get_revision(session, post.id, number)).content
    if "topic" not in content:
        return content
    now = await find_topic_slug(session, post.topic_id)
    then = content["topic"]
    kept = number != post.revision and (then is None or await topic_exists(session, then))
    return content if kept else {**content, "topic": now}


async def diff_revisions(
    session: AsyncSession, post_id: UUID, from_revision: int, to_revision: int
) -> DiffRead:
    """How a post's content differs between two revisions; raises NotFound."""
    before = await get_revision(session, post_id, from_revision)
    after = await get_revision(session, post_id, to_revision)
    fields = await diff(before.content, after.content)
    return DiffRead(from_revision=from_revision, to_revision=to_revision, fields=fields)


async def delete_post(session: AsyncSession, actor: Actor, post: Post, if_match: str) -> None:
    """Hide a post; its author and moderators can bring it back."""
    require_author(post, actor)
    if post.deleted_at is not None:
        raise NotFound(f"There is no such {post.kind}")
    require_version(if_match, post.version)
    await _mark_deleted(session, actor, post, deleted=True)


async def restore_post(session: AsyncSession, actor: Actor, post: Post) -> None:
    """Undo a deletion; what a moderator deleted only moderators bring back."""
    require_author(post, actor)
    if post.deleted_at is None:
        raise NotDeleted
    if post.deleted_by_id != actor.id and not actor.moderates:
        raise Forbidden("A moderator deleted it: only a moderator can restore it")
    await _mark_deleted(session, actor, post, deleted=False)


async def _mark_deleted(session: AsyncSession, actor: Actor, post: Post, *, deleted: bool) -> None:
    post.deleted_at = utcnow() if deleted else None
    post.deleted_by_id = actor.id if deleted else None
    post.version += 1
    await session.execute(
        update(Post).where(col(Post.parent_id) == post.id).values(parent_deleted=deleted)
    )
    verb = "deleted" if deleted else "restored"
    record(
        session,
        f"{post.kind}.{verb}",
        actor_id=actor.id,
        subject_id=post.id,
        post_id=post.id,
        private=True,
    )
    await session.flush()


async def add_bookmark(session: AsyncSession, actor: Actor, post_id: UUID) -> None:
    await require_visible(session, actor, post_id)
    row = {"post_id": post_id, "user_id": actor.id, "created_at": utcnow()}
    await session.execute(insert(Bookmark).values(row).on_conflict_do_nothing())


async def remove_bookmark(session: AsyncSession, actor: Actor, post_id: UUID) -> None:
    await session.execute(
        delete(Bookmark).where(col(Bookmark.post_id) == post_id, col(Bookmark.user_id) == actor.id)
    )

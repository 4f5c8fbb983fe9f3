"""What all posts show on the wire."""

from typing import Annotated, Any, Literal

from pydantic import Field

from backend_hub.http.schemas import (
    Count,
    Html,
    Id,
    Language,
    License,
    Markdown,
    Moment,
    Number,
    ReadModel,
    Slug,
    TagName,
    Username,
    Version,
    WriteModel,
)
from backend_hub.posts.content import MAX_TAGS
from backend_hub.posts.models import PostKind

RevisionNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]
CommentBody = Annotated[Markdown, Field(max_length=2_000)]


class Author(ReadModel):
    """Who wrote it."""

    id: Id
    username: Username
    display_name: str = Field(max_length=80)


class TopicRef(ReadModel):
    slug: Slug
    name: str = Field(max_length=120)


class PostRead(ReadModel):
    """What every post shows in a list."""

    id: Id
    author: Author
    language: Language
    license: License
    score: Number
    comment_count: Count
    revision: RevisionNumber
    version: Version
    created_at: Moment
    updated_at: Moment
    last_activity_at: Moment


class TitledPostRead(PostRead):
    title: str = Field(max_length=200)
    topic: TopicRef | None
    tags: list[TagName] = Field(max_length=MAX_TAGS)


class ViewerState(ReadModel):
    """What the signed-in reader did with the post; null for everyone else."""

    vote: Literal[-1, 0, 1]
    bookmarked: bool


class PostText(ReadModel):
    """What a post shows on its own page, beside what it shows in a list."""

    body: str = Field(max_length=60_000)
    body_html: Html
    deleted_at: Moment | None
    viewer: ViewerState | None


class PostRef(ReadModel):
    """Any post, in the few words that a list of mixed posts needs."""

    id: Id
    kind: PostKind
    title: str = Field(max_length=200, description="An answer shows its question's title.")
    href: str = Field(max_length=200, description="Where the whole post is.")
    author: Author
    score: Number
    created_at: Moment
    last_activity_at: Moment


class VoteUpdate(WriteModel):
    """1 up, -1 down, 0 takes the vote back."""

    value: Annotated[Literal[-1, 0, 1], Field(examples=[1])]


class VoteRead(ReadModel):
    value: Literal[-1, 0, 1]
    score: Number


class BookmarkRead(ReadModel):
    bookmarked: Literal[True]


class CommentCreate(WriteModel):
    body: CommentBody


class CommentUpdate(WriteModel):
    body: CommentBody


class CommentRead(ReadModel):
    id: Id
    post_id: Id
    author: Author
    body: str = Field(max_length=2_000)
    body_html: Html
    version: Version
    created_at: Moment
    updated_at: Moment


class RevisionRead(ReadModel):
    """One edit, without its text."""

    number: RevisionNumber
    editor: Author
    reviewer: Author | None
    contribution_id: Id | None
    summary: str = Field(max_length=300)
    created_at: Moment


class RevisionDetail(RevisionRead):
    """One edit with the full content after it."""

    content: dict[str, Any] = Field(
        description="The post's content as its PATCH takes it: title, body, tags and so on."
    )


class FieldDiff(ReadModel):
    """How one field differs."""

    field: str = Field(max_length=200, description="A name, `files/<name>` or `proposal/<name>`.")
    before: str | None = Field(max_length=1_000_000)
    after: str | None = Field(max_length=1_000_000)
    unified: str = Field(max_length=2_000_000, description="In the form of `diff -u`.")


class DiffRead(ReadModel):
    """The difference between two revisions of a post."""

    from_revision: RevisionNumber
    to_revision: RevisionNumber
    fields: list[FieldDiff] = Field(max_length=200)


class ContributorRead(ReadModel):
    """Somebody whose work is in the post."""

    user: Author
    edits: Count
    reviews: Count


class EventRead(ReadModel):
    """Something that happened."""

    id: str = Field(max_length=20)
    type: str = Field(max_length=60, examples=["answer.accepted"])
    actor: Author | None
    post_id: Id | None
    subject_id: str = Field(max_length=120)
    data: dict[str, Any]
    created_at: Moment


class EventPage(ReadModel):
    """Events in the order in which they became visible."""

    items: list[EventRead] = Field(max_length=100)
    next_cursor: str = Field(
        max_length=1_000, description="Send it as `after`; never null, for more will happen."
    )

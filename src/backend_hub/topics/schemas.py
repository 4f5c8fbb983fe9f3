"""Topics and tags on the wire."""

from typing import Annotated

from pydantic import Field

from backend_hub.http.schemas import (
    UNSET,
    Count,
    Html,
    Id,
    NotBoolean,
    PatchModel,
    ReadModel,
    Slug,
    TagName,
    Username,
    Version,
    WriteModel,
)

TopicName = Annotated[str, Field(min_length=1, max_length=120, pattern=r"\S")]
Position = Annotated[int, NotBoolean, Field(ge=0, le=100_000)]
Description = Annotated[str, Field(max_length=500)]
Overview = Annotated[str, Field(max_length=60_000, description="Markdown.")]


class TopicCreate(WriteModel):
    """A new topic; without a parent it is a top topic."""

    slug: Annotated[Slug, Field(examples=["vector-databases"])]
    name: Annotated[TopicName, Field(examples=["Vector databases"])]
    parent: Annotated[Slug | None, Field(examples=["databases"])] = None
    description: Description = ""
    overview: Overview = ""
    position: Position = 0


class TopicUpdate(PatchModel):
    """What of a topic may change."""

    slug: Slug = UNSET
    name: TopicName = UNSET
    parent: Annotated[Slug | None, Field(description="null makes it a top topic.")] = UNSET
    description: Annotated[Description, Field(examples=["Where data is kept."])] = UNSET
    overview: Overview = UNSET
    position: Position = UNSET


class TopicRead(ReadModel):
    """A topic in the tree; the counts include its sub-topics."""

    id: Id
    slug: Slug
    name: TopicName
    parent: Slug | None
    description: Description
    position: Position
    depth: int = Field(ge=0, le=20)
    resource_count: Count
    question_count: Count
    version: Version


class TopicDetail(TopicRead):
    overview: str = Field(max_length=60_000)
    overview_html: Html
    maintainers: list[Username] = Field(max_length=1_000)


class TagRead(ReadModel):
    id: Id
    name: TagName
    description: Description
    synonyms: list[TagName] = Field(max_length=200)
    post_count: Count
    version: Version


class TagUpdate(PatchModel):
    """What of a tag may change."""

    description: Annotated[Description, Field(examples=["A language."])] = UNSET
    synonyms: Annotated[
        list[TagName], Field(max_length=50, description="Replaces the whole list.")
    ] = UNSET

"""Search results on the wire."""

from typing import Literal

from pydantic import Field

from backend_hub.http.cursors import Page
from backend_hub.http.schemas import Count, Id, Moment, Number, ReadModel, TagName
from backend_hub.posts.content import MAX_TAGS
from backend_hub.posts.schemas import Author, TopicRef
from backend_hub.resources.models import ResourceKind

MAX_COUNTED = 10_000
"""Matches that facets are counted over."""
TOP_VALUES = 10


class SearchHit(ReadModel):
    """A post that matches; an answer shows the title, topic and tags of its question."""

    id: Id
    kind: Literal["resource", "question", "answer"]
    resource_kind: ResourceKind | None
    question_id: Id | None = Field(description="Of an answer.")
    title: str = Field(max_length=200, description="Plain text.")
    title_highlighted: str = Field(
        max_length=10_000, description="HTML: escaped, with the words that match in `<mark>`."
    )
    snippet: str = Field(
        max_length=10_000,
        description="HTML: the parts of the text that match best, escaped, with `<mark>`.",
    )
    href: str = Field(max_length=200, description="Where the whole post is.")
    author: Author
    topic: TopicRef | None
    tags: list[TagName] = Field(max_length=MAX_TAGS)
    score: Number
    accepted: bool = Field(description="An accepted answer, or a question that has one.")
    created_at: Moment
    rank: float = Field(
        ge=0, le=1, description="How well it matches: more is better; 0 without words."
    )


class FacetValue(ReadModel):
    """How many matches have a value; it can be searched for with the facet's qualifier."""

    value: str = Field(max_length=120)
    count: Count


class Facets(ReadModel):
    """The most frequent values among the matches."""

    kind: list[FacetValue] = Field(max_length=TOP_VALUES)
    topic: list[FacetValue] = Field(max_length=TOP_VALUES, description="Slugs of topics.")
    tag: list[FacetValue] = Field(max_length=TOP_VALUES)
    exact: bool = Field(
        description=f"false: there are {MAX_COUNTED:,} matches or more, and so many were counted."
    )


class SearchPage(Page[SearchHit]):
    """Some of the matches."""

    facets: Facets | None = Field(
        description="Only on the first page, unless `facets=false`; null on the others."
    )

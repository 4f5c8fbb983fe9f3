"""Contributions and reviews on the wire."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from backend_hub.contributions.models import ContributionState, Decision
from backend_hub.http.schemas import (
    UNSET,
    Html,
    Id,
    Language,
    License,
    Markdown,
    Moment,
    NotBoolean,
    PatchModel,
    ReadModel,
    Slug,
    TagName,
    Title,
    WriteModel,
)
from backend_hub.posts.content import MAX_TAGS, Summary, TextContent
from backend_hub.posts.schemas import (
    Author,
    FieldDiff,
    PostRead,
    PostText,
    RevisionNumber,
    TopicRef,
)
from backend_hub.resources.models import Difficulty, Level, LinkType, ResourceKind
from backend_hub.resources.schemas import (
    MAX_FILES,
    MilestoneRead,
    Output,
    ProgrammingLanguage,
    ResourceChanges,
    ResourceContent,
    Run,
    ShortText,
    SourceFileRead,
)
from backend_hub.resources.urls import MAX_URL_LENGTH

MAX_REVIEWS = 100
"""Reviews shown on a contribution's own page; all of them are at `/reviews`."""


class ContributionContent(TextContent):
    """What a revision of a contribution keeps: the explanation, and all that is proposed."""

    title: Title
    base_revision: RevisionNumber | None
    proposal: ResourceContent


class ContributionCreate(TextContent):
    """A new resource (`proposal`), or a change to one (`resource_id`, and one of the two texts)."""

    title: Title
    resource_id: Annotated[Id | None, Field(description="To change; null proposes a new one.")] = (
        None
    )
    base_revision: Annotated[
        Annotated[RevisionNumber, NotBoolean] | None,
        Field(description="The resource's revision that you read; null takes the latest."),
    ] = None
    proposal: Annotated[
        ResourceContent | None, Field(description="The whole resource as it should be.")
    ] = None
    changes: Annotated[
        ResourceChanges | None,
        Field(description="Instead of `proposal`: a merge patch of the base revision."),
    ] = None

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        if (self.proposal is None) == (self.changes is None):
            raise ValueError("send either proposal or changes")
        if self.resource_id is None and (self.changes or self.base_revision):
            raise ValueError("changes and base_revision need resource_id")
        return self


class ContributionUpdate(PatchModel):
    """An edit by the proposer; with `base_revision` the proposal moves to that revision."""

    title: Title = UNSET
    body: Markdown = UNSET
    language: Language = UNSET
    license: License = UNSET
    base_revision: Annotated[
        Annotated[RevisionNumber, NotBoolean],
        Field(description="Of the resource; needs the `proposal` that is based on it."),
    ] = UNSET
    proposal: Annotated[ResourceContent, Field(description="Replaces the whole proposal.")] = UNSET
    patch: Annotated[
        ResourceChanges,
        Field(
            alias="changes",
            description="Instead of `proposal`: a merge patch of the proposal as it stands.",
        ),
    ] = UNSET
    summary: Summary = UNSET

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        sent = self.model_fields_set
        if not sent - {"summary"}:
            raise ValueError("there is nothing to change")
        if {"proposal", "patch"} <= sent:
            raise ValueError("send either proposal or changes")
        if "base_revision" in sent and "proposal" not in sent:
            raise ValueError("base_revision needs the proposal that is based on it")
        return self


class ReviewCreate(WriteModel):
    """A decision; asking for changes and rejecting need a reason."""

    decision: Decision
    body: Annotated[str, Field(max_length=20_000, description="Markdown (CommonMark).")] = ""

    @model_validator(mode="after")
    def _has_a_reason(self) -> Self:
        if self.decision is not Decision.approve and not self.body.strip():
            raise ValueError("say in body why")
        return self


class ReviewRead(ReadModel):
    """One reviewer's word on the contribution as it then stood."""

    id: Id
    reviewer: Author
    contribution_revision: RevisionNumber
    decision: Decision
    body: str = Field(max_length=20_000)
    body_html: Html
    created_at: Moment


class ContributionSummary(PostRead):
    """A contribution in a list."""

    title: str = Field(max_length=200)
    topic: TopicRef | None
    state: ContributionState
    kind: ResourceKind
    resource_id: Id | None
    base_revision: RevisionNumber | None
    submitted_at: Moment | None
    decided_at: Moment | None
    merged_at: Moment | None


class _ProposalRead(ReadModel):
    title: str = Field(max_length=200)
    body: str = Field(max_length=60_000)
    language: Language
    license: License
    topic: Slug | None
    tags: list[TagName] = Field(max_length=MAX_TAGS)
    level: Level | None


class LinkProposal(_ProposalRead):
    kind: Literal["link"]
    url: str = Field(max_length=MAX_URL_LENGTH)
    link_type: LinkType


class CodeSampleProposal(_ProposalRead):
    kind: Literal["code_sample"]
    programming_language: ProgrammingLanguage
    files: list[SourceFileRead] = Field(max_length=MAX_FILES)
    run: Run
    expected_output: Output


class ProjectProposal(_ProposalRead):
    kind: Literal["project"]
    difficulty: Difficulty
    estimated_hours: int = Field(ge=1, le=2_000)
    milestones: list[MilestoneRead] = Field(max_length=20)
    acceptance_criteria: list[ShortText] = Field(max_length=30)


ProposalRead = Annotated[
    LinkProposal | CodeSampleProposal | ProjectProposal, Field(discriminator="kind")
]


class ContributionRead(ContributionSummary, PostText):
    """A contribution with the resource it proposes, and its reviews."""

    proposal: ProposalRead
    merged_revision: RevisionNumber | None = Field(
        description="The revision of the resource that the merge wrote."
    )
    merged_by: Author | None
    reviews: list[ReviewRead] = Field(
        max_length=MAX_REVIEWS, description="The latest hundred, the oldest of them first."
    )


class ContributionDiff(ReadModel):
    """What the proposal changes in its base revision; a new resource differs from nothing."""

    base_revision: RevisionNumber | None
    current_revision: RevisionNumber | None = Field(
        description="Of the resource; another one than the base means that it moved on."
    )
    fields: list[FieldDiff] = Field(max_length=200)

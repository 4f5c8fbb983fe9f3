"""Links, code samples and projects on the wire."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from backend_hub.http.schemas import (
    UNSET,
    Language,
    License,
    Markdown,
    NotBoolean,
    PatchModel,
    ReadModel,
    Slug,
    Title,
    WriteModel,
)
from backend_hub.posts.content import PostContent, Summary, Tags
from backend_hub.posts.schemas import PostText, TitledPostRead
from backend_hub.resources.models import Difficulty, Level, LinkType, ResourceKind
from backend_hub.resources.urls import MAX_URL_LENGTH, normalize_url

MAX_FILES = 20
MAX_SAMPLE_BYTES = 200_000

Url = Annotated[
    str,
    Field(
        min_length=8,
        max_length=MAX_URL_LENGTH,
        pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://\S+$",
        description="http or https; kept in normalised form, and unique in the hub.",
        examples=["https://docs.python.org/3/tutorial/"],
    ),
    AfterValidator(normalize_url),
]
FileName = Annotated[
    str,
    Field(min_length=1, max_length=100, pattern=r"^\.?[A-Za-z0-9_][A-Za-z0-9._-]*$"),
]
ProgrammingLanguage = Annotated[
    str, Field(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9+#.-]*$", examples=["python"])
]
ShortText = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
Run = Annotated[str, Field(min_length=1, max_length=2_000, description="How to run it.")]
Output = Annotated[str, Field(max_length=20_000, description="What it prints.")]
Hours = Annotated[int, NotBoolean, Field(ge=1, le=2_000)]


class SourceFile(WriteModel):
    """A file of a code sample."""

    name: FileName
    content: Annotated[str, Field(max_length=60_000)]


class Milestone(WriteModel):
    """A step of a project that stands on its own."""

    title: ShortText
    description: Annotated[str, Field(max_length=2_000)] = ""


def _distinct_names(files: list[SourceFile]) -> list[SourceFile]:
    if len({file.name.lower() for file in files}) < len(files):
        raise ValueError("two files have the same name")
    if sum(len(file.content.encode("utf-8", "replace")) for file in files) > MAX_SAMPLE_BYTES:
        raise ValueError(f"the files together must be under {MAX_SAMPLE_BYTES} bytes")
    return files


Files = Annotated[
    list[SourceFile],
    Field(min_length=1, max_length=MAX_FILES),
    AfterValidator(_distinct_names),
]
Milestones = Annotated[list[Milestone], Field(min_length=1, max_length=20)]
Criteria = Annotated[list[ShortText], Field(min_length=1, max_length=30)]


class _ResourceContent(PostContent):
    level: Level | None = None


class LinkContent(_ResourceContent):
    """Something worth reading, watching or using elsewhere."""

    kind: Literal["link"]
    url: Url
    link_type: LinkType


class CodeSampleContent(_ResourceContent):
    """Code that runs: one or more files, and what they print."""

    kind: Literal["code_sample"]
    programming_language: ProgrammingLanguage
    files: Files
    run: Run
    expected_output: Output = ""


class ProjectContent(_ResourceContent):
    """Something to build: a brief, milestones, and when it is done."""

    kind: Literal["project"]
    difficulty: Difficulty
    estimated_hours: Hours
    milestones: Milestones
    acceptance_criteria: Criteria


ResourceContent = Annotated[
    LinkContent | CodeSampleContent | ProjectContent, Field(discriminator="kind")
]
resource_content: TypeAdapter[LinkContent | CodeSampleContent | ProjectContent] = TypeAdapter(
    ResourceContent
)
ResourceCreate = ResourceContent

DETAILS: dict[str, tuple[str, ...]] = {
    "link": (),
    "code_sample": ("programming_language", "files", "run", "expected_output"),
    "project": ("difficulty", "estimated_hours", "milestones", "acceptance_criteria"),
}
"""The fields of each kind that are kept in `resources.details`."""


class ResourceChanges(PatchModel):
    """What of a resource may change; fields of another kind are refused."""

    title: Title = UNSET
    body: Markdown = UNSET
    topic: Slug | None = UNSET
    tags: Tags = UNSET
    language: Language = UNSET
    license: License = UNSET
    level: Level | None = UNSET
    url: Url = UNSET
    link_type: LinkType = UNSET
    programming_language: ProgrammingLanguage = UNSET
    files: Files = UNSET
    run: Run = UNSET
    expected_output: Output = UNSET
    difficulty: Difficulty = UNSET
    estimated_hours: Hours = UNSET
    milestones: Milestones = UNSET
    acceptance_criteria: Criteria = UNSET

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set - {"summary"}:
            raise ValueError("there is nothing to change")
        return self


class ResourceUpdate(ResourceChanges):
    """Changes, and why they are made."""

    summary: Summary = UNSET


class ResourceSummary(TitledPostRead):
    """A resource in a list."""

    kind: ResourceKind
    level: Level | None
    link_type: LinkType | None
    url: str | None = Field(max_length=MAX_URL_LENGTH)


class ImportSource(ReadModel):
    """Where an imported link came from."""

    name: str = Field(max_length=300, description="Of the list.")
    line: int = Field(ge=1, le=2**31 - 1)
    path: list[Annotated[str, Field(max_length=500)]] = Field(
        max_length=20, description="The headings above it."
    )


class _ResourceDetail(TitledPostRead, PostText):
    level: Level | None


class LinkRead(_ResourceDetail):
    kind: Literal["link"]
    url: str = Field(max_length=MAX_URL_LENGTH)
    link_type: LinkType
    source: ImportSource | None


class SourceFileRead(ReadModel):
    name: FileName
    content: str = Field(max_length=60_000)


class MilestoneRead(ReadModel):
    title: str = Field(max_length=500)
    description: str = Field(max_length=2_000)


class CodeSampleRead(_ResourceDetail):
    kind: Literal["code_sample"]
    programming_language: ProgrammingLanguage
    files: list[SourceFileRead] = Field(max_length=MAX_FILES)
    run: Run
    expected_output: Output


class ProjectRead(_ResourceDetail):
    kind: Literal["project"]
    difficulty: Difficulty
    estimated_hours: Hours
    milestones: list[MilestoneRead] = Field(max_length=20)
    acceptance_criteria: list[ShortText] = Field(max_length=30)


ResourceRead = Annotated[LinkRead | CodeSampleRead | ProjectRead, Field(discriminator="kind")]
resource_read: TypeAdapter[LinkRead | CodeSampleRead | ProjectRead] = TypeAdapter(ResourceRead)

"""Questions and answers on the wire."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from backend_hub.http.schemas import (
    DEFAULT_LICENSE,
    UNSET,
    Count,
    Id,
    Language,
    License,
    Markdown,
    Moment,
    PatchModel,
    ReadModel,
    Slug,
    Title,
    WriteModel,
)
from backend_hub.posts.content import PostContent, Summary, Tags
from backend_hub.posts.schemas import (
    Author,
    CommentRead,
    PostRead,
    PostRef,
    PostText,
    TitledPostRead,
)
from backend_hub.questions.models import CloseReason

MAX_ANSWERS = 100
"""Answers on a question's own page; the others are in its list of answers."""
MAX_COMMENTS = 20
"""Comments shown with a question or an answer; the others are in the post's list of comments."""
MAX_SIMILAR = 10


class QuestionCreate(PostContent):
    """A question; what its revisions keep."""


class _Edit(PatchModel):
    summary: Summary = UNSET

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set - {"summary"}:
            raise ValueError("there is nothing to change")
        return self


class QuestionUpdate(_Edit):
    """What of a question may change."""

    title: Title = UNSET
    body: Markdown = UNSET
    topic: Slug | None = UNSET
    tags: Tags = UNSET
    language: Language = UNSET
    license: License = UNSET


class AnswerCreate(WriteModel):
    """An answer; without a language it has its question's."""

    body: Markdown
    language: Language | None = None
    license: License = DEFAULT_LICENSE


class AnswerUpdate(_Edit):
    """What of an answer may change."""

    body: Markdown = UNSET
    language: Language = UNSET
    license: License = UNSET


class AnswerAcceptance(WriteModel):
    """Which of the question's answers solved it."""

    answer_id: UUID


class DuplicateClose(WriteModel):
    """Closed, because the same was asked before."""

    reason: Literal[CloseReason.duplicate]
    duplicate_of_id: Annotated[UUID, Field(description="The question that was asked before.")]


class PlainClose(WriteModel):
    """Closed for a reason that names no other question."""

    reason: Literal[
        CloseReason.off_topic,
        CloseReason.needs_details,
        CloseReason.too_broad,
        CloseReason.opinion_based,
    ]


QuestionClose = Annotated[DuplicateClose | PlainClose, Field(discriminator="reason")]


class QuestionSummary(TitledPostRead):
    """A question in a list."""

    answer_count: Count
    accepted_answer_id: Id | None
    closed_at: Moment | None
    close_reason: CloseReason | None


class QuestionRef(ReadModel):
    id: Id
    title: str = Field(max_length=200)


class AnswerRead(PostRead, PostText):
    """An answer with its first comments."""

    question_id: Id
    accepted: bool
    comments: list[CommentRead] = Field(
        max_length=MAX_COMMENTS, description="The oldest; `comment_count` says how many there are."
    )


class QuestionRead(QuestionSummary, PostText):
    """A question with its best answers and first comments."""

    closed_by: Author | None
    duplicate_of: QuestionRef | None
    comments: list[CommentRead] = Field(
        max_length=MAX_COMMENTS, description="The oldest; `comment_count` says how many there are."
    )
    answers: list[AnswerRead] = Field(
        max_length=MAX_ANSWERS,
        description="The accepted one, then by score; `answer_count` says how many there are.",
    )


class SimilarQuestions(ReadModel):
    """The most similar one first."""

    items: list[QuestionSummary] = Field(max_length=MAX_SIMILAR)


class RelatedResources(ReadModel):
    """The most related one first."""

    items: list[PostRef] = Field(max_length=MAX_SIMILAR)

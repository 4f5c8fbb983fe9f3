"""Questions and answers over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Depends, Path, Query, Response

from backend_hub.auth.dependencies import Once, OnceInOne, QuestionAuthor, Viewer
from backend_hub.db import new_id
from backend_hub.http.cursors import Page
from backend_hub.http.etag import IfMatch, set_version
from backend_hub.http.paging import Paging
from backend_hub.http.ready import answer
from backend_hub.http.routing import hub_router
from backend_hub.http.schemas import Language, Slug, TagName, Username
from backend_hub.http.sessions import Reads, ReadSession, Session, Writes
from backend_hub.posts.schemas import RevisionNumber
from backend_hub.questions import answering, examples, queries, service, similar
from backend_hub.questions.queries import AnswerSort, QuestionFilters, QuestionSort, QuestionState
from backend_hub.questions.schemas import (
    MAX_SIMILAR,
    AnswerAcceptance,
    AnswerCreate,
    AnswerRead,
    AnswerUpdate,
    QuestionClose,
    QuestionCreate,
    QuestionRead,
    QuestionSummary,
    QuestionUpdate,
    RelatedResources,
    SimilarQuestions,
)

router = hub_router("/questions", "questions")
answers = hub_router("/answers", "questions")

SearchText = Annotated[
    str | None, Query(min_length=1, max_length=200, description='Words; `"a phrase"`, `-not`.')
]
Number = Annotated[RevisionNumber, Path(examples=[1])]
Most = Annotated[int, Query(ge=1, le=MAX_SIMILAR, description="At most so many.")]


async def question_filters(
    topic: Annotated[Slug | None, Query(description="In this topic, or below it.")] = None,
    tag: Annotated[TagName | None, Query(description="With this tag, or its synonym.")] = None,
    author: Annotated[Username | None, Query(description="Asked by this person.")] = None,
    language: Annotated[Language | None, Query(description="Written in this language.")] = None,
    state: Annotated[
        QuestionState | None,
        Query(description="Without an answer, without an accepted one, open or closed."),
    ] = None,
    q: SearchText = None,
) -> QuestionFilters:
    return QuestionFilters(topic, tag, author, language, state, q)


@router.get("", summary="List questions", response_model=Page[QuestionSummary])
async def list_questions(
    reads: Reads,
    actor: Viewer,
    page: Paging,
    filters: Annotated[QuestionFilters, Depends(question_filters)],
    sort: Annotated[QuestionSort, Query(description="`relevance` needs `q`.")] = "newest",
) -> Response:
    """Questions without their text; a topic includes its sub-topics."""
    return answer(await queries.list_questions(reads, actor, filters, sort, page))


@router.post("", summary="Ask a question", status_code=201, response_model=QuestionRead)
async def ask_question(
    form: Annotated[QuestionCreate, Body(openapi_examples=examples.ASK_EXAMPLES)],
    actor: QuestionAuthor,
    writer: Writes,
    key: OnceInOne,
) -> Response:
    """Look at the similar questions of your title first: it may have been answered."""
    post_id = new_id()
    location = f"/api/v1/questions/{post_id}"
    kept = key.answer(location) if key else None
    return answer(await service.ask_question(writer, actor, post_id, form, kept), location)


# Before `/{question_id}`, which would take the word for an id.
@router.get("/similar", summary="Find similar questions")
async def similar_questions(
    session: ReadSession,
    actor: Viewer,
    title: Annotated[
        str,
        Query(
            min_length=3,
            max_length=200,
            description="Of the question that you are about to ask.",
            examples=["Why is my index not used?"],
        ),
    ],
    limit: Most = 5,
) -> SimilarQuestions:
    """Questions that share words with a title, the most similar first: ask before you ask."""
    return await similar.similar_questions(session, actor, title, limit)


@router.get("/{question_id:uuid}", summary="Read a question", response_model=QuestionRead)
async def read_question(question_id: UUID, reads: Reads, actor: Viewer) -> Response:
    """The question with its comments and answers: the accepted one first, then by score."""
    return answer(await queries.read_question(reads, actor, question_id))


@router.patch("/{question_id:uuid}", summary="Edit a question", response_model=QuestionRead)
async def edit_question(
    question_id: UUID,
    form: Annotated[QuestionUpdate, Body(openapi_examples=examples.EDIT_EXAMPLES)],
    actor: QuestionAuthor,
    if_match: IfMatch,
    session: Session,
) -> Response:
    """By its asker, or by a moderator. Each edit is a revision."""
    await service.edit_question(session, actor, question_id, form, if_match)
    return answer(await queries.read_question(session, actor, question_id))


@router.delete("/{question_id:uuid}", summary="Delete a question", status_code=204)
async def delete_question(
    question_id: UUID, actor: QuestionAuthor, if_match: IfMatch, session: Session
) -> None:
    """By its asker while nobody else answered, or by a moderator; its answers go with it."""
    await service.delete_question(session, actor, question_id, if_match)


@router.post(
    "/{question_id:uuid}/restore", summary="Restore a question", response_model=QuestionRead
)
async def restore_question(question_id: UUID, actor: QuestionAuthor, session: Session) -> Response:
    """Undo a deletion; what a moderator deleted only moderators restore."""
    await service.restore_question(session, actor, question_id)
    return answer(await queries.read_question(session, actor, question_id))


@router.post(
    "/{question_id:uuid}/revisions/{number}/restore",
    summary="Go back to a revision of a question",
    response_model=QuestionRead,
)
async def restore_question_revision(
    question_id: UUID,
    number: Number,
    actor: QuestionAuthor,
    if_match: IfMatch,
    session: Session,
) -> Response:
    """Write the content of an earlier revision as a new one."""
    await service.restore_revision(session, actor, question_id, number, if_match)
    return answer(await queries.read_question(session, actor, question_id))


@router.get("/{question_id:uuid}/related-resources", summary="List related resources")
async def list_related_resources(
    question_id: UUID, session: ReadSession, actor: Viewer, limit: Most = 5
) -> RelatedResources:
    """Resources with the question's tags, topic or words, the most related first."""
    return await similar.list_related_resources(session, actor, question_id, limit)


@router.post("/{question_id:uuid}/close", summary="Close a question", response_model=QuestionRead)
async def close_question(
    question_id: UUID,
    form: Annotated[QuestionClose, Body(openapi_examples=examples.CLOSE_EXAMPLES)],
    actor: QuestionAuthor,
    session: Session,
) -> Response:
    """By its asker, or by a moderator: it takes no more answers. A duplicate names the first."""
    await service.close_question(session, actor, question_id, form)
    return answer(await queries.read_question(session, actor, question_id))


@router.post("/{question_id:uuid}/reopen", summary="Reopen a question", response_model=QuestionRead)
async def reopen_question(question_id: UUID, actor: QuestionAuthor, session: Session) -> Response:
    """Take answers again; what a moderator closed only moderators reopen."""
    await service.reopen_question(session, actor, question_id)
    return answer(await queries.read_question(session, actor, question_id))


@router.put(
    "/{question_id:uuid}/accepted-answer", summary="Accept an answer", response_model=QuestionRead
)
async def accept_answer(
    question_id: UUID,
    form: Annotated[AnswerAcceptance, Body(openapi_examples=examples.ACCEPT_EXAMPLES)],
    actor: QuestionAuthor,
    if_match: IfMatch,
    session: Session,
) -> Response:
    """By the asker only; a question has one accepted answer, and another may replace it."""
    await answering.accept_answer(session, actor, question_id, form.answer_id, if_match)
    return answer(await queries.read_question(session, actor, question_id))


@router.delete("/{question_id:uuid}/accepted-answer", summary="Accept no answer", status_code=204)
async def unaccept_answer(
    question_id: UUID, actor: QuestionAuthor, if_match: IfMatch, session: Session
) -> None:
    """By the asker only; `If-Match` takes the question's ETag."""
    await answering.unaccept_answer(session, actor, question_id, if_match)


@router.get("/{question_id:uuid}/answers", summary="List answers")
async def list_answers(
    question_id: UUID,
    session: ReadSession,
    actor: Viewer,
    page: Paging,
    sort: Annotated[AnswerSort, Query(description="`top`: the accepted one first.")] = "top",
) -> Page[AnswerRead]:
    """All answers to a question, each with its first comments."""
    await service.get_visible_question(session, actor, question_id)
    return await queries.list_answers(session, actor, question_id, sort, page)


@router.post("/{question_id:uuid}/answers", summary="Answer a question", status_code=201)
async def create_answer(
    question_id: UUID,
    form: Annotated[AnswerCreate, Body(openapi_examples=examples.ANSWER_EXAMPLES)],
    actor: QuestionAuthor,
    session: Session,
    response: Response,
    _once: Once,
) -> AnswerRead:
    """Also your own question; a closed one takes no answers (`question_closed`)."""
    post = await answering.create_answer(session, actor, question_id, form)
    response.headers["Location"] = f"/api/v1/answers/{post.id}"
    set_version(response, post.version)
    return await queries.read_answer(session, actor, post.id)


@answers.get("/{answer_id}", summary="Read an answer")
async def read_answer(
    answer_id: UUID, session: ReadSession, actor: Viewer, response: Response
) -> AnswerRead:
    """One answer, with the ETag that changing it takes."""
    answer = await queries.read_answer(session, actor, answer_id)
    set_version(response, answer.version)
    return answer


@answers.patch("/{answer_id}", summary="Edit an answer")
async def edit_answer(
    answer_id: UUID,
    form: Annotated[AnswerUpdate, Body(openapi_examples=examples.EDIT_ANSWER_EXAMPLES)],
    actor: QuestionAuthor,
    if_match: IfMatch,
    session: Session,
    response: Response,
) -> AnswerRead:
    """By its author, or by a moderator. Each edit is a revision."""
    post = await answering.edit_answer(session, actor, answer_id, form, if_match)
    set_version(response, post.version)
    return await queries.read_answer(session, actor, answer_id)


@answers.delete("/{answer_id}", summary="Delete an answer", status_code=204)
async def delete_answer(
    answer_id: UUID, actor: QuestionAuthor, if_match: IfMatch, session: Session
) -> None:
    """By its author, or by a moderator; an accepted answer is accepted no more."""
    await answering.delete_answer(session, actor, answer_id, if_match)


@answers.post("/{answer_id}/restore", summary="Restore an answer")
async def restore_answer(
    answer_id: UUID, actor: QuestionAuthor, session: Session, response: Response
) -> AnswerRead:
    """Undo a deletion; what a moderator deleted only moderators restore."""
    post = await answering.restore_answer(session, actor, answer_id)
    set_version(response, post.version)
    return await queries.read_answer(session, actor, answer_id)


@answers.post("/{answer_id}/revisions/{number}/restore", summary="Go back to a revision")
async def restore_answer_revision(
    answer_id: UUID,
    number: Number,
    actor: QuestionAuthor,
    if_match: IfMatch,
    session: Session,
    response: Response,
) -> AnswerRead:
    """Write the content of an earlier revision as a new one."""
    post = await answering.restore_revision(session, actor, answer_id, number, if_match)
    set_version(response, post.version)
    return await queries.read_answer(session, actor, answer_id)

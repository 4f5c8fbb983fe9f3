"""The pages a person reads: landing page, topics, resources, questions. They only show."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Request
from starlette.responses import HTMLResponse, PlainTextResponse

from backend_hub.http.cursors import PageParams
from backend_hub.http.routing import page_router
from backend_hub.http.schemas import Slug
from backend_hub.http.sessions import ReadSession
from backend_hub.questions.queries import QuestionFilters, list_questions, read_question
from backend_hub.resources.queries import ResourceFilters, list_resources, read_resource
from backend_hub.site import queries
from backend_hub.site.templating import page
from backend_hub.topics.queries import list_topics, read_topic

NEW_ON_HOME = 6
NEW_ON_TOPIC = 20
ROBOTS = "User-agent: *\nDisallow: /api/\nDisallow: /oauth/\n"


# access.py looks at routes in the OpenAPI document; pages are not in it. They need no row there:
# they read as a visitor reads, through the same visibility, and none of them writes.
router = page_router()
READ = ["GET", "HEAD"]


def numbers(counts: queries.Counts) -> list[tuple[int, str, str]]:
    """What the landing page counts, with its name for one and for many."""
    return [
        (counts.links, "link", "links"),
        (counts.code_samples, "code sample", "code samples"),
        (counts.projects, "project", "projects"),
        (counts.questions, "question", "questions"),
        (counts.answers, "answer", "answers"),
        (counts.merged, "contribution merged", "contributions merged"),
        (counts.members, "member", "members"),
    ]


@router.api_route("/", methods=READ)
async def show_home(request: Request, session: ReadSession) -> HTMLResponse:
    new = await list_resources(session, None, ResourceFilters(), "newest", PageParams(NEW_ON_HOME))
    asked = await list_questions(
        session, None, QuestionFilters(), "newest", PageParams(NEW_ON_HOME)
    )
    return page(
        request,
        "home.html",
        numbers=numbers(await queries.count_all(session)),
        topics=await queries.list_top_topics(session),
        resources=new.parsed().items,
        questions=asked.parsed().items,
    )


@router.api_route("/topics/{slug}", methods=READ)
async def show_topic(
    request: Request, session: ReadSession, slug: Annotated[Slug, Path()]
) -> HTMLResponse:
    topic = await read_topic(session, slug)
    filters = ResourceFilters(topic=slug)
    found = await list_resources(session, None, filters, "newest", PageParams(NEW_ON_TOPIC))
    listed = found.parsed()
    asked = await list_questions(
        session, None, QuestionFilters(topic=slug), "newest", PageParams(NEW_ON_HOME)
    )
    return page(
        request,
        "topic.html",
        topic=topic,
        parent=await read_topic(session, topic.parent) if topic.parent else None,
        below=(await list_topics(session, slug, None, PageParams(100))).items,
        resources=listed.items,
        more=listed.next_cursor is not None,
        questions=asked.parsed().items,
    )


@router.api_route("/resources/{resource_id}", methods=READ)
async def show_resource(request: Request, session: ReadSession, resource_id: UUID) -> HTMLResponse:
    resource = await read_resource(session, None, resource_id)
    return page(request, "resource.html", resource=resource.parsed())


@router.api_route("/questions/{question_id}", methods=READ)
async def show_question(request: Request, session: ReadSession, question_id: UUID) -> HTMLResponse:
    question = await read_question(session, None, question_id)
    return page(request, "question.html", question=question.parsed())


@router.api_route("/robots.txt", methods=READ, response_class=PlainTextResponse)
async def read_robots() -> PlainTextResponse:
    return PlainTextResponse(ROBOTS, headers={"Cache-Control": "public, max-age=86400"})

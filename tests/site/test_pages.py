"""The pages over HTTP: what they show, to whom, and what they never let through."""

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import event, update
from sqlmodel import col

from backend_hub.app import create_app
from backend_hub.contributions.models import Contribution
from backend_hub.db import Database
from backend_hub.posts.models import Post
from backend_hub.settings import Settings
from backend_hub.users.models import Role
from tests.conftest import TestDatabase, http_client
from tests.hub import Hub, code_sample, link, project
from tests.site.content import OVERVIEW, ask, fill

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
XSS = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}"


class Reader(HTMLParser):
    """The text of a page, its elements, and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data + " "


async def visit(
    hub: Hub, path: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    response = await hub.client.get(path, headers={**BROWSER, **(headers or {})})
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return response


async def read(hub: Hub, path: str) -> Reader:
    return Reader((await visit(hub, path)).text)


async def test_an_empty_hub_has_a_friendly_landing_page(hub: Hub) -> None:
    page = await read(hub, "/")
    assert "There are no topics yet" in page.text
    assert "Nobody has asked anything yet" in page.text
    assert "0 members" in page.text or "members 0" in page.text
    assert {"/docs", "/redoc", "/openapi.json"} <= {v for n, v in page.attributes if n == "href"}


async def test_the_landing_page_shows_topics_counts_and_what_is_new(hub: Hub) -> None:
    paths = await fill(hub)
    page = await read(hub, "/")
    for text in ("Databases", "Where data stays correct.", "PostgreSQL", "3 resources"):
        assert text in page.text
    for text in ("link 1", "code sample 1", "project 1", "question 1", "answer 1", "members 2"):
        assert text in page.text
    assert {v for n, v in page.attributes if n == "href"} >= set(paths.values())


async def test_the_landing_page_counts_only_what_a_visitor_may_see(hub: Hub) -> None:
    ann = await hub.person("ann")
    kept = await ann.create("/resources", link("Kept"))
    gone = await ann.create("/resources", link("Gone"))
    assert "links 2" in (await read(hub, "/")).text
    assert (await ann.delete(f"/resources/{gone['id']}")).status_code == 204
    page = await read(hub, "/")
    assert "link 1" in page.text
    assert ("Kept" in page.text, "Gone" in page.text) == (True, False)
    async with hub.database.transaction() as session:
        mine = col(Post.id) == UUID(kept["id"])
        await session.execute(update(Post).where(mine).values(draft=True))
    assert "links 0" in (await read(hub, "/")).text


async def test_the_landing_page_counts_merged_contributions(hub: Hub) -> None:
    ann = await hub.person("ann")
    for state in ("merged", "submitted"):
        post_id = UUID((await ann.create("/resources", link(f"A {state} one")))["id"])
        async with hub.database.transaction() as session:
            session.add(Contribution(post_id=post_id, proposal={}, state=state))
    assert "contribution merged 1" in (await read(hub, "/")).text


async def test_the_landing_page_takes_as_many_statements_full_as_empty(
    hub: Hub, test_database: TestDatabase
) -> None:
    statements: list[str] = []
    engine = test_database.engine.sync_engine

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        await visit(hub, "/")
        empty = len(statements)
        await fill(hub)
        statements.clear()
        await visit(hub, "/")
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(statements) == empty == 4


async def test_a_topic_page_shows_its_overview_its_sub_topics_and_what_lies_below(
    hub: Hub,
) -> None:
    paths = await fill(hub)
    page = await read(hub, paths["topic"])
    assert "What a database is for" in page.text
    assert {"table", "pre", "ol"} <= page.elements
    hrefs = {v for n, v in page.attributes if n == "href"}
    assert hrefs >= {paths[name] for name in ("sub-topic", "link", "code_sample", "question")}
    assert ("href", paths["topic"]) in (await read(hub, paths["sub-topic"])).attributes


async def test_a_topic_page_shows_twenty_resources_and_where_the_others_are(hub: Hub) -> None:
    await hub.topic("databases")
    ann = await hub.person("ann")
    for number in range(21):
        await ann.create("/resources", link(f"Guide {number:02}", topic="databases"))
    page = await read(hub, "/topics/databases")
    assert ("Guide 20" in page.text, "Guide 00" in page.text) == (True, False)
    assert "All 21 over the API" in page.text


async def test_each_kind_of_resource_has_its_page(hub: Hub) -> None:
    ann = await hub.person("ann")
    made = [await ann.create("/resources", make()) for make in (link, code_sample, project)]
    a_link, sample, task = [await read(hub, f"/resources/{item['id']}") for item in made]
    assert ("href", "https://example.org/a-guide-to-indexes") in a_link.attributes
    assert "Open example.org" in a_link.text
    for text in ("main.py", "print('hello')", "python main.py", "What it prints hello"):
        assert text in sample.text
    for text in ("Easy", "About 8 hours", "Redirects", "An unknown link answers 404."):
        assert text in task.text


async def test_a_question_page_shows_the_accepted_answer_first(hub: Hub) -> None:
    ann = await hub.person("ann")
    question = await ask(hub, ann, "Which one?", "The first.", "The second.")
    page = await read(hub, f"/questions/{question}")
    assert page.text.index("Accepted") < page.text.index("The second.")
    assert page.text.index("The second.") < page.text.index("The first.")


async def test_what_was_deleted_has_no_page(hub: Hub) -> None:
    ann = await hub.person("ann")
    path = f"/resources/{(await ann.create('/resources', link()))['id']}"
    question = await ask(hub, ann, "Which one?", "Gone.", "Here.")
    await visit(hub, path)
    assert (await ann.delete(path)).status_code == 204
    assert "There is nothing here" in (await visit(hub, path, 404)).text
    async with hub.database.transaction() as session:
        gone = update(Post).where(col(Post.body) == "Gone.")
        await session.execute(gone.values(deleted_at=col(Post.created_at)))
    text = (await read(hub, f"/questions/{question}")).text
    assert ("Here." in text, "Gone." in text) == (True, False)


async def test_a_page_is_the_same_for_whoever_asks(hub: Hub) -> None:
    ann = await hub.person("ann")
    path = f"/resources/{(await ann.create('/resources', link()))['id']}"
    assert (await visit(hub, path)).text == (await visit(hub, path, headers=ann.headers)).text
    assert (await ann.delete(path)).status_code == 204
    await visit(hub, path, 404, ann.headers)


@pytest.fixture
async def hostile(hub: Hub) -> list[str]:
    """Pages whose every text tries to break out."""
    admin = await hub.person("mallory", Role.admin)
    form = {"slug": "bad", "name": XSS, "description": XSS, "overview": f"{OVERVIEW}\n\n{XSS}"}
    await admin.create("/topics", form)
    await admin.patch("/users/me", {"display_name": XSS[:80]})
    shared = {"topic": "bad", "body": f"{XSS}\n\n[x](javascript:alert(1))"}
    forms = [
        link(f"Link {XSS}", url="https://example.org/%22%3E%3Cscript%3E?a='&b=\"", **shared),
        code_sample(f"Code {XSS}", run=XSS, expected_output=XSS, **shared)
        | {"files": [{"name": "main.py", "content": f"</code></pre>{XSS}"}]},
        project(f"Task {XSS}", **shared)
        | {"milestones": [{"title": XSS, "description": XSS}], "acceptance_criteria": [XSS]},
    ]
    made = [(await admin.create("/resources", form))["id"] for form in forms]
    question = await ask(hub, admin, f"Ask {XSS}", XSS)
    return [
        *("/", "/topics/bad", f"/questions/{question}"),
        *(f"/resources/{resource_id}" for resource_id in made),
    ]


async def test_no_text_breaks_out_of_a_page(hub: Hub, hostile: list[str]) -> None:
    for path in hostile:
        page = await read(hub, path)
        assert "alert(1)" in page.text, path
        assert "{{7*7}}" in page.text
        assert "script" not in page.elements
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        assert not [
            value
            for name, value in page.attributes
            if name in {"href", "src"} and not value.startswith(("/", "#", "https://"))
        ]


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/topics/none", "/topics/NOT%20A%20SLUG", "/topics/%00", "/resources/1"]
    + ["/resources/01a20480-ffff-7fff-8fff-ffffffffffff", "/questions/x%00"],
)
async def test_a_wrong_address_gets_a_page_in_a_browser_and_a_problem_elsewhere(
    hub: Hub, path: str
) -> None:
    response = await visit(hub, path, 404)
    assert "There is nothing here" in response.text
    assert response.headers["cache-control"] == "no-store"
    other = await hub.client.get(path, headers={"Accept": "*/*"})
    assert other.status_code in {404, 422}
    assert other.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/api/v1/nowhere", "/api/v1/topics/none", "/static/none.css", "/health/none"]
)
async def test_programs_get_problems_whatever_they_accept(hub: Hub, path: str) -> None:
    response = await hub.client.get(path, headers=BROWSER)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_question_mark_of_somebodys_newsletter_does_no_harm(hub: Hub) -> None:
    await visit(hub, "/?utm_source=newsletter&utm_medium=%00")


async def test_a_page_is_not_sent_twice(hub: Hub) -> None:
    first = await visit(hub, "/")
    assert first.headers["cache-control"] == "no-cache"
    again = await hub.client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    await hub.topic("databases")
    fresh = await hub.client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert fresh.status_code == 200
    head = await hub.client.head("/")
    assert (head.status_code, head.content) == (200, b"")


async def test_pages_tell_that_the_database_is_away(settings: Settings) -> None:
    away = Database(settings, "postgresql+asyncpg://nobody@127.0.0.1:1/none")
    async with http_client(create_app(settings, away)) as client:
        response = await client.get("/", headers=BROWSER)
    await away.dispose()
    assert response.status_code == 503
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["retry-after"]
    assert "Try again in a moment" in response.text

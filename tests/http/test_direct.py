"""The short way of reads: FastAPI's own answers, sooner."""

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from backend_hub.http.direct import DirectRoutes
from tests.hub import Hub, answered, link

REQUESTS = [
    "/questions",
    "/questions?limit=1",
    "/questions?limit=2&sort=active&include_total=true&language=en",
    "/questions?limit=0",
    "/questions?limit=x&sort=nothing",
    "/questions?limit=1&limit=2",
    "/questions?unknown=1",
    "/questions?q=",
    "/questions?q=a%00b",
    "/questions?q=%ff",
    "/questions?sort=relevance",
    "/questions?cursor=!",
    "/questions?cursor=WyJuZXdlc3QiLDFd",
    "/questions?tag=sql&author=ann&state=unanswered",
    "/questions/",
    "/questions/similar?title=index",
    "/questions/{question}",
    "/questions/{question}?limit=1",
    "/questions/{question}/",
    "/questions/00000000-0000-7000-8000-000000000000",
    "/questions/{question}x",
    "/resources?kind=link&level=beginner",
    "/resources?kind=poem",
    "/resources/{resource}",
    "/resources/nothing",
    "/resources/%7B{resource}%7D",
    "/search?q=index",
    "/search",
    "/search?q=%20",
    "/search?q=index&topic=Not+A+Slug",
]
HEADERS: dict[str, dict[str, str]] = {
    "visitor": {},
    "liar": {"Authorization": "Bearer x.y.z"},
    "other scheme": {"Authorization": "Basic eDp5"},
}


@pytest.fixture
def direct(app: FastAPI) -> DirectRoutes:
    return DirectRoutes(iter_route_contexts(app.routes))


async def test_the_reads_asked_for_most_go_the_short_way(direct: DirectRoutes) -> None:
    names = {route.context.name for route in direct.found.values() if route is not None}
    lists = {"list_questions", "list_resources", "search"}
    assert names == lists | {"read_question", "read_resource", "live"}


@pytest.mark.parametrize("path", REQUESTS)
async def test_the_short_way_answers_as_the_ordinary_one(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    names = {"question": (await answered(ann, bob))[0]}
    await answered(ann, bob, title="Why another index?")
    names["resource"] = (await ann.create("/resources", link("An index", level="beginner")))["id"]
    path = "/api/v1" + path.format(**names)
    people = {**HEADERS, "member": {"Authorization": f"Bearer {ann.access_token}"}}

    async def answers() -> list[tuple[int, bytes, dict[str, str]]]:
        found = []
        for method in ("GET", "HEAD", "POST"):
            for headers in people.values():
                given = {**headers, "X-Request-ID": "request-1"}
                answer = await hub.client.request(method, path, headers=given)
                kept = {k: v for k, v in answer.headers.items() if "ratelimit" not in k}
                found.append((answer.status_code, answer.content, kept))
        return found

    short = await answers()
    monkeypatch.setattr(DirectRoutes, "find", lambda *_: None)
    assert short == await answers()

"""The short way of reads and writes: FastAPI's own answers, sooner."""

from typing import Any

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


@pytest.mark.parametrize(
    ("methods", "names"),
    [
        (["GET"], "list_questions list_resources search read_question read_resource live"),
        (["POST", "PUT"], "ask_question vote"),
    ],
)
async def test_what_is_asked_for_most_goes_the_short_way(
    app: FastAPI, methods: list[str], names: str
) -> None:
    direct = DirectRoutes(iter_route_contexts(app.routes), methods)
    found = {route.context.name for route in direct.found.values() if route is not None}
    assert found == set(names.split())


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


JSON = {"Content-Type": "application/json"}
BODIES: list[tuple[dict[str, str], bytes]] = [
    (JSON, b'{"title": "Why so?", "body": "*Who* knows?", "tags": ["sql", "new"]}'),
    (JSON, b'{"title": "Why so?", "body": "x", "title": "And twice?"}'),
    (JSON, b'{"title": "Why so?", "body": "x", "topic": "nowhere"}'),
    (JSON, b'{"title": "Why so?", "body": "x", "more": NaN}'),
    (JSON, b'{"title": "Why \\u0000 so?", "body": "x"}'),
    (JSON, b'{"value": 1}'),
    (JSON, b'{"value": 1.5}'),
    (JSON, b'{"value": true, "more": 1}'),
    (JSON, b""),
    (JSON, b"null"),
    (JSON, b"[]"),
    (JSON, b'{"value"'),
    (JSON, b"\xff"),
    (JSON, b"[" * 50_000),
    (JSON, b"1" * 5_000),
    ({}, b'{"value": 1}'),
    ({"Content-Type": "application/json; charset=utf-8"}, b'{"value": 1}'),
    ({"Content-Type": "text/plain"}, b'{"value": 1}'),
    ({**JSON, "Idempotency-Key": "a key"}, b'{"title": "Why so?", "body": "x"}'),
]


@pytest.mark.parametrize("number", range(len(BODIES)))
async def test_a_short_write_answers_as_the_ordinary_one(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    post = (await answered(ann, bob))[0]
    headers, body = BODIES[number]
    people = {**HEADERS, "member": {"Authorization": f"Bearer {bob.access_token}"}}
    requests = [
        ("POST", "/questions"),
        ("POST", "/questions?limit=1"),
        ("PUT", f"/posts/{post}/vote"),
        ("PUT", f"/posts/{post}x/vote"),
        ("PUT", "/posts/00000000-0000-7000-8000-000000000000/vote"),
    ]

    async def answers() -> list[Any]:
        found = []
        for method, path in requests:
            for who in people.values():
                given = {**headers, **who, "X-Request-ID": "request-1"}
                answer = await hub.client.request(
                    method, f"/api/v1{path}", content=body, headers=given
                )
                kept = {k: v for k, v in answer.headers.items() if k in {"allow", "content-type"}}
                told = answer.json()
                if answer.status_code == 201:  # of what was made, what is not new each time
                    new = ("id", "created_at", "updated_at", "last_activity_at")
                    told = {name: value for name, value in told.items() if name not in new}
                found.append((answer.status_code, told, kept))
        return found

    short = await answers()
    monkeypatch.setattr(DirectRoutes, "find", lambda *_: None)
    assert short == await answers()

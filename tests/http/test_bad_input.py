"""Bad input gets a clear answer, never a 500: the table of the API's promises, row by row."""

import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from backend_hub.http.cursors import encode_cursor
from backend_hub.users.models import Role
from tests.hub import Hub, link

JSON = {"Content-Type": "application/json"}
SOME_ID = "01990000-0000-7000-8000-000000000001"


def assert_problem(response: httpx.Response, *statuses: int) -> dict[str, Any]:
    """It is one of these refusals, in the one form that refusals have."""
    assert response.status_code in statuses, (response.status_code, response.text[:500])
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"]
    problem: dict[str, Any] = response.json()
    assert problem["status"] == response.status_code
    assert {"type", "title", "detail", "code", "request_id"} <= problem.keys()
    return problem


@pytest.mark.parametrize(
    "path",
    [
        "/resources?q=a%00b",
        "/resources?topic=%00",
        "/tags?prefix=%00",
        "/topics/a%00b",
        "/tags/a%00b",
        "/users/a%00b",
        "/users/abc%00/posts",
        "/posts/a%00b",
        "/resources?a%00b=1",
        "/resources?cursor=%00",
        "/resources?q=%ED%A0%80&q=%FF",
        "/events?type=%00",
    ],
)
async def test_nul_in_a_path_or_a_query_is_refused(hub: Hub, path: str) -> None:
    problem = assert_problem(await hub.visitor.get(path), 404, 422)
    assert "\x00" not in json.dumps(problem)


@pytest.mark.parametrize("text", [r"a\u0000b", r"a\ud800b", r"\udfff"])
@pytest.mark.parametrize("field", ["title", "body", "language", "topic", "url", "summary", "new"])
async def test_nul_and_lone_surrogates_in_json_are_refused(hub: Hub, text: str, field: str) -> None:
    ann = await hub.person("ann")
    good = json.dumps(link())
    assert (await ann.request("POST", "/resources", content=good, headers=JSON)).status_code == 201
    for body in (
        good[:-1] + f', "{field}": "{text}"}}',
        good[:-1] + f', "{text}": 1}}',
        good[:-1] + f', "tags": ["{text}"]}}',
    ):
        response = await ann.request("POST", "/resources", content=body, headers=JSON)
        assert_problem(response, 422)


@pytest.mark.parametrize("text", ["a\x00b", "\x00"])
async def test_nul_in_a_form_is_refused(hub: Hub, text: str) -> None:
    for form in (
        {"username": text, "password": "x"},
        {"username": "ann", "password": text},
        {"grant_type": "refresh_token", "refresh_token": text},
        {"username": "ann", "password": "x", "scope": text},
        {"username": "ann", "password": "x", text: "x"},
    ):
        assert_problem(await hub.visitor.request("POST", "/auth/token", data=form), 401, 422)


@pytest.mark.parametrize(
    "path",
    [
        "/resources?limit=0",
        "/resources?limit=-1",
        "/resources?limit=101",
        "/resources?limit=1000000000",
        f"/resources?limit={2**31}",
        f"/resources?limit={2**63}",
        "/resources?limit=" + "9" * 5000,
        "/resources?limit=1e2",
        "/resources?limit=NaN",
        "/topics?depth=-1",
        f"/topics?depth={2**63}",
        f"/posts/{SOME_ID}/revisions/0",
        f"/posts/{SOME_ID}/revisions/{2**31}",
        f"/posts/{SOME_ID}/revisions/{2**63}",
        f"/posts/{SOME_ID}/diff?from=-1&to={2**64}",
        "/posts/1",
        f"/resources/{2**63}",
        "/comments/not-an-id",
    ],
)
async def test_numbers_and_ids_out_of_range_are_refused(hub: Hub, path: str) -> None:
    assert_problem(await hub.visitor.get(path), 404, 422)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 5000, "-1"])
async def test_numbers_that_are_none_are_refused_in_json(hub: Hub, number: str) -> None:
    admin = await hub.person("root", Role.admin)
    form = '{"slug": "databases", "name": "Databases", "position": %s}'
    for body in (form % number, f'{{"slug": {number}, "name": {number}}}', number):
        response = await admin.request("POST", "/topics", content=body, headers=JSON)
        problem = assert_problem(response, 400, 422)
        assert not {"input", "ctx"} & {key for error in problem.get("errors", []) for key in error}
    response = await admin.request("POST", "/topics", content=form % 1, headers=JSON)
    assert response.status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"score": 9999},
        {"id": SOME_ID},
        {"version": 7},
        {"nonsense": 1},
        {"title": None},
        {"title": 7},
        {"tags": "python"},
        {"tags": [None]},
        {"body": {"a": 1}},
        {"kind": "project"},
        {"url": None},
        {"estimated_hours": 5},
        {},
        [],
        None,
        "title",
    ],
)
async def test_a_patch_takes_known_fields_of_the_right_type_only(hub: Hub, change: Any) -> None:
    ann = await hub.person("ann")
    created = await ann.create("/resources", link())
    path = f"/resources/{created['id']}"
    assert_problem(await ann.patch(path, change), 422)
    assert (await ann.patch(path, {"title": "Another"})).json()["score"] == 0


async def _stream(size: int) -> AsyncIterator[bytes]:
    chunk = b"x" * 1_000_000
    for _ in range(size // len(chunk)):
        yield chunk


@pytest.mark.parametrize("length", [None, "300000000"])
async def test_a_body_of_300_mb_is_refused_without_being_kept(hub: Hub, length: str | None) -> None:
    ann = await hub.person("ann")
    headers = {**JSON, **({"Content-Length": length} if length else {})}
    tracemalloc.start()
    try:
        body = _stream(300_000_000)
        response = await ann.request("POST", "/resources", content=body, headers=headers)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert assert_problem(response, 413)["code"] == "body_too_large"
    assert response.headers["RateLimit"]
    assert peak < 20_000_000


async def test_a_text_of_64_kb_is_refused_and_the_longest_is_taken(hub: Hub) -> None:
    ann = await hub.person("ann")
    assert_problem(await ann.post("/resources", link(body="x" * 64_000)), 422)
    assert_problem(await ann.post("/resources", link(body="\N{EURO SIGN}" * 30_000)), 422)
    assert (await ann.post("/resources", link(body="x y " * 15_000))).status_code == 201


@pytest.mark.parametrize("body", ["[" * 50_000, "<b>" * 15_000, "> " * 20_000, "![](" * 12_000])
async def test_a_text_made_to_be_slow_is_answered_in_time(hub: Hub, body: str) -> None:
    ann = await hub.person("ann")
    response = await ann.post("/resources", link(body=body))
    assert response.status_code in {201, 422}, response.text[:300]


async def test_a_text_too_long_for_its_index_is_refused(hub: Hub) -> None:
    ann = await hub.person("ann")
    assert_problem(await ann.post("/resources", link("x" * 9_600)), 422)
    long_url = "https://example.org/" + "x" * 9_600
    assert_problem(await ann.post("/resources", link(url=long_url)), 422)


@pytest.mark.parametrize("q", ["a b", "'", '"', "& | !", "a:*", "()", "\\", "--", "%", "🎉" * 150])
async def test_any_words_may_be_searched_for(hub: Hub, q: str) -> None:
    await hub.visitor.read("/resources", q=q, sort="relevance")


@pytest.mark.parametrize("depth", [100, 10_000, 400_000])
async def test_deep_json_is_refused(hub: Hub, depth: int) -> None:
    ann = await hub.person("ann")
    for body in ("[" * depth + "]" * depth, '{"a":' * (depth // 3) + "1" + "}" * (depth // 3)):
        for content in (body, f'{{"kind": "link", "title": {body}}}'):
            response = await ann.request("POST", "/resources", content=content, headers=JSON)
            assert_problem(response, 400, 422)


@pytest.mark.parametrize("body", [b"", b"{", b"{'a': 1}", b'{"a": 1,}', b"\xff\xfe", b"null"])
async def test_malformed_json_is_refused(hub: Hub, body: bytes) -> None:
    ann = await hub.person("ann")
    response = await ann.request("POST", "/resources", content=body, headers=JSON)
    assert_problem(response, 400, 422)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "", "x"])
async def test_a_body_of_another_type_is_refused(hub: Hub, kind: str) -> None:
    ann = await hub.person("ann")
    body, headers = json.dumps(link()), {"Content-Type": kind}
    assert_problem(
        await ann.request("POST", "/resources", content=body, headers=headers), 400, 415, 422
    )
    response = await hub.visitor.request("POST", "/auth/token", content=body, headers=headers)
    assert_problem(response, 400, 415, 422)


async def test_the_form_endpoint_takes_no_json(hub: Hub) -> None:
    response = await hub.visitor.post("/auth/token", {"username": "ann", "password": "x"})
    assert_problem(response, 415, 422)


async def test_broken_multipart_is_refused(hub: Hub) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"", b"--x\r\n", b"--x\r\nContent-Disposition: nonsense\r\n\r\nA\r\n--x--"):
        response = await hub.visitor.request("POST", "/auth/token", content=body, headers=headers)
        assert_problem(response, 400, 422)


async def test_an_unknown_or_repeated_query_parameter_is_refused(hub: Hub) -> None:
    for query in ("page=2", "Limit=5", "limit=1&limit=2", "q=a&q=b", "limit=5&nonsense"):
        problem = assert_problem(await hub.visitor.get(f"/resources?{query}"), 422)
        assert problem["errors"][0]["loc"][0] == "query"
    assert (await hub.visitor.get("/resources?limit=5")).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/resources/", "/topics/databases/", "//", "/api"])
async def test_what_is_not_there_is_404(hub: Hub, path: str) -> None:
    assert_problem(await hub.visitor.get(path), 404)


async def test_405_names_every_method_of_the_path(hub: Hub) -> None:
    for method, path, allowed in (
        ("PUT", "/resources", "GET, HEAD, POST"),
        ("POST", f"/resources/{SOME_ID}", "DELETE, GET, HEAD, PATCH"),
        ("GET", f"/posts/{SOME_ID}/vote", "PUT"),
        ("HEAD", f"/posts/{SOME_ID}/vote", "PUT"),
        ("DELETE", "/users/me", "GET, HEAD, PATCH"),
        ("TRACE", "/health/live", "GET, HEAD"),
        ("MADEUP", "/auth/token", "POST"),
    ):
        response = await hub.visitor.request(method, path)
        assert response.status_code == 405, (method, path)
        assert response.headers["Allow"] == allowed
        if method != "HEAD":
            assert_problem(response, 405)


async def test_head_answers_like_get_without_a_body(hub: Hub) -> None:
    await hub.topic("databases")
    for path in ("/topics", "/topics/databases", "/health/live", "/events", "/topics/nothing"):
        read, head = await hub.visitor.get(path), await hub.visitor.request("HEAD", path)
        assert (head.status_code, head.content) == (read.status_code, b"")
        for name in ("Content-Type", "ETag", "Content-Length"):
            assert head.headers.get(name) == read.headers.get(name), (path, name)


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Basic YTpi", "x", "Bearer \xff", "a" * 9000],
)
async def test_a_bad_token_is_401_wherever_it_is_sent(hub: Hub, authorization: str) -> None:
    headers = [(b"authorization", authorization.encode("latin-1"))]
    for path in ("/api/v1/topics", "/api/v1/resources", "/api/v1/users/me", "/api/v1/tags"):
        response = await hub.client.get(path, headers=headers)
        assert_problem(response, 401)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await hub.visitor.get(path)).status_code in ({200, 401} if "me" in path else {200})


@pytest.mark.parametrize(
    "tag", ["", '"', "W/", "x" * 600, '"1', "1", '"-1"', '"' + "9" * 400 + '"']
)
async def test_a_bad_if_match_changes_nothing(hub: Hub, tag: str) -> None:
    ann = await hub.person("ann")
    created = await ann.create("/resources", link())
    path = f"/resources/{created['id']}"
    assert_problem(await ann.patch(path, {"title": "Another"}, tag), 412, 422, 428)
    assert (await ann.patch(path, {"title": "Another"}, '"1"')).status_code == 200


@pytest.mark.parametrize("key", ["x" * 201, "a b", "\x01", "é"])
async def test_a_bad_idempotency_key_is_refused(hub: Hub, key: str) -> None:
    ann = await hub.person("ann")
    headers = {**ann.headers, "Idempotency-Key": key}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    response = await hub.client.post("/api/v1/resources", json=link(), headers=raw)
    assert_problem(response, 422)


@pytest.mark.parametrize(
    "cursor",
    ["x", "W10", "bnVsbA", "WyJuZXdlc3QiXQ", "WyJuZXdlc3QiLDFd", "WyJuZXdlc3QiLG51bGxd", "=" * 9],
)
async def test_a_bad_cursor_is_refused_by_every_list(hub: Hub, cursor: str) -> None:
    for path in (
        "/resources?",
        "/topics?",
        "/tags?",
        "/resources?sort=top&",
        "/resources?sort=active&",
    ):
        assert_problem(await hub.visitor.get(f"{path}cursor={cursor}"), 422)
    assert_problem(await hub.visitor.get(f"/events?after={cursor}"), 422)


@pytest.mark.parametrize(
    "values",
    [
        ["active", "0001-01-01T00:00:00+14:00", SOME_ID],
        ["active", "9999-12-31T23:59:59-14:00", SOME_ID],
        ["active", "2026-01-01T00:00:00", SOME_ID],
        ["active", 1, SOME_ID],
        ["top", 2**63, SOME_ID],
        ["top", 1.5, SOME_ID],
        ["relevance", "nan", SOME_ID],
        ["newest", "x"],
    ],
)
async def test_a_made_up_cursor_is_refused(hub: Hub, values: list[Any]) -> None:
    cursor = encode_cursor(values[0], values[1:])
    path = f"/resources?q=x&sort={values[0]}&cursor={cursor}"
    assert_problem(await hub.visitor.get(path), 422)


async def test_a_refused_preflight_is_a_problem_too(hub: Hub) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    assert_problem(await hub.visitor.request("OPTIONS", "/topics", headers=headers), 400)
    headers["Origin"] = "https://app.example"
    allowed = await hub.visitor.request("OPTIONS", "/topics", headers=headers)
    assert allowed.status_code == 200

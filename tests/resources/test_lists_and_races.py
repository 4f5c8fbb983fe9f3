"""Filters and orders of the list, and requests that meet each other."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.hub import Hub, Person, code_sample, link, project


async def titles(person: Person, **params: Any) -> list[str]:
    return [item["title"] for item in (await person.read("/resources", **params))["items"]]


async def test_each_filter_and_each_order(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    await hub.topic("databases")
    await hub.topic("postgresql", "databases")
    admin = await hub.sign_in("admin-of-databases")
    a = await ann.create(
        "/resources", link("Indexes", topic="databases", tags=["sql"], level="beginner")
    )
    await bob.create("/resources", code_sample("Cursors", topic="postgresql", language="de"))
    c = await ann.create("/resources", project("Build indexes of indexes", tags=["python"]))
    await admin.patch("/tags/sql", {"synonyms": ["structured-query-language"]})
    expected: dict[str, list[str]] = {
        "kind=project": [c["title"]],
        "topic=databases": ["Cursors", "Indexes"],
        "topic=postgresql": ["Cursors"],
        "topic=nowhere": [],
        "tag=sql": ["Indexes"],
        "tag=structured-query-language": ["Indexes"],
        "level=beginner": ["Indexes"],
        "language=de": ["Cursors"],
        "author=BOB": ["Cursors"],
        "q=index": [c["title"], "Indexes"],
        "kind=link&q=index": ["Indexes"],
    }
    for query, found in expected.items():
        params = dict(pair.split("=") for pair in query.split("&"))
        assert await titles(hub.visitor, **params) == found, query
    await bob.put(f"/posts/{a['id']}/vote", {"value": 1})
    await bob.post(f"/posts/{a['id']}/comments", {"body": "Good."})
    assert (await titles(hub.visitor, sort="top"))[0] == "Indexes"
    assert (await titles(hub.visitor, sort="active"))[0] == "Indexes"
    assert (await titles(hub.visitor, sort="newest"))[0] == c["title"]
    relevant = await hub.visitor.read("/resources", q="indexes", sort="relevance", limit=1)
    rest = await titles(hub.visitor, q="indexes", sort="relevance", cursor=relevant["next_cursor"])
    assert {relevant["items"][0]["title"], *rest} == {c["title"], "Indexes"}
    for bad in ("sort=relevance", "sort=best", "kind=page", "level=expert", "tag=A", "q=", "x=1"):
        assert (await hub.visitor.get(f"/resources?{bad}")).status_code == 422, bad


@pytest.mark.parametrize("sort", ["newest", "top", "active"])
async def test_every_order_is_paged_without_a_gap(hub: Hub, sort: str) -> None:
    ann = await hub.person("ann")
    for n in range(5):
        await ann.create("/resources", link(f"Guide {n}"))
    found: list[str] = []
    params: dict[str, Any] = {"limit": 2, "sort": sort}
    while True:
        page = await hub.visitor.read("/resources", **params)
        found += [item["title"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert found == await titles(hub.visitor, sort=sort)
    assert len(found) == 5


async def test_one_url_added_many_times_at_once_is_added_once(live: Hub) -> None:
    ann = await live.person("ann")
    forms = [link(f"Guide {n}", url="https://example.org/same") for n in range(20)]
    answers = await asyncio.gather(*(ann.post("/resources", form) for form in forms))
    assert Counter(a.status_code for a in answers) == {201: 1, 409: 19}
    (created,) = [a.json() for a in answers if a.status_code == 201]
    refused = [a.json() for a in answers if a.status_code == 409]
    assert {(r["code"], r["existing"]["id"]) for r in refused} == {("duplicate_url", created["id"])}
    assert len((await live.visitor.read("/resources"))["items"]) == 1


async def test_of_parallel_edits_with_one_etag_one_wins(live: Hub) -> None:
    ann = await live.person("ann")
    created = await ann.post("/resources", link())
    path, etag = f"/resources/{created.json()['id']}", created.headers["ETag"]
    edits = [ann.patch(path, {"title": f"Title {n}"}, etag) for n in range(20)]
    answers = await asyncio.gather(*edits)
    assert Counter(a.status_code for a in answers) == {200: 1, 412: 19}
    assert (await ann.read(path))["revision"] == 2


LINK, SAMPLE, PROJECT = link(), code_sample(), project()
FILE = {"name": "a.py", "content": "x"}
BAD: list[dict[str, Any]] = [
    {**LINK, "url": "javascript:alert(1)"},
    {**LINK, "url": "https://user:pw@example.org/"},
    {**LINK, "url": "https://example.org/" + "é" * 600},
    {**LINK, "link_type": "poem"},
    {**LINK, "title": "ab"},
    {**LINK, "title": "x" * 201},
    {**LINK, "tags": [f"t{n}" for n in range(9)]},
    {**LINK, "tags": ["A B"]},
    {**LINK, "topic": "nowhere"},
    {**LINK, "body": "x" * 60_001},
    {**LINK, "body": "\U0001f600" * 16_001},
    {**LINK, "files": [FILE]},
    {**LINK, "kind": "page"},
    {**SAMPLE, "files": []},
    {**SAMPLE, "files": [FILE] * 2},
    {**SAMPLE, "files": [{**FILE, "name": f"{n}.py"} for n in range(21)]},
    {**SAMPLE, "files": [{**FILE, "name": "../a.py"}]},
    {**SAMPLE, "files": [{"name": f"{n}.py", "content": "x" * 60_000} for n in range(4)]},
    {**SAMPLE, "run": ""},
    {**SAMPLE, "expected_output": "x" * 20_001},
    {**SAMPLE, "url": "https://example.org/"},
    {**PROJECT, "estimated_hours": 0},
    {**PROJECT, "estimated_hours": 2_001},
    {**PROJECT, "milestones": []},
    {**PROJECT, "acceptance_criteria": [" "]},
    {**PROJECT, "difficulty": None},
]


@pytest.mark.parametrize("form", BAD, ids=range(len(BAD)))
async def test_what_is_out_of_bounds_is_refused(hub: Hub, form: dict[str, Any]) -> None:
    ann = await hub.person("ann")
    assert (await ann.post("/resources", form)).status_code == 422
    good = {"link": LINK, "code_sample": SAMPLE}.get(form["kind"], PROJECT)
    assert (await ann.post("/resources", good)).status_code == 201

"""Keyset paging: every row exactly once, and cursors that cannot be abused."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update
from sqlmodel import col

from backend_hub.posts.models import Post
from backend_hub.users.models import Role
from tests.hub import Hub, Person, link

ID = "01900000-0000-7000-8000-000000000000"


def forged(*parts: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()


async def add(ann: Person, number: int) -> str:
    created = await ann.create("/resources", link(f"A guide number {number}"))
    return str(created["id"])


async def set_score(hub: Hub, post_id: str, score: int) -> None:
    async with hub.database.transaction() as session:
        await session.execute(update(Post).where(col(Post.id) == post_id).values(score=score))


Rounds = list[tuple[int, list[int], bool]]


@given(
    sort=st.sampled_from(["newest", "top", "active", "relevance"]),
    scores=st.lists(st.integers(-2, 2), min_size=1, max_size=9),
    limit=st.integers(1, 4),
    rounds=st.lists(
        st.tuples(st.integers(0, 8), st.lists(st.integers(-2, 2), max_size=2), st.booleans()),
        max_size=4,
    ),
)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_every_row_is_visited_once_while_others_insert_and_delete(
    hub: Hub, sort: str, scores: list[int], limit: int, rounds: Rounds
) -> None:
    async with hub.database.transaction() as session:  # what the example before left
        await session.execute(text("TRUNCATE users, posts, topics, tags, throttles CASCADE"))
    ann = await hub.person("ann")
    initial = []
    for number, score in enumerate(scores):
        initial.append(await add(ann, number))
        await set_score(hub, initial[-1], score)
    params: dict[str, Any] = {"sort": sort, "limit": limit}
    if sort == "relevance":
        params["q"] = "guide"
    seen: list[str] = []
    deleted: set[str] = set()
    added = len(scores)
    page = await hub.visitor.read("/resources", **params)
    while True:
        seen += [item["id"] for item in page["items"]]
        assert len(page["items"]) == limit or page["next_cursor"] is None
        if page["next_cursor"] is None:
            break
        if rounds:
            victim, new_scores, delete = rounds.pop()
            if delete and victim < len(initial) and initial[victim] not in deleted:
                assert (await ann.delete(f"/resources/{initial[victim]}")).status_code == 204
                deleted.add(initial[victim])
            for score in new_scores:
                await set_score(hub, await add(ann, added), score)
                added += 1
        page = await hub.visitor.read("/resources", **params, cursor=page["next_cursor"])
    assert len(seen) == len(set(seen)), "a row came twice"
    assert set(initial) - deleted <= set(seen), "a row was missed"


async def comments(hub: Hub, ann: Person) -> str:
    post = await ann.create("/resources", link())
    for number in range(5):
        await ann.create(f"/posts/{post['id']}/comments", {"body": f"Remark {number}"})
    return f"/posts/{post['id']}/comments"


async def resources(hub: Hub, ann: Person) -> str:
    for number in range(5):
        await add(ann, number)
    return "/resources?sort=active"


async def revisions(hub: Hub, ann: Person) -> str:
    post = await ann.create("/resources", link())
    for number in range(4):
        await ann.patch(f"/resources/{post['id']}", {"title": f"Title {number}"})
    return f"/posts/{post['id']}/revisions"


async def tags(hub: Hub, ann: Person) -> str:
    await ann.create("/resources", link(tags=["c", "c++", "c-sharp", "d", "e.f"]))
    return "/tags"


async def topics(hub: Hub, ann: Person) -> str:
    for slug in ("a", "a-b", "b", "c", "d"):
        await ann.create("/topics", {"slug": slug, "name": slug, "parent": None})
    return "/topics"


async def bookmarks(hub: Hub, ann: Person) -> str:
    for number in range(5):
        await ann.put(f"/posts/{await add(ann, number)}/bookmark")
    return "/bookmarks"


async def accounts(hub: Hub, ann: Person) -> str:
    for name in ("bob", "cat", "dan", "eve"):
        await hub.person(name)
    return "/accounts"


async def contributors(hub: Hub, ann: Person) -> str:
    post = await ann.create("/resources", link())
    for name in ("Bob", "b_b", "b-b", "cat"):
        rita = await hub.person(name, Role.reviewer)
        await rita.patch(f"/resources/{post['id']}", {"title": f"By {name}"})
    return f"/posts/{post['id']}/contributors"


@pytest.mark.parametrize(
    "fill", [comments, resources, revisions, tags, topics, bookmarks, accounts, contributors]
)
async def test_the_link_header_is_the_next_cursor_until_the_last_page(
    hub: Hub, fill: Callable[[Hub, Person], Awaitable[str]]
) -> None:
    ann = await hub.person("ann", Role.admin)
    path = await fill(hub, ann)
    mark = "&" if "?" in path else "?"
    everything = (await ann.read(f"{path}{mark}limit=100"))["items"]
    assert len(everything) == 5
    answer = await ann.get(f"{path}{mark}limit=2&include_total=true")
    found = []
    for size in (2, 2, 1):
        page = answer.json()
        assert (len(page["items"]), page["total"]) == (size, 5)
        found += page["items"]
        if size == 1:
            assert page["next_cursor"] is None
            assert "Link" not in answer.headers
            break
        target, rel = answer.headers["Link"].split("; ")
        assert rel == 'rel="next"'
        query = parse_qs(urlsplit(target.strip("<>")).query)
        assert query["cursor"] == [page["next_cursor"]]
        assert query["limit"] == ["2"]
        answer = await ann.get(target.strip("<>"))
        assert answer.status_code == 200
    assert found == everything
    assert (await ann.read(f"{path}{mark}limit=5"))["next_cursor"] is None


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "not base64!",
        "a" * 1_001,
        forged(),
        forged("newest"),
        forged("newest", 5),
        forged("newest", None),
        forged("newest", [ID]),
        forged("newest", {"a": 1}),
        forged("newest", "nonsense"),
        forged("newest", ID, ID),
        forged("oldest", ID),
        forged("active", "2026-01-01T00:00:00Z", ID),
        forged(["newest"], ID),
        base64.urlsafe_b64encode(b"[" * 700).decode(),
        base64.urlsafe_b64encode(b"7").decode(),
        base64.urlsafe_b64encode(b'{"a":1}').decode().rstrip("="),
        base64.urlsafe_b64encode(b"\xff\xfe").decode().rstrip("="),
    ],
)
async def test_a_tampered_cursor_is_refused(hub: Hub, cursor: str) -> None:
    ann = await hub.person("ann")
    await add(ann, 1)
    answer = await hub.visitor.get("/resources", params={"cursor": cursor})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["loc"] == ["query", "cursor"]
    good = await hub.visitor.get("/resources", params={"cursor": forged("newest", ID)})
    assert good.status_code == 200


@pytest.mark.parametrize(
    ("sort", "values"),
    [
        ("active", ("2026-01-01T00:00:00", ID)),
        ("active", ("0001-01-01T00:00:00+23:59", ID)),
        ("active", ("9999-12-31T23:59:59-23:59", ID)),
        ("active", (5, ID)),
        ("active", ("2026-W01", ID)),
        ("top", (2**63, ID)),
        ("top", (2**62, ID)),
        ("top", (1.5, ID)),
        ("top", (True, ID)),
        ("top", ("1", ID)),
        ("relevance", ("a", ID)),
        ("relevance", ([], ID)),
    ],
)
async def test_a_cursor_with_impossible_values_is_refused(
    hub: Hub, sort: str, values: tuple[Any, ...]
) -> None:
    params = {"sort": sort, "q": "guide", "cursor": forged(sort, *values)}
    answer = await hub.visitor.get("/resources", params=params)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("limit", ["0", "-1", "101", "1e9", "", "9" * 30, "NaN"])
async def test_the_limit_has_bounds(hub: Hub, limit: str) -> None:
    assert (await hub.visitor.get(f"/resources?limit={limit}")).status_code == 422
    for allowed in (1, 100):
        assert (await hub.visitor.get(f"/resources?limit={allowed}")).status_code == 200


async def test_the_total_is_of_all_pages_and_only_when_asked(hub: Hub) -> None:
    ann = await hub.person("ann")
    for number in range(3):
        await add(ann, number)
    page = await hub.visitor.read("/resources", limit=2)
    assert page["total"] is None
    rest = {"limit": 2, "cursor": page["next_cursor"], "include_total": True}
    assert (await hub.visitor.read("/resources", **rest))["total"] == 3

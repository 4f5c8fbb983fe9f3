"""ETags: strong, one for each encoding, conditional reads and lost updates."""

import asyncio
from typing import Any

import httpx
import pytest

from backend_hub.users.models import Role
from tests.hub import Hub, Person, link

GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


async def furnished(hub: Hub) -> tuple[Person, list[str]]:
    """Somebody, and a path of every kind of single item and list."""
    admin = await hub.person("root-of-all", Role.admin)
    await admin.create("/topics", {"slug": "databases", "name": "Databases", "parent": None})
    post = await admin.create("/resources", link(topic="databases", tags=["sql"]))
    comment = await admin.create(f"/posts/{post['id']}/comments", {"body": "Good."})
    posts = f"/posts/{post['id']}"
    return admin, [
        "/resources",
        f"/resources/{post['id']}",
        posts,
        f"{posts}/comments",
        f"{posts}/revisions",
        f"{posts}/revisions/1",
        f"{posts}/diff?from=1&to=1",
        f"{posts}/contributors",
        f"/comments/{comment['id']}",
        "/topics",
        "/topics/databases",
        "/tags",
        "/tags/sql",
        "/users/me",
        "/users/root-of-all",
        "/users/root-of-all/posts",
        "/bookmarks",
        "/accounts",
        f"/accounts/{admin.id}",
        "/events",
        "/.well-known/jwks.json",
    ]


async def test_every_item_and_list_has_a_strong_etag_and_answers_304_to_it(hub: Hub) -> None:
    admin, paths = await furnished(hub)
    for path in paths:
        full = await admin.get(path, headers=PLAIN)
        etag = full.headers["ETag"]
        assert full.status_code == 200, path
        assert etag.startswith('"'), path
        again = await admin.get(path, headers={**PLAIN, "If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b""), path
        for name in ("ETag", "Cache-Control", "Vary"):
            assert again.headers[name] == full.headers[name], (path, name)
        assert "Content-Type" not in again.headers
        other = await admin.get(path, headers={**PLAIN, "If-None-Match": '"another"'})
        assert other.status_code == 200


@pytest.mark.parametrize(
    ("template", "status"),
    [
        ("{0}", 304),
        ("W/{0}", 304),
        ('"a", {0}', 304),
        ('W/"a","b" ,W/{0}', 304),
        ("*", 304),
        ('"a", "b"', 200),
        ("", 200),
        ('"', 200),
    ],
)
async def test_if_none_match_takes_weak_tags_lists_and_a_star(
    hub: Hub, template: str, status: int
) -> None:
    ann = await hub.person("ann")
    etag = (await ann.get("/users/me")).headers["ETag"]
    answer = await ann.get("/users/me", headers={"If-None-Match": template.format(etag)})
    assert answer.status_code == status


async def test_if_none_match_may_come_in_several_lines(hub: Hub) -> None:
    etag = (await hub.visitor.get("/resources")).headers["ETag"]
    lines = httpx.Headers([("If-None-Match", '"a"'), ("If-None-Match", etag)])
    answer = await hub.client.get("/api/v1/resources", headers=lines)
    assert answer.status_code == 304


async def test_the_etag_tells_what_this_viewer_sees(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    post = await ann.create("/resources", link())
    path = f"/resources/{post['id']}"
    assert (await bob.put(f"/posts/{post['id']}/vote", {"value": 1})).status_code == 200
    tags = [(await person.get(path)).headers["ETag"] for person in (hub.visitor, ann, bob)]
    assert len(set(tags)) == 3
    assert "Authorization" in (await ann.get(path)).headers["Vary"]


async def test_the_etag_of_every_answer_works_in_the_next_if_match(hub: Hub) -> None:
    admin, _ = await furnished(hub)
    created = await admin.post("/resources", link("Another"))
    path = created.headers["Location"]
    steps: list[tuple[str, dict[str, Any]]] = [
        (path, {"title": "Second title"}),
        (path, {"title": "Third title"}),
    ]
    etag = created.headers["ETag"]
    for target, change in steps:
        changed = await admin.patch(target, change, etag)
        assert changed.status_code == 200, changed.text
        etag = changed.headers["ETag"]
    assert etag == (await admin.get(path)).headers["ETag"]
    assert (await admin.delete(path, etag)).status_code == 204


@pytest.mark.parametrize(
    ("read", "change"),
    [
        ("/users/me", {"bio": "Likes B-trees."}),
        ("/topics/databases", {"name": "All databases"}),
        ("/tags/sql", {"description": "The language."}),
    ],
)
async def test_a_read_etag_lets_one_change_through(
    hub: Hub, read: str, change: dict[str, Any]
) -> None:
    admin, _ = await furnished(hub)
    etag = (await admin.get(read)).headers["ETag"]
    changed = await admin.patch(read, change, etag)
    assert changed.status_code == 200, changed.text
    stale = await admin.patch(read, change, etag)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (await admin.patch(read, change, changed.headers["ETag"])).status_code == 200


async def test_a_vote_or_a_comment_does_not_make_an_if_match_stale_but_an_edit_does(
    hub: Hub,
) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    created = await ann.post("/resources", link())
    path, post = created.headers["Location"], f"/posts/{created.json()['id']}"
    etag = created.headers["ETag"]
    assert (await bob.put(f"{post}/vote", {"value": 1})).status_code == 200
    await bob.create(f"{post}/comments", {"body": "Thank you."})
    assert (await ann.get(path)).headers["ETag"] != etag
    assert (await ann.patch(path, {"title": "New title"}, etag)).status_code == 200
    assert (await ann.patch(path, {"title": "Newer title"}, etag)).status_code == 412


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ("*", 200),
        ('"0-a", {0}', 200),
        ("W/{0}", 412),
        ('"2-a"', 412),
        ('"-1"', 412),
        ('""', 412),
        ("nonsense", 412),
        ("x" * 501, 422),
    ],
)
async def test_if_match_is_compared_strongly(hub: Hub, if_match: str, status: int) -> None:
    ann = await hub.person("ann")
    etag = (await ann.get("/users/me")).headers["ETag"]
    changed = await ann.patch("/users/me", {"bio": "New."}, if_match.format(etag))
    assert changed.status_code == status


async def test_the_compressed_form_has_an_etag_of_its_own_that_works_everywhere(hub: Hub) -> None:
    ann = await hub.person("ann")
    created = await ann.post("/resources", link(body="An index. " * 400), headers=GZIP)
    path = created.headers["Location"]
    plain, packed = await ann.get(path, headers=PLAIN), await ann.get(path, headers=GZIP)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.json() == packed.json()
    etag = packed.headers["ETag"]
    assert etag == f'{plain.headers["ETag"][:-1]}-gzip"' == created.headers["ETag"]
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["Vary"]
    known = await ann.get(path, headers={**GZIP, "If-None-Match": etag})
    assert (known.status_code, known.headers["ETag"]) == (304, etag)
    assert known.headers["Vary"] == packed.headers["Vary"]
    # Who takes no gzip any more cannot use the compressed form that it has.
    unpacked = await ann.get(path, headers={**PLAIN, "If-None-Match": etag})
    assert unpacked.status_code == 200
    assert (await ann.patch(path, {"title": "New title"}, etag)).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("br;q=1, gzip; q=0.000", False),
        ("br", False),
        ("", False),
    ],
)
async def test_accept_encoding_is_understood(hub: Hub, accepted: str, packed: bool) -> None:
    ann = await hub.person("ann")
    created = await ann.create("/resources", link(body="An index. " * 400))
    answer = await ann.get(f"/resources/{created['id']}", headers={"Accept-Encoding": accepted})
    assert ("Content-Encoding" in answer.headers) is packed


async def test_what_must_not_be_stored_has_no_etag(hub: Hub) -> None:
    await hub.person("ann")
    form = {"username": "ann", "password": "wrong"}
    refused = await hub.visitor.request("POST", "/auth/token", data=form)
    assert "ETag" not in refused.headers
    assert refused.headers["Cache-Control"] == "no-store"
    missing = await hub.visitor.get("/resources/00000000-0000-7000-8000-000000000000")
    assert (missing.status_code, "ETag" in missing.headers) == (404, False)


async def test_of_twenty_parallel_edits_one_succeeds(live: Hub) -> None:
    ann = await live.person("ann")
    created = await ann.post("/resources", link())
    path, etag = created.headers["Location"], created.headers["ETag"]
    edits = [ann.patch(path, {"title": f"Title {n}"}, etag) for n in range(20)]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*edits))
    assert statuses == [200] + [412] * 19

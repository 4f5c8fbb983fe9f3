"""Topics and tags over HTTP."""

import asyncio
from typing import Any

import pytest

from backend_hub.topics.service import MAX_DEPTH
from backend_hub.users.models import Role
from tests.hub import Hub, Person, link


async def slugs(hub: Hub, **params: Any) -> list[str]:
    return [t["slug"] for t in (await hub.visitor.read("/topics", **params))["items"]]


async def add(admin: Person, slug: str, parent: str | None = None, position: int = 0) -> None:
    form = {"slug": slug, "name": slug, "parent": parent, "position": position}
    await admin.create("/topics", form)


async def test_topics_are_listed_as_a_tree_is_read(hub: Hub) -> None:
    admin = await hub.person("root", Role.admin)
    for slug, parent, position in (
        ("b", None, 2),
        ("a-b", None, 2),
        ("c", None, 1),
        ("a", None, 2),
        ("z", "a", 0),
        ("y", "a", 1),
        ("x", "z", 0),
    ):
        await add(admin, slug, parent, position)
    tree = ["c", "a", "z", "x", "y", "a-b", "b"]
    assert await slugs(hub) == tree
    first = await hub.visitor.read("/topics", limit=3)
    rest = await slugs(hub, cursor=first["next_cursor"])
    assert [t["slug"] for t in first["items"]] + rest == tree
    assert [t["depth"] for t in (await hub.visitor.read("/topics"))["items"]] == [
        0,
        0,
        1,
        2,
        1,
        0,
        0,
    ]
    assert await slugs(hub, parent="a") == ["z", "y"]
    assert await slugs(hub, depth=0) == ["c", "a", "a-b", "b"]


async def test_counts_include_sub_topics_and_no_deleted_posts(hub: Hub) -> None:
    admin = await hub.person("root", Role.admin)
    await add(admin, "top")
    await add(admin, "below", "top")
    one = await admin.create("/resources", link("One", topic="top"))
    await admin.create("/resources", link("Two", topic="below"))
    counts = {t["slug"]: t["resource_count"] for t in (await hub.visitor.read("/topics"))["items"]}
    assert counts == {"top": 2, "below": 1}
    await admin.delete(f"/resources/{one['id']}")
    assert (await hub.visitor.read("/topics/top"))["resource_count"] == 1


async def test_a_topic_moves_but_never_below_itself_nor_too_deep(hub: Hub) -> None:
    admin = await hub.person("root", Role.admin)
    parent = None
    for n in range(MAX_DEPTH):
        await add(admin, long(n), parent)
        parent = long(n)
    too_deep = await admin.post("/topics", {"slug": "deep", "name": "Deep", "parent": parent})
    assert (too_deep.status_code, too_deep.json()["errors"][0]["loc"]) == (422, ["body", "parent"])
    page = await hub.visitor.read("/topics", limit=MAX_DEPTH - 1)
    assert await slugs(hub, cursor=page["next_cursor"]) == [long(MAX_DEPTH - 1)]
    await add(admin, "other")
    await add(admin, "under-other", "other")
    for slug, target, status in (
        (long(0), long(0), 422),
        (long(0), long(5), 422),
        (long(0), "nowhere", 422),
        (long(1), "under-other", 422),
        (long(2), "under-other", 200),
        ("other", long(1), 422),
        (long(2), None, 200),
        ("other", long(1), 200),
    ):
        moved = await admin.patch(f"/topics/{slug}", {"parent": target})
        assert moved.status_code == status, (slug, target, moved.text)
    assert len(await slugs(hub)) == MAX_DEPTH + 2


def long(n: int) -> str:
    return f"{n:02}" + "x" * 118


async def test_two_moves_at_once_close_no_circle(live: Hub) -> None:
    admin = await live.person("root", Role.admin)
    for slug in ("a", "b"):
        await add(admin, slug)
    answers = await asyncio.gather(
        admin.patch("/topics/a", {"parent": "b"}), admin.patch("/topics/b", {"parent": "a"})
    )
    assert sorted(a.status_code for a in answers) == [200, 422]
    assert len(await slugs(live)) == 2


async def test_only_an_empty_topic_is_deleted_and_a_slug_is_unique(hub: Hub) -> None:
    admin = await hub.person("root", Role.admin)
    await add(admin, "top")
    await add(admin, "below", "top")
    taken = await admin.post("/topics", {"slug": "top", "name": "Top"})
    assert (taken.status_code, taken.json()["code"]) == (409, "slug_taken")
    assert (await admin.patch("/topics/below", {"slug": "top"})).status_code == 409
    refused = await admin.delete("/topics/top")
    assert (refused.status_code, refused.json()["code"]) == (409, "topic_not_empty")
    await admin.create("/resources", link(topic="below"))
    assert (await admin.delete("/topics/below")).status_code == 409
    post = (await admin.read("/resources"))["items"][0]
    await admin.patch(f"/resources/{post['id']}", {"topic": None})
    assert (await admin.delete("/topics/below", '"9"')).status_code == 412
    assert (await admin.delete("/topics/below")).status_code == 204
    assert (await admin.delete("/topics/top")).status_code == 204


async def test_maintainers_are_appointed_and_dismissed(hub: Hub) -> None:
    admin = await hub.person("root", Role.admin)
    await hub.person("ann")
    await add(admin, "top")
    path = "/topics/top/maintainers/ANN"
    assert [(await admin.put(path)).status_code for _ in range(2)] == [204, 204]
    assert (await hub.visitor.read("/topics/top"))["maintainers"] == ["ann"]
    assert [(await admin.delete(path)).status_code for _ in range(2)] == [204, 204]
    assert (await hub.visitor.read("/topics/top"))["maintainers"] == []
    assert (await admin.put("/topics/top/maintainers/nobody")).status_code == 404
    assert (await admin.put("/topics/nowhere/maintainers/ann")).status_code == 404


async def test_a_synonym_gives_the_tag_and_belongs_to_one_tag(hub: Hub) -> None:
    admin = await hub.person("root", Role.admin)
    await admin.create("/resources", link(tags=["python", "go"]))
    assert (await admin.patch("/tags/python", {"synonyms": ["py", "python3"]})).status_code == 200
    post = await admin.create("/resources", link("Two", tags=["py", "new", "python3"]))
    assert post["tags"] == ["python", "new"]
    assert (await hub.visitor.read("/tags/py"))["post_count"] == 2
    for words in (["py"], ["python"], ["go"]):
        refused = await admin.patch("/tags/go", {"synonyms": words})
        assert (refused.status_code, refused.json()["code"]) == (409, "synonym_taken")
    assert (await admin.patch("/tags/python", {"synonyms": []})).status_code == 200
    assert (await admin.patch("/tags/go", {"synonyms": ["py"]})).status_code == 200


@pytest.mark.parametrize(
    ("prefix", "found"),
    [("py", ["python"]), ("c", ["c#", "c++"]), ("sna", ["python"]), ("_", []), ("%", [])],
)
async def test_tags_are_found_by_their_beginning(hub: Hub, prefix: str, found: list[str]) -> None:
    admin = await hub.person("root", Role.admin)
    await admin.create("/resources", link(tags=["python", "c++", "c#"]))
    await admin.patch("/tags/python", {"synonyms": ["snake"]})
    items = (await hub.visitor.read("/tags", prefix=prefix))["items"]
    assert sorted(tag["name"] for tag in items) == found


async def test_the_same_new_tags_in_any_order_at_once_become_one_each(live: Hub) -> None:
    ann = await live.person("ann")
    names = [f"tag-{n}" for n in range(8)]
    forms = [link(f"Guide {n}", tags=names[::-1] if n % 2 else names) for n in range(20)]
    answers = await asyncio.gather(*(ann.post("/resources", form) for form in forms))
    assert {a.status_code for a in answers} == {201}
    tags = (await live.visitor.read("/tags"))["items"]
    assert [(tag["name"], tag["post_count"]) for tag in tags] == [(name, 20) for name in names]


async def test_posts_that_are_hidden_and_shown_at_once_are_counted_as_they_end(live: Hub) -> None:
    ann = await live.person("ann")
    posts = [await ann.create("/resources", link(f"Guide {n}", tags=["sql"])) for n in range(6)]
    for path in [f"/resources/{post['id']}" for post in posts]:
        await asyncio.gather(*(ann.delete(path) for _ in range(3)), ann.post(f"{path}/restore"))
    shown = len((await live.visitor.read("/resources?tag=sql"))["items"])
    assert (await live.visitor.read("/tags/sql"))["post_count"] == shown
    for post in posts:
        await ann.post(f"/resources/{post['id']}/restore")
    assert (await live.visitor.read("/tags/sql"))["post_count"] == len(posts)

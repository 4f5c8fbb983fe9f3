"""Bookmarks over HTTP."""

from backend_hub.posts.models import PostKind
from tests.hub import Hub, link
from tests.posts.kinds import write_post


async def test_bookmarks_are_a_private_list_the_newest_first(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    ids = [(await ann.create("/resources", link(f"Guide {n}")))["id"] for n in range(3)]
    for post_id in (ids[2], ids[0], ids[2], ids[1]):
        response = await bob.put(f"/posts/{post_id}/bookmark")
        assert (response.status_code, response.json()) == (200, {"bookmarked": True})
    listed = (await bob.read("/bookmarks"))["items"]
    assert [item["id"] for item in listed] == [ids[1], ids[0], ids[2]]
    assert (await ann.read("/bookmarks"))["items"] == []
    assert (await hub.visitor.get("/bookmarks")).status_code == 401


async def test_a_bookmark_is_removed_and_removing_it_again_is_fine(hub: Hub) -> None:
    ann = await hub.person("ann")
    path = f"/posts/{(await ann.create('/resources', link()))['id']}/bookmark"
    await ann.put(path)
    assert [(await ann.delete(path)).status_code for _ in range(2)] == [204, 204]
    assert (await ann.read("/bookmarks"))["items"] == []


async def test_bookmarks_are_paged_and_each_is_seen_once(hub: Hub) -> None:
    ann = await hub.person("ann")
    ids = [(await ann.create("/resources", link(f"Guide {n}")))["id"] for n in range(5)]
    for post_id in ids:
        await ann.put(f"/posts/{post_id}/bookmark")
    seen, cursor = [], None
    while True:
        page = await ann.read("/bookmarks", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [item["id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ids[::-1]


async def test_what_cannot_be_seen_cannot_be_bookmarked(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    draft = await write_post(hub, ann, PostKind.contribution, draft=True)
    assert (await bob.put(f"/posts/{draft}/bookmark")).status_code == 404
    assert (await ann.put(f"/posts/{draft}/bookmark")).status_code == 200
    shown = await ann.create("/resources", link())
    assert (await bob.put(f"/posts/{shown['id']}/bookmark")).status_code == 200
    await ann.delete(f"/resources/{shown['id']}")
    assert (await bob.read("/bookmarks"))["items"] == []
    await ann.post(f"/resources/{shown['id']}/restore")
    assert [item["id"] for item in (await bob.read("/bookmarks"))["items"]] == [shown["id"]]

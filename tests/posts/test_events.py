"""The event log over HTTP: what each reader sees of it, and that nothing is skipped."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from backend_hub.events.service import record
from backend_hub.http.cursors import encode_cursor
from backend_hub.users.models import Role
from tests.hub import Hub, Person, link


async def types(person: Person, **params: Any) -> list[str]:
    """The types of all events that a person sees."""
    page = await person.read("/events", limit=100, **params)
    return [event["type"] for event in page["items"]]


async def test_an_event_that_commits_late_holds_back_later_ones(live: Hub) -> None:
    ann = await live.person("ann")
    seen = await live.visitor.read("/events", limit=100)
    after = seen["next_cursor"]
    async with live.database.transaction() as slow:
        record(slow, "test.slow", actor_id=None, subject_id="1")
        await slow.flush()
        await ann.create("/resources", link())
        waiting = await Person(live.client).read("/events", after=after)
        assert (waiting["items"], waiting["next_cursor"]) == ([], after)
    found = []
    for _ in range(3):  # one event a page: no reader loses its place
        page = await live.visitor.read("/events", limit=1, after=after)
        found += [event["type"] for event in page["items"]]
        after = page["next_cursor"]
    assert found == ["test.slow", "resource.created"]


async def test_paging_visits_every_event_once(live: Hub) -> None:
    ann = await live.person("ann")
    for n in range(5):
        await ann.create("/resources", link(f"Guide {n}"))
    whole = await types(live.visitor)
    found: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while items := (page := await live.visitor.read("/events", **params))["items"]:
        found += [event["id"] for event in items]
        params["after"] = page["next_cursor"]
    assert len(found) == len(set(found)) == len(whole)
    assert whole.count("resource.created") == 5


async def test_private_events_are_for_their_actor_and_moderators(live: Hub) -> None:
    ann, bob = await live.person("ann"), await live.person("bob")
    mod = await live.person("mod", Role.moderator)
    post = await ann.create("/resources", link())
    await bob.put(f"/posts/{post['id']}/vote", {"value": 1})
    for person, events in ((bob, 1), (mod, 1), (ann, 0), (live.visitor, 0)):
        assert (await types(person)).count("post.voted") == events
        assert (await types(person)).count("resource.created") == 1


async def test_the_events_of_a_deleted_post_vanish_and_return(live: Hub) -> None:
    ann, bob = await live.person("ann"), await live.person("bob")
    mod = await live.person("mod", Role.moderator)
    post = await ann.create("/resources", link())
    await bob.post(f"/posts/{post['id']}/comments", {"body": "Good."})
    about = {"resource.created", "comment.created"}
    assert about <= set(await types(live.visitor))
    await ann.delete(f"/resources/{post['id']}")
    assert not about & set(await types(live.visitor))
    assert about & set(await types(bob)) == {"comment.created"}
    assert about | {"resource.deleted"} <= set(await types(mod))
    await ann.post(f"/resources/{post['id']}/restore")
    assert about <= set(await types(live.visitor))


async def test_events_are_filtered_by_the_beginning_of_their_type(live: Hub) -> None:
    ann = await live.person("ann")
    await ann.create("/resources", link())
    await ann.patch(
        f"/resources/{(await ann.read('/resources'))['items'][0]['id']}", {"title": "New"}
    )
    assert await types(live.visitor, type="resource.") == ["resource.created", "resource.edited"]
    assert await types(live.visitor, type="resource.edited") == ["resource.edited"]
    assert await types(live.visitor, type="resource_") == []
    for bad in ("", "%", "A", "x" * 61):
        assert (await live.visitor.get("/events", params={"type": bad})).status_code == 422


BAD = [
    "",
    "x",
    "a b",
    "x" * 1_001,
    encode_cursor("newest", [1, 1]),
    encode_cursor("log", [1]),
    encode_cursor("log", ["1", "1"]),
    encode_cursor("log", [2**63, 1]),
    encode_cursor("log", [True, 1]),
    encode_cursor("log", [None, None]),
]


@pytest.mark.parametrize("after", BAD)
async def test_a_cursor_of_another_list_is_refused(hub: Hub, after: str) -> None:
    refused = await hub.visitor.get("/events", params={"after": after})
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["loc"] == ["query", "after"]
    for good in ([0, 0], [2**62, 2**62], [2**63 - 1, -1]):
        await hub.visitor.read("/events", after=encode_cursor("log", good))


async def test_a_reader_goes_on_in_a_restored_hub(live: Hub) -> None:
    ann = await live.person("ann")
    page = await live.visitor.read("/events", limit=1)
    after = page["next_cursor"]
    async with live.database.transaction() as session:  # what `migrate` does after a restore
        await session.execute(text("UPDATE events SET transaction_id = 0"))
    await ann.create("/resources", link())
    rest = await live.visitor.read("/events", after=after)
    assert [event["type"] for event in rest["items"]] == ["resource.created"]
    ahead = encode_cursor("log", [2**40, int(page["items"][0]["id"])])
    rest = await live.visitor.read("/events", after=ahead)
    assert [event["type"] for event in rest["items"]] == ["resource.created"]


async def test_an_event_tells_who_did_what(live: Hub) -> None:
    ann = await live.person("ann")
    post = await ann.create("/resources", link())
    event = (await live.visitor.read("/events", type="resource.created"))["items"][0]
    assert (event["actor"]["username"], event["post_id"], event["subject_id"]) == (
        "ann",
        post["id"],
        post["id"],
    )
    async with live.database.transaction() as session:
        record(session, "test.nobody", actor_id=None, subject_id=UUID(int=1), n=1)
    event = (await live.visitor.read("/events", type="test.nobody"))["items"][0]
    assert (event["actor"], event["post_id"], event["data"]) == (None, None, {"n": 1})

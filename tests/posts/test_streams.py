"""The event log as a stream of server-sent events."""

import json
from typing import Any

import httpx
from sqlalchemy import update
from sqlmodel import col

from backend_hub.auth.models import TokenFamily
from backend_hub.db import utcnow
from tests.hub import Hub, Person, link

BEGINNING = "WyJsb2ciLDAsMF0"


def parsed(stream: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream that ended (HTML living standard, 9.2.6)."""
    assert stream.status_code == 200, stream.text
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    blocks = [block for block in stream.text.split("\n\n") if "data: " in block]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


async def stream(person: Person, **headers: str) -> list[dict[str, Any]]:
    return parsed(await person.get("/events/stream", params={"seconds": 0}, headers=headers))


async def test_a_stream_goes_on_after_the_last_event_that_the_reader_had(live: Hub) -> None:
    ann = await live.person("ann")
    for n in range(3):
        await ann.create("/resources", link(f"Guide {n}"))
    await live.settled()
    whole = await stream(live.visitor, **{"Last-Event-ID": BEGINNING})
    assert [event["event"] for event in whole].count("resource.created") == 3
    data = json.loads(whole[-1]["data"])
    listed = (await live.visitor.read("/events", limit=100))["items"]
    assert data == listed[-1], "what is streamed is what is listed"
    rest = await stream(live.visitor, **{"Last-Event-ID": whole[-2]["id"]})
    assert rest == whole[-1:]
    assert await stream(live.visitor) == [], "a new reader begins now"


async def test_a_stream_shows_no_more_than_the_log(live: Hub) -> None:
    ann, bob = await live.person("ann"), await live.person("bob")
    post = await ann.create("/resources", link())
    await bob.put(f"/posts/{post['id']}/vote", {"value": 1})
    await live.settled()
    for person, votes in ((bob, 1), (ann, 0), (live.visitor, 0)):
        seen = await stream(person, **{"Last-Event-ID": BEGINNING})
        assert [event["event"] for event in seen].count("post.voted") == votes


async def test_a_stream_ends_with_the_sign_in_of_its_reader(live: Hub) -> None:
    ann = await live.person("ann")
    assert (await ann.get("/events/stream?seconds=0")).status_code == 200
    async with live.database.transaction() as session:
        await session.execute(update(TokenFamily).values({col(TokenFamily.revoked_at): utcnow()}))
    assert (await ann.get("/events/stream?seconds=0")).status_code == 401


async def test_a_place_that_is_none_is_refused_before_the_stream_begins(hub: Hub) -> None:
    for headers, params in (({"Last-Event-ID": "nonsense"}, {}), ({}, {"after": "nonsense"})):
        refused = await hub.visitor.get("/events/stream", params=params, headers=headers)
        assert refused.status_code == 422
        assert refused.headers["Content-Type"] == "application/problem+json"

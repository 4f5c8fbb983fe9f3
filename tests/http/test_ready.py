"""What is sent without Pydantic is what Pydantic would have sent: no field more, less or else."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from fastapi import FastAPI, Response
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import TypeAdapter
from sqlalchemy import event, text, update
from sqlmodel import col

from backend_hub.http.cursors import encode_cursor
from backend_hub.posts.models import Comment, Post
from backend_hub.users.models import Role
from tests.hub import Hub, Person, answered, code_sample, link, project, question


def models(app: FastAPI) -> dict[str, TypeAdapter[Any]]:
    """The model of each route that returns a Response of its own making."""
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    return {
        route.name: TypeAdapter(route.response_model)
        for route in routes
        if isinstance(route, APIRoute)
        and route.response_model is not None
        and route.endpoint.__annotations__.get("return") is Response
    }


class Checked:
    """Holds answers against the model of their route."""

    def __init__(self, app: FastAPI) -> None:
        self.models = models(app)
        self.seen: set[str] = set()

    def check(self, name: str, response: httpx.Response) -> Any:
        assert response.status_code in {200, 201}, response.text
        adapter = self.models[name]
        as_pydantic = adapter.dump_json(adapter.validate_json(response.content))
        sent = orjson.loads(response.content)
        assert sent == orjson.loads(as_pydantic)
        self.seen.add(name)
        return sent


@pytest.fixture
def checked(app: FastAPI) -> Checked:
    return Checked(app)


async def whole_seconds(hub: Hub) -> None:
    """Moments without a fraction, which are written shorter."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    async with hub.database.transaction() as session:
        await session.execute(update(Post).values(created_at=moment))
        await session.execute(update(Comment).values(created_at=moment))
        await session.execute(update(Post).where(col(Post.title) != "").values(updated_at=moment))


async def ask_everything(hub: Hub, checked: Checked, ann: Person, bob: Person, rita: Person) -> str:
    """A question with all that one can have, checked after each of its changes."""
    form = question("Why \u2028 not? \U0001f600 \x7f", tags=["sql", "indexes"], topic="databases")
    asked = checked.check("ask_question", await ann.post("/questions", form))["id"]
    path = f"/questions/{asked}"
    replies = [await p.create(f"{path}/answers", {"body": "So"}) for p in (bob, rita)]
    for post in (asked, replies[0]["id"]):
        await bob.create(f"/posts/{post}/comments", {"body": "Why *so*?"})
        checked.check("vote", await rita.put(f"/posts/{post}/vote", {"value": 1}))
    title = {"title": "Why is it not?"}
    checked.check("edit_question", await ann.patch(path, title))
    accept = {"json": {"answer_id": replies[0]["id"]}, "headers": {"If-Match": "*"}}
    accepted = await ann.request("PUT", f"{path}/accepted-answer", **accept)
    checked.check("accept_answer", accepted)
    restored = await ann.request("POST", f"{path}/revisions/1/restore", headers={"If-Match": "*"})
    checked.check("restore_question_revision", restored)
    first, _ = await answered(bob, rita)
    close = {"reason": "duplicate", "duplicate_of_id": first}
    checked.check("close_question", await ann.post(f"{path}/close", close))
    return path


async def test_a_question_and_lists_are_sent_as_their_models_say(
    hub: Hub, checked: Checked
) -> None:
    await hub.topic("databases")
    ann, bob = await hub.person("ann"), await hub.person("bob")
    rita = await hub.person("rita", Role.moderator)
    path = await ask_everything(hub, checked, ann, bob, rita)
    await ann.create("/resources", link("Why indexes", topic="databases", level="beginner"))
    for fraction in (True, False):
        if not fraction:
            await whole_seconds(hub)
        for reader in (hub.visitor, ann, rita):
            found = checked.check("read_question", await reader.get(path))
            assert len(found["answers"]) == 2
            assert found["comments"]
            listed = await reader.get("/questions?tag=sql&sort=top&include_total=true&limit=1")
            assert checked.check("list_questions", listed)["total"] == 1
            for q in ("index", "kind:question", "so topic:databases", "nothing-has-this"):
                for cursor in await cursors(reader, "/search", q):
                    page = await reader.get("/search", params={"q": q, "limit": 1, **cursor})
                    checked.check("search", page)
    checked.check("reopen_question", await ann.post(f"{path}/reopen"))
    assert (await rita.delete(path)).status_code == 204
    assert checked.check("read_question", await rita.get(path))["deleted_at"]
    checked.check("restore_question", await rita.post(f"{path}/restore"))


async def cursors(reader: Person, path: str, q: str) -> list[dict[str, str]]:
    """The parameters of the first page and of the second, when there is one."""
    page = await reader.read(path, q=q, limit=1)
    return [{}, *([{"cursor": page["next_cursor"]}] if page["next_cursor"] else [])]


@pytest.mark.parametrize(
    "form",
    [
        link("A guide", level="beginner", topic="databases", tags=["sql"]),
        code_sample("A sample"),
        project("A project", milestones=[{"title": "One", "description": "First"}]),
    ],
    ids=lambda form: form["kind"],
)
async def test_a_resource_is_sent_as_its_model_says(
    hub: Hub, checked: Checked, form: dict[str, Any]
) -> None:
    await hub.topic("databases")
    ann = await hub.person("ann")
    made = checked.check("add_resource", await ann.post("/resources", form))
    path = f"/resources/{made['id']}"
    checked.check("edit_resource", await ann.patch(path, {"body": "Better"}))
    again = await ann.request("POST", f"{path}/revisions/1/restore", headers={"If-Match": "*"})
    checked.check("restore_resource_revision", again)
    for reader in (hub.visitor, ann):
        checked.check("read_resource", await reader.get(path))
        listed = await reader.get("/resources", params={"q": made["title"], "sort": "relevance"})
        assert len(checked.check("list_resources", listed)["items"]) == 1
    assert (await ann.delete(path)).status_code == 204
    checked.check("restore_resource", await ann.post(f"{path}/restore"))
    assert checked.seen == {name for name in checked.models if "resource" in name}


async def test_every_such_route_is_checked(hub: Hub, checked: Checked) -> None:
    await hub.topic("databases")
    people = [await hub.person("ann"), await hub.person("bob")]
    rita = await hub.person("rita", Role.moderator)
    path = await ask_everything(hub, checked, people[0], people[1], rita)
    assert path
    checked.check("live", await hub.client.get("/health/live"))
    later = {"read_question", "list_questions", "search", "reopen_question", "restore_question"}
    assert checked.seen | later == {n for n in checked.models if "resource" not in n}


async def test_the_pool_gives_what_a_transaction_gives(live: Hub) -> None:
    """On the driver's own connection, and with every kind of page."""
    ann, bob = await live.person("ann"), await live.person("bob")
    ids = [(await answered(ann, bob, title=f"Why {number}?"))[0] for number in range(5)]
    assert (await live.visitor.read(f"/questions/{ids[0]}"))["title"] == "Why 0?"
    assert (await ann.read(f"/questions/{ids[0]}"))["viewer"] == {"vote": 0, "bookmarked": False}
    seen: list[str] = []
    page = await live.visitor.read("/questions", limit=2, include_total="true")
    assert page["total"] == 5
    while page["next_cursor"]:
        seen += [item["id"] for item in page["items"]]
        page = await live.visitor.read("/questions", limit=2, cursor=page["next_cursor"])
    seen += [item["id"] for item in page["items"]]
    assert seen == list(reversed(ids))
    found = await live.visitor.read("/search", q="kind:question score:<5", sort="newest")
    assert [hit["id"] for hit in found["items"]] == list(reversed(ids))


async def test_a_read_outlives_its_connection(live: Hub) -> None:
    assert (await live.visitor.get("/questions")).status_code == 200
    cut = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    for _ in range(5):
        async with live.database.transaction() as session:
            await session.execute(cut)
        answers = [live.visitor.get("/questions") for _ in range(4)]
        assert [found.status_code for found in await asyncio.gather(*answers)] == [200] * 4


async def test_a_forged_cursor_with_a_number_too_large_is_422(live: Hub) -> None:
    cursor = encode_cursor("top", [2**40, UUID(int=0)])
    for path in ("/questions", "/resources"):
        refused = await live.visitor.get(path, params={"sort": "top", "cursor": cursor})
        assert refused.status_code == 422, refused.text


async def test_a_read_is_one_round_trip(live: Hub) -> None:
    """To the database, as its driver counts; one more finds out who asks."""
    ann, bob = await live.person("ann"), await live.person("bob")
    asked, _ = await answered(ann, bob)
    sent: list[str] = []
    watched: set[Any] = set()

    def note(record: Any) -> None:
        sent.append(record.query)

    def watch(connection: Any, *_: Any) -> None:
        watched.add(connection.driver_connection)
        connection.driver_connection.add_query_logger(note)  # the same one counts once

    engine = live.database.engine.sync_engine
    event.listen(engine, "checkout", watch)
    try:
        for path in ("/questions", f"/questions/{asked}", "/resources", "/search?q=index"):
            for reader, most in ((live.visitor, 1), (ann, 2)):
                await reader.get(path)  # the driver asks for types it does not know yet
                sent.clear()
                assert (await reader.get(path)).status_code == 200
                assert len(sent) == most, sent
    finally:
        event.remove(engine, "checkout", watch)
        for connection in watched:
            connection.remove_query_logger(note)

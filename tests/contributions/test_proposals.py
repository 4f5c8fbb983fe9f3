"""Writing and reading proposals: who sees them, what is refused, and what a list costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from backend_hub.users.models import Role
from tests.contributions.team import proposal_of, team
from tests.hub import Hub, Person, code_sample, link


def ids(page: dict[str, Any]) -> list[str]:
    return [f"/contributions/{item['id']}" for item in page["items"]]


async def test_a_draft_is_seen_by_its_proposer_only(hub: Hub) -> None:
    people = await team(hub)
    mona = await hub.person("mona", Role.moderator)
    path = await people.propose()
    contribution_id = path.rpartition("/")[2]
    post = f"/posts/{contribution_id}"
    details = (path, f"{path}/diff", f"{path}/reviews", post, f"{post}/revisions")
    lists: tuple[tuple[str, dict[str, str]], ...] = (
        ("/contributions", {}),
        ("/contributions", {"state": "draft"}),
        ("/users/ann/posts", {}),
    )

    async def seen_by(person: Person) -> list[int]:
        shown = [len((await person.read(address, **params))["items"]) for address, params in lists]
        return [(await person.get(address)).status_code for address in details] + shown

    assert await seen_by(people.ann) == [200] * 5 + [1, 1, 1]
    for person in (hub.visitor, people.rita, mona):
        assert await seen_by(person) == [404] * 5 + [0, 0, 0]
        if person.username:
            for verb in ("edit", "submit", "withdraw", "approve", "merge"):
                assert (await people.act(verb, path, by=person)).status_code == 404
            vote = await person.put(f"{post}/vote", {"value": 1})
            assert vote.status_code == 404
    await people.act("submit", path)
    for person in (hub.visitor, people.rita, mona):
        assert await seen_by(person) == [200] * 5 + [1, 0, 1]


async def test_events_of_a_draft_are_its_proposers_until_it_is_submitted(live: Hub) -> None:
    people = await team(live)
    mona = await live.person("mona", Role.moderator)
    path = await people.propose()

    async def told(person: Person) -> list[str]:
        page = await person.read("/events", type="contribution.")
        return [found["type"].partition(".")[2] for found in page["items"]]

    assert await told(people.ann) == ["created"]
    for person in (live.visitor, people.rita, mona):
        assert await told(person) == []
    for verb in ("submit", "request_changes", "submit", "approve", "edit", "approve", "merge"):
        assert (await people.act(verb, path)).status_code < 300
    story = ["created", "submitted", "changes_requested", "submitted", "approved", "edited"]
    for person in (live.visitor, people.ann, people.rita, mona):
        assert await told(person) == [*story, "submitted", "approved", "merged"]
    rejected = await people.propose(proposal=link("Another"))
    await people.bring(rejected, "rejected")
    withdrawn = await people.propose(proposal=link("A third"))
    await people.bring(withdrawn, "withdrawn")
    assert {"rejected", "withdrawn"} <= set(await told(live.visitor))


async def test_only_the_proposer_edits_submits_and_withdraws(hub: Hub) -> None:
    people = await team(hub)
    path = await people.propose()
    await people.bring(path, "changes_requested")
    for person in (people.rita, await hub.person("mona", Role.moderator)):
        for verb in ("edit", "submit", "withdraw"):
            assert (await people.act(verb, path, by=person)).status_code == 403
    for verb in ("edit", "submit", "withdraw"):
        assert (await people.act(verb, path)).status_code == 200


async def test_signing_in_comes_before_everything_else(hub: Hub) -> None:
    people = await team(hub)
    path = await people.propose()
    await people.bring(path, "submitted")
    assert (await hub.visitor.post("/contributions", proposal_of())).status_code == 401
    assert (await hub.visitor.request("PATCH", path, json={"title": "Mine"})).status_code == 401
    for verb in ("submit", "withdraw", "merge"):
        assert (await hub.visitor.post(f"{path}/{verb}")).status_code == 401
    form = {"decision": "approve"}
    assert (await hub.visitor.post(f"{path}/reviews", form)).status_code == 401
    queue = await hub.visitor.get("/contributions?awaiting_review_by_me=true")
    assert queue.status_code == 401


async def test_an_edit_needs_the_current_etag(hub: Hub) -> None:
    people = await team(hub)
    path = await people.propose()
    etag = (await people.ann.get(path)).headers["ETag"]
    missing = await people.ann.request("PATCH", path, json={"title": "New title"})
    assert missing.status_code == 428
    edited = await people.ann.patch(path, {"title": "New title"}, etag)
    assert (edited.status_code, edited.json()["title"]) == (200, "New title")
    assert (await people.ann.patch(path, {"title": "Newer"}, etag)).status_code == 412
    submitted = await people.act("submit", path)
    assert submitted.headers["ETag"] == (await people.ann.get(path)).headers["ETag"]
    assert (
        await people.ann.patch(path, {"title": "Newer"}, edited.headers["ETag"])
    ).status_code == 412


async def test_a_repeated_request_proposes_once(hub: Hub) -> None:
    people = await team(hub)
    headers = {"Idempotency-Key": "one"}
    first = await people.ann.post("/contributions", proposal_of(), headers=headers)
    again = await people.ann.post("/contributions", proposal_of(), headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert len((await people.ann.read("/contributions"))["items"]) == 1


async def test_the_whole_proposal_says_the_same_as_its_changes(hub: Hub) -> None:
    people = await team(hub)
    resource = await people.rita.create("/resources", link())
    by_changes = await people.ann.read(await people.propose(resource))
    whole = link(level="beginner")
    form = proposal_of(resource, proposal=whole, base_revision=1)
    del form["changes"]
    by_proposal = await people.ann.create("/contributions", form)
    assert by_proposal["proposal"] == by_changes["proposal"]


NEW: dict[str, Any] = {"title": "A new link", "body": "Why.", "proposal": link()}
CHANGE: dict[str, Any] = {"title": "A change", "body": "Why.", "changes": {"level": "beginner"}}
THE = "the resource"


@pytest.mark.parametrize(
    ("form", "where"),
    [
        ({**NEW, "title": "x"}, "title"),
        ({**NEW, "body": " "}, "body"),
        ({**NEW, "state": "approved"}, "state"),
        ({**NEW, "title": "nul \x00"}, "body"),
        ({**NEW, "proposal": {**link(), "kind": "book"}}, "proposal"),
        ({**NEW, "proposal": {**link(), "url": "javascript:alert(1)"}}, "url"),
        ({**NEW, "proposal": link(topic="nowhere")}, "topic"),
        ({**NEW, "proposal": link(score=9)}, "score"),
        ({**NEW, "base_revision": 1}, "body"),
        ({**NEW, "changes": {"level": "beginner"}}, "body"),
        ({"title": "Neither", "body": "Why."}, "body"),
        (CHANGE, "body"),
        ({**CHANGE, "resource_id": str(uuid4())}, "resource_id"),
        ({**CHANGE, "resource_id": "12"}, "resource_id"),
        ({**CHANGE, "resource_id": THE, "base_revision": 2}, "base_revision"),
        ({**CHANGE, "resource_id": THE, "base_revision": 2**31}, "base_revision"),
        ({**CHANGE, "resource_id": THE, "base_revision": 0}, "base_revision"),
        ({**CHANGE, "resource_id": THE, "proposal": link()}, "body"),
        ({**CHANGE, "resource_id": THE, "changes": {}}, "changes"),
        ({**CHANGE, "resource_id": THE, "changes": {"title": "A guide to indexes"}}, "proposal"),
        ({**CHANGE, "resource_id": THE, "changes": {"title": None}}, "title"),
        ({**CHANGE, "resource_id": THE, "changes": {"kind": "project"}}, "kind"),
        ({**CHANGE, "resource_id": THE, "changes": {"summary": "x", "level": None}}, "summary"),
        ({**CHANGE, "resource_id": THE, "changes": {"run": "python x.py"}}, "run"),
        ({**NEW, "resource_id": THE, "proposal": code_sample()}, "kind"),
        ({**NEW, "resource_id": THE}, "proposal"),
    ],
)
async def test_a_bad_proposal_is_refused_and_says_where(
    hub: Hub, form: dict[str, Any], where: str
) -> None:
    people = await team(hub)
    resource = await people.rita.create("/resources", link())
    if form.get("resource_id") == THE:
        form = {**form, "resource_id": resource["id"]}
    response = await people.ann.post("/contributions", form)
    assert response.status_code == 422, response.text
    assert where in response.json()["errors"][0]["loc"]
    assert (await people.ann.post("/contributions", proposal_of(resource))).status_code == 201


async def test_only_a_resource_can_be_changed(hub: Hub) -> None:
    people = await team(hub)
    path = await people.propose()
    await people.bring(path, "submitted")
    form = {**CHANGE, "resource_id": path.rpartition("/")[2]}
    response = await people.ann.post("/contributions", form)
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", "resource_id"]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"summary": "Nothing else"},
        {"title": None},
        {"state": "merged"},
        {"resource_id": str(uuid4())},
        {"base_revision": 1},
        {"base_revision": 7, "proposal": link(level="advanced")},
        {"base_revision": None, "proposal": link(level="advanced")},
        {"proposal": link(level="advanced"), "changes": {"level": "advanced"}},
        {"proposal": link()},
        {"proposal": code_sample()},
        {"proposal": link(topic="nowhere")},
        {"changes": {}},
        {"changes": {"level": None}},
        {"changes": {"files": [{"name": "a", "content": ""}]}},
    ],
)
async def test_a_bad_edit_is_refused(hub: Hub, change: dict[str, Any]) -> None:
    people = await team(hub)
    resource = await people.rita.create("/resources", link())
    path = await people.propose(resource)
    response = await people.ann.patch(path, change)
    assert response.status_code == 422, response.text
    assert (await people.ann.patch(path, {"changes": {"level": "advanced"}})).status_code == 200


@pytest.mark.parametrize(
    "change",
    [{"proposal": code_sample()}, {"proposal": link(level="advanced"), "base_revision": 1}],
)
async def test_a_new_resource_keeps_its_kind_and_has_no_base(
    hub: Hub, change: dict[str, Any]
) -> None:
    people = await team(hub)
    path = await people.propose()
    assert (await people.ann.patch(path, change)).status_code == 422
    better = {"proposal": link(level="advanced")}
    assert (await people.ann.patch(path, better)).json()["proposal"]["level"] == "advanced"


async def test_contributions_are_filtered_and_sorted(hub: Hub) -> None:
    people = await team(hub)
    bob = await hub.person("bob")
    await hub.topic("databases")
    await hub.topic("postgresql", parent="databases")
    resource = await bob.create("/resources", link("Old"))
    first = await people.propose(resource)
    second = await people.propose(proposal=link(topic="postgresql"))
    created = await bob.create("/contributions", proposal_of(proposal=link("Of Bob")))
    third = f"/contributions/{created['id']}"
    await people.bring(first, "submitted")
    await people.bring(second, "approved")
    await people.act("submit", third, by=bob)
    await people.act("edit", first)

    async def found(**params: Any) -> list[str]:
        return ids(await people.rita.read("/contributions", **params))

    assert await found() == [third, second, first]
    assert await found(sort="oldest") == [first, second, third]
    assert await found(sort="active") == [first, third, second]
    assert await found(state="approved") == [second]
    assert await found(resource_id=resource["id"]) == [first]
    assert await found(author="BOB") == [third]
    assert await found(topic="databases") == [second]
    assert await found(awaiting_review_by_me="true", sort="oldest") == [first, third]
    mine = await bob.read("/contributions", awaiting_review_by_me="true")
    assert mine["items"] == []
    page = await people.rita.read("/contributions", limit=2)
    rest = await people.rita.read("/contributions", limit=2, cursor=page["next_cursor"])
    assert ids(page) + ids(rest) == [third, second, first]
    for bad in ("state=open", "resource_id=1", "sort=top", "mine=true", "topic=No Slug"):
        assert (await hub.visitor.get(f"/contributions?{bad}")).status_code == 422


async def test_a_contribution_is_voted_on_and_commented_like_every_post(hub: Hub) -> None:
    people = await team(hub)
    path = await people.propose()
    await people.bring(path, "submitted")
    post = f"/posts/{path.rpartition('/')[2]}"
    assert (await people.rita.put(f"{post}/vote", {"value": 1})).json()["score"] == 1
    await people.rita.create(f"{post}/comments", {"body": "Nice."})
    found = await people.rita.read(path)
    assert (found["comment_count"], found["viewer"]["vote"]) == (1, 1)
    assert (await hub.visitor.read(post))["href"] == f"/api/v1{path}"


@contextmanager
def counted(hub: Hub) -> Iterator[list[str]]:
    """The statements that the block sends to PostgreSQL."""
    statements: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    engine = hub.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_a_list_and_a_detail_are_one_statement_however_much_they_show(hub: Hub) -> None:
    people = await team(hub)
    path = await people.propose()
    await people.bring(path, "approved")

    async def cost(address: str) -> int:
        with counted(hub) as statements:
            await hub.visitor.read(address)
        return len(
            [s for s in statements if not s.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK"))]
        )

    addresses = ("/contributions", path, f"{path}/diff", f"{path}/reviews")
    assert [await cost(address) for address in addresses] == [1, 1, 1, 2]
    for number in range(5):
        await people.bring(await people.propose(proposal=link(f"Link {number}")), "submitted")
        await people.act("approve", path)
    assert len((await hub.visitor.read("/contributions"))["items"]) == 6
    assert len((await hub.visitor.read(path))["reviews"]) == 6
    assert [await cost(address) for address in addresses] == [1, 1, 1, 2]

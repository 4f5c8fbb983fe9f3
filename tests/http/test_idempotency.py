"""Idempotency-Key: a retry gets the first answer, and nothing is done twice."""

import asyncio
import hashlib
import json
from collections import Counter
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text, update
from sqlmodel import col

from backend_hub.db import utcnow
from backend_hub.http import idempotency
from backend_hub.http.models import IdempotencyRecord
from backend_hub.posts.models import Post
from backend_hub.topics.models import Tag
from backend_hub.users.models import Role, User
from tests.hub import PASSWORD, Hub, Person, link, question

KINDS = pytest.mark.parametrize(
    ("path", "form"), [("/resources", link), ("/questions", question)], ids=["several", "one"]
)
"""Requests that write by several statements, and by one."""


async def keyed(person: Person, path: str, form: Any, key: str = "key-1") -> httpx.Response:
    return await person.post(path, form, headers={"Idempotency-Key": key})


async def count(hub: Hub, model: Any) -> int:
    async with hub.database.reading() as session:
        return int(await session.scalar(select(func.count()).select_from(model)) or 0)


async def test_a_retry_gets_the_first_answer(hub: Hub) -> None:
    admin = await hub.person("root-of-all", Role.admin)
    post = await admin.create("/resources", link("The first"))
    creations = {
        "/resources": link("The second"),
        "/questions": question("The third"),
        f"/posts/{post['id']}/comments": {"body": "Good."},
        "/topics": {"slug": "databases", "name": "Databases", "parent": None},
    }
    for number, (path, form) in enumerate(creations.items()):
        first = await keyed(admin, path, form, f"key-{number}")
        again = await keyed(admin, path, form, f"key-{number}")
        assert first.status_code == again.status_code == 201, first.text
        assert first.content == again.content
        for name in ("Location", "ETag", "Content-Type"):
            assert first.headers[name] == again.headers[name]
        assert "Idempotency-Replayed" not in first.headers
        assert again.headers["Idempotency-Replayed"] == "true"
    assert await count(hub, Post) == 3


@KINDS
async def test_a_key_belongs_to_one_request_of_one_account(hub: Hub, path: str, form: Any) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    created = await keyed(ann, path, form("The first"))
    other_body = await keyed(ann, path, form("Another"))
    other_path = await keyed(ann, f"/posts/{created.json()['id']}/comments", {"body": "Good."})
    for refused in (other_body, other_path):
        assert refused.status_code == 422
        assert refused.json()["code"] == "idempotency_key_reused"
    of_bob = await keyed(bob, path, form("Of Bob"))
    assert of_bob.status_code == 201
    assert of_bob.json()["author"]["username"] == "bob"


async def test_a_refused_request_leaves_no_key(hub: Hub) -> None:
    ann = await hub.person("ann")
    await ann.create("/resources", link("Taken"))
    assert (await keyed(ann, "/resources", link("Taken"))).status_code == 409
    assert (await keyed(ann, "/resources", {"kind": "link"})).status_code == 422
    assert await count(hub, IdempotencyRecord) == 0
    assert (await keyed(ann, "/resources", link("Free"))).status_code == 201


async def test_a_refused_question_leaves_no_key_and_no_tag(hub: Hub) -> None:
    ann = await hub.person("ann")
    nowhere = question("Nowhere", topic="no-such-topic", tags=["never-seen"])
    assert (await keyed(ann, "/questions", nowhere)).status_code == 422
    assert (await keyed(ann, "/questions", question("First"))).status_code == 201
    new_tag = question("Second", tags=["never-seen"])
    assert (await keyed(ann, "/questions", new_tag)).status_code == 422
    assert (await count(hub, IdempotencyRecord), await count(hub, Tag)) == (1, 0)
    assert (await keyed(ann, "/questions", new_tag, "key-2")).status_code == 201
    assert await count(hub, Tag) == 1


async def test_what_is_answered_and_kept_is_all_that_was_written(hub: Hub) -> None:
    """Whether the tags were known, and the statement was alone, or not."""
    ann = await hub.person("ann")
    await hub.topic("databases")
    for key in ("key-1", "key-2"):
        form = question("Where?", topic="databases", tags=["sql", "indexes"])
        made = (await keyed(ann, "/questions", form, key)).json()
        assert (made["tags"], made["topic"]["slug"]) == (["sql", "indexes"], "databases")
        assert made == await ann.read(f"/questions/{made['id']}")


async def test_a_retry_gets_its_answer_though_the_hub_has_changed(hub: Hub) -> None:
    admin = await hub.person("root-of-all", Role.admin)
    await hub.topic("databases")
    form = question("Where?", topic="databases")
    first = await keyed(admin, "/questions", form)
    await admin.patch(f"/questions/{first.json()['id']}", {"topic": None}, '"1"')
    assert (await admin.delete("/topics/databases")).status_code == 204
    again = await keyed(admin, "/questions", form)
    assert (again.status_code, again.content) == (201, first.content)
    assert (await keyed(admin, "/questions", form, "key-2")).status_code == 422


@pytest.mark.parametrize("key", ["", " ", "with space", "x" * 201, "\x7f"])
@KINDS
async def test_a_key_that_is_none_is_refused(hub: Hub, key: str, path: str, form: Any) -> None:
    ann = await hub.person("ann")
    assert (await keyed(ann, path, form("Any"), key)).status_code == 422
    assert (await keyed(ann, path, form("Any"), "x" * 200)).status_code == 201


@KINDS
async def test_a_key_can_be_used_again_after_a_day(hub: Hub, path: str, form: Any) -> None:
    ann = await hub.person("ann")
    assert (await keyed(ann, path, form("One"))).status_code == 201
    for hours, status in ((23, 422), (25, 201)):
        async with hub.database.transaction() as session:
            age = {"created_at": utcnow() - timedelta(hours=hours)}
            await session.execute(update(IdempotencyRecord).values(**age))
        assert (await keyed(ann, path, form("Two"))).status_code == status
    again = await keyed(ann, path, form("Two"))
    assert (again.status_code, again.json()["title"]) == (201, "Two")
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_only_expired_keys_are_purged(hub: Hub) -> None:
    ann = await hub.person("ann")
    for key in ("old", "new"):
        await keyed(ann, "/resources", link(f"The {key} one"), key)
    async with hub.database.transaction() as session:
        old = col(IdempotencyRecord.key) == "old"
        age = {"created_at": utcnow() - timedelta(hours=25)}
        await session.execute(update(IdempotencyRecord).where(old).values(**age))
        await idempotency.purge_expired(session)
    assert await count(hub, IdempotencyRecord) == 1


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/resources", link()),
        ("/questions", question()),
        ("/questions", question(tags=["never-seen", "nor-this"])),
    ],
    ids=["several", "one", "new tags"],
)
async def test_of_twenty_twins_one_creates_and_the_others_get_its_answer(
    live: Hub, path: str, form: Any
) -> None:
    ann = await live.person("ann")
    twins = [keyed(ann, path, form) for _ in range(20)]
    answers = await asyncio.gather(*twins)
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 409}
    created = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in created}) == 1
    fresh = [answer for answer in created if "Idempotency-Replayed" not in answer.headers]
    assert len(fresh) == 1
    for refused in answers:
        if refused.status_code == 409:
            assert refused.json()["code"] == "idempotency_in_progress"
    assert await count(live, Post) == 1


async def test_a_crash_leaves_neither_the_key_nor_the_row(
    live: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection dies after the write and before the commit."""
    ann = await live.person("ann")
    remember = idempotency.remember

    async def die(request: Any, response: Any) -> None:
        await remember(request, response)
        await request.state.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with monkeypatch.context() as patch:
        patch.setattr("backend_hub.http.routing.remember", die)
        failed = await keyed(ann, "/resources", link())
    assert failed.status_code == 503, failed.text
    assert failed.headers["Retry-After"]
    assert (await count(live, Post), await count(live, IdempotencyRecord)) == (0, 0)
    retried = await keyed(ann, "/resources", link())
    assert (retried.status_code, "Idempotency-Replayed" in retried.headers) == (201, False)


async def test_a_statement_that_dies_leaves_neither_too(live: Hub) -> None:
    """Its connection is cut while it waits for somebody who changes its topic."""
    ann = await live.person("ann")
    await live.topic("databases")
    form = question(topic="databases", tags=[])
    cut = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with live.database.transaction() as session, live.database.reading() as watching:
        await session.execute(text("SELECT 1 FROM topics FOR UPDATE"))
        asking = asyncio.create_task(keyed(ann, "/questions", form))
        while not asking.done() and not (await watching.execute(cut)).all():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        failed = await asking
    assert failed.status_code == 503, failed.text
    assert failed.headers["Retry-After"]
    assert (await count(live, Post), await count(live, IdempotencyRecord)) == (0, 0)
    retried = await keyed(ann, "/questions", form)
    assert (retried.status_code, "Idempotency-Replayed" in retried.headers) == (201, False)


async def test_registering_takes_a_key_too(hub: Hub) -> None:
    form = {"username": "ann", "email": "ann@example.org", "password": PASSWORD}
    first = await keyed(hub.visitor, "/auth/register", form)
    again = await keyed(hub.visitor, "/auth/register", form)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert await count(hub, User) == 1


async def test_the_key_s_row_does_not_help_to_guess_a_password(hub: Hub, app: FastAPI) -> None:
    form = {"username": "ann", "email": "ann@example.org", "password": PASSWORD}
    sent = await keyed(hub.visitor, "/auth/register", form)
    body = sent.request.content
    assert json.loads(body) == form
    parts = (b"POST", b"/api/v1/auth/register", body)
    bare = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    async with hub.database.reading() as session:
        record = (await session.execute(select(IdempotencyRecord))).scalars().one()
        assert record.request_hash not in {bare, hashlib.sha256(body).hexdigest()}
        assert PASSWORD.encode() not in (record.body or b"")

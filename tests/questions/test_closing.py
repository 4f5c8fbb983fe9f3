"""Closing, duplicates and reopening over HTTP."""

from typing import Any

import pytest

from backend_hub.users.models import Role
from tests.hub import Hub, answered

PLAIN = {"reason": "needs_details"}
NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


def duplicate(of: str) -> dict[str, str]:
    return {"reason": "duplicate", "duplicate_of_id": of}


async def test_a_closed_question_takes_no_answers_until_it_is_reopened(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    asked, (answer,) = await answered(ann, bob)
    path = f"/questions/{asked}"
    closed = await ann.post(f"{path}/close", PLAIN)
    assert closed.status_code == 200, closed.text
    assert closed.json()["close_reason"] == "needs_details"
    assert closed.json()["closed_by"]["username"] == "ann"
    assert closed.headers["ETag"] == (await ann.get(path)).headers["ETag"]
    refused = await bob.post(f"{path}/answers", {"body": "Late"})
    assert (refused.status_code, refused.json()["code"]) == (409, "question_closed")
    assert (await bob.patch(f"/answers/{answer}", {"body": "Better"})).status_code == 200
    reopened = (await ann.post(f"{path}/reopen")).json()
    state = ("closed_at", "close_reason", "closed_by", "duplicate_of")
    assert [reopened[name] for name in state] == [None] * 4
    assert (await bob.post(f"{path}/answers", {"body": "In time"})).status_code == 201


async def test_the_asker_and_moderators_close(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    mia = await hub.person("mia", Role.moderator)
    asked, _ = await answered(ann)
    path = f"/questions/{asked}"
    assert (await hub.visitor.post(f"{path}/close", PLAIN)).status_code == 401
    assert (await bob.post(f"{path}/close", PLAIN)).status_code == 403
    assert (await mia.post(f"{path}/close", PLAIN)).status_code == 200
    again = await mia.post(f"{path}/close", PLAIN)
    assert (again.status_code, again.json()["code"]) == (409, "question_closed")
    assert (await bob.post(f"{path}/reopen")).status_code == 403
    assert (await ann.post(f"{path}/reopen")).status_code == 403
    assert (await mia.post(f"{path}/reopen")).status_code == 200
    again = await mia.post(f"{path}/reopen")
    assert (again.status_code, again.json()["code"]) == (409, "question_open")
    assert (await ann.post(f"{path}/close", PLAIN)).status_code == 200
    assert (await ann.post(f"{path}/reopen")).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"reason": "boring"},
        {"reason": None},
        {"reason": "duplicate"},
        {"reason": "duplicate", "duplicate_of_id": None},
        {"reason": "off_topic", "duplicate_of_id": NOBODY},
        {"reason": "duplicate", "duplicate_of_id": NOBODY},
    ],
)
async def test_closing_without_a_proper_reason_is_refused(hub: Hub, wrong: dict[str, Any]) -> None:
    ann = await hub.person("ann")
    asked, _ = await answered(ann)
    assert (await ann.post(f"/questions/{asked}/close", wrong)).status_code == 422
    assert (await ann.post(f"/questions/{asked}/close", PLAIN)).status_code == 200


async def test_a_duplicate_names_another_visible_question(hub: Hub) -> None:
    ann = await hub.person("ann")
    first, (answer,) = await answered(ann, ann, title="The first one")
    gone, _ = await answered(ann)
    await ann.delete(f"/questions/{gone}")
    asked, _ = await answered(ann)
    path = f"/questions/{asked}/close"
    for wrong in (asked, gone, answer):
        refused = await ann.post(path, duplicate(wrong))
        assert refused.json()["errors"][0]["loc"] == ["body", "duplicate_of_id"], wrong
    closed = await ann.post(path, duplicate(first))
    assert closed.json()["duplicate_of"] == {"id": first, "title": "The first one"}
    await ann.delete(f"/questions/{first}")
    assert (await ann.read(f"/questions/{asked}"))["duplicate_of"] is None


async def test_duplicates_never_make_a_circle(hub: Hub) -> None:
    ann = await hub.person("ann")
    one, two, three = [(await answered(ann))[0] for _ in range(3)]
    assert (await ann.post(f"/questions/{one}/close", duplicate(two))).status_code == 200
    assert (await ann.post(f"/questions/{two}/close", duplicate(three))).status_code == 200
    for original in (one, two):
        refused = await ann.post(f"/questions/{three}/close", duplicate(original))
        assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_circle")
    assert (await ann.post(f"/questions/{two}/reopen")).status_code == 200
    assert (await ann.post(f"/questions/{three}/close", duplicate(one))).status_code == 200

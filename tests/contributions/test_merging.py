"""Merging: what stops it, and what it leaves behind then."""

import asyncio
from typing import Any

from backend_hub.contributions.merge import MergeConflict, merged_content
from backend_hub.users.models import Role
from tests.contributions.team import proposal_of, team
from tests.hub import Hub, link


async def test_a_resource_that_moved_on_answers_with_both_texts_until_it_is_rebased(
    hub: Hub,
) -> None:
    people = await team(hub)
    olga = await hub.person("olga")
    resource = await olga.create("/resources", link())
    path = await people.propose(resource, changes={"body": "Ann's text."})
    await people.bring(path, "approved")
    target = f"/resources/{resource['id']}"
    await olga.patch(target, {"body": "Olga's text."})

    refused = await people.act("merge", path)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "resource_moved_on")
    assert (problem["base_revision"], problem["current_revision"]) == (1, 2)
    assert problem["current"]["body"] == "Olga's text."
    assert problem["proposed"]["body"] == "Ann's text."
    assert (await people.ann.read(path))["state"] == "approved"
    assert (await hub.visitor.read(target))["body"] == "Olga's text."
    diff = await hub.visitor.read(f"{path}/diff")
    assert (diff["base_revision"], diff["current_revision"]) == (1, 2)

    both = {**problem["current"], "body": "Olga's text, and Ann's."}
    rebase = {"base_revision": 2, "proposal": both, "summary": "With Olga's"}
    rebased = await people.ann.patch(path, rebase)
    assert rebased.status_code == 200, rebased.text
    assert (rebased.json()["base_revision"], rebased.json()["state"]) == (2, "submitted")
    await people.act("approve", path)
    assert (await people.act("merge", path)).json()["merged_revision"] == 3
    assert (await hub.visitor.read(target))["body"] == "Olga's text, and Ann's."


async def test_a_resource_that_went_back_to_the_base_text_did_not_move_on(hub: Hub) -> None:
    people = await team(hub)
    olga = await hub.person("olga")
    resource = await olga.create("/resources", link())
    path = await people.propose(resource)
    await people.bring(path, "approved")
    target = f"/resources/{resource['id']}"
    await olga.patch(target, {"body": "Olga's text."})
    assert (await people.act("merge", path)).json()["code"] == "resource_moved_on"
    back = await olga.post(f"{target}/revisions/1/restore", headers={"If-Match": "*"})
    assert back.status_code == 200
    assert (await people.act("merge", path)).json()["merged_revision"] == 4


async def test_of_two_changes_to_one_resource_the_second_has_to_be_rebased(hub: Hub) -> None:
    people = await team(hub)
    resource = await (await hub.person("olga")).create("/resources", link())
    first = await people.propose(resource, changes={"title": "One way"})
    second = await people.propose(resource, changes={"title": "Another way"})
    await people.bring(first, "merged")
    await people.bring(second, "approved")
    assert (await people.act("merge", second)).json()["code"] == "resource_moved_on"


async def test_a_deleted_resource_is_gone_for_a_merge_until_it_is_restored(hub: Hub) -> None:
    people = await team(hub)
    olga, mona = await hub.person("olga"), await hub.person("mona", Role.moderator)
    resource = await olga.create("/resources", link())
    target = f"/resources/{resource['id']}"
    path = await people.propose(resource)
    await people.bring(path, "approved")
    assert (await olga.delete(target)).status_code == 204
    for person in (people.rita, mona):
        refused = await people.act("merge", path, by=person)
        assert (refused.status_code, refused.json()["code"]) == (409, "resource_gone")
    assert (await people.ann.post("/contributions", proposal_of(resource))).status_code == 422
    assert (await olga.post(f"{target}/restore")).status_code == 200
    assert (await people.act("merge", path)).status_code == 200


async def test_a_link_that_was_added_meanwhile_stops_the_merge_and_nothing_else(
    hub: Hub,
) -> None:
    people = await team(hub)
    olga = await hub.person("olga")
    path = await people.propose(proposal=link("Same"))
    await people.bring(path, "approved")
    twin = await olga.create("/resources", link("Same"))
    refused = await people.act("merge", path)
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_url")
    assert refused.json()["existing"]["id"] == twin["id"]
    found = await people.ann.read(path)
    assert (found["state"], found["resource_id"], found["merged_at"]) == ("approved", None, None)
    assert (await olga.delete(f"/resources/{twin['id']}")).status_code == 204
    assert (await people.act("merge", path)).status_code == 200


async def test_a_topic_that_was_renamed_sends_the_proposal_back(hub: Hub) -> None:
    people = await team(hub)
    await hub.topic("databases")
    path = await people.propose(proposal=link(topic="databases"))
    await people.bring(path, "approved")
    admin = await hub.person("root", Role.admin)
    assert (await admin.patch("/topics/databases", {"slug": "storage"})).status_code == 200
    refused = await people.act("merge", path)
    assert (refused.status_code, refused.json()["code"]) == (409, "proposal_outdated")
    await people.ann.patch(path, {"changes": {"topic": "storage"}})
    await people.act("approve", path)
    assert (await people.act("merge", path)).status_code == 200


async def test_of_two_merges_at_once_one_merges(live: Hub) -> None:
    people = await team(live)
    mona = await live.person("mona", Role.moderator)
    resource = await (await live.person("olga")).create("/resources", link())
    path = await people.propose(resource)
    await people.bring(path, "approved")
    answers = await asyncio.gather(
        *(people.act("merge", path, by=person) for person in (people.rita, mona) * 3)
    )
    assert sorted(a.status_code for a in answers) == [200, *[409] * 5]
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"wrong_state"}
    revisions = (await live.visitor.read(f"/posts/{resource['id']}/revisions"))["items"]
    assert [r["number"] for r in revisions] == [2, 1]


async def test_of_two_contributions_merged_at_once_one_lands(live: Hub) -> None:
    people = await team(live)
    resource = await (await live.person("olga")).create("/resources", link())
    paths = [
        await people.propose(resource, changes={"title": title}) for title in ("One way", "Another")
    ]
    for path in paths:
        await people.bring(path, "approved")
    answers = await asyncio.gather(*(people.act("merge", path) for path in paths))
    assert sorted(a.status_code for a in answers) == [200, 409]
    assert {a.json().get("code") for a in answers} == {None, "resource_moved_on"}
    assert (await live.visitor.read(f"/resources/{resource['id']}"))["revision"] == 2


async def test_a_review_and_an_edit_at_once_never_approve_what_was_not_read(live: Hub) -> None:
    people = await team(live)
    path = await people.propose()
    await people.bring(path, "submitted")
    etag = (await people.rita.get(path)).headers["ETag"]
    form: dict[str, Any] = {"decision": "approve"}
    reviewed, edited = await asyncio.gather(
        people.rita.post(f"{path}/reviews", form, headers={"If-Match": etag}),
        people.ann.patch(path, {"title": "Something else"}, etag),
    )
    assert sorted([reviewed.status_code, edited.status_code]) in ([200, 412], [201, 412])
    found = await people.rita.read(path)
    assert (found["state"], found["revision"]) in (("approved", 1), ("submitted", 2))


def test_the_merged_content_is_the_proposal_or_a_conflict() -> None:
    base, proposed = {"title": "A", "body": "x"}, {"title": "B", "body": "x"}
    assert merged_content(base, dict(base), proposed) == proposed
    moved = {"title": "A", "body": "y"}
    assert merged_content(base, moved, proposed) == MergeConflict(moved, proposed)

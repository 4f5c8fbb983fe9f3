"""Who may review and merge, and what a review needs."""

import pytest

from backend_hub.users.models import Role
from tests.contributions.team import Team, review, team
from tests.hub import Hub, Person, link


async def maintainer(hub: Hub, username: str, *topics: str) -> Person:
    person = await hub.person(username)
    admin = await hub.person(f"chief-of-{username}", Role.admin)
    for slug in topics:
        response = await admin.put(f"/topics/{slug}/maintainers/{username}")
        assert response.status_code < 300, response.text
    return person


async def test_nobody_reviews_or_merges_their_own(hub: Hub) -> None:
    ann, rita = await hub.person("ann", Role.admin), await hub.person("rita", Role.reviewer)
    people = Team(ann, rita)
    path = await people.propose()
    await people.bring(path, "submitted")
    own = await review(ann, path, "approve")
    assert (own.status_code, own.json()["code"]) == (403, "own_contribution")
    assert (await review(rita, path, "approve")).status_code == 201
    own = await people.act("merge", path, by=ann)
    assert (own.status_code, own.json()["code"]) == (403, "own_contribution")
    assert (await people.act("merge", path, by=rita)).status_code == 200


async def test_a_maintainer_reviews_below_their_topic_and_other_members_do_not(
    hub: Hub,
) -> None:
    people = await team(hub)
    await hub.topic("databases")
    await hub.topic("postgresql", parent="databases")
    await hub.topic("deployment")
    max_, dora = (
        await maintainer(hub, "max", "databases"),
        await maintainer(hub, "dora", "deployment"),
    )
    bob = await hub.person("bob")
    path = await people.propose(proposal=link(topic="postgresql"))
    await people.bring(path, "submitted")
    for outsider in (bob, dora):
        assert (await review(outsider, path, "approve")).status_code == 403
    assert (await hub.visitor.post(f"{path}/reviews", {"decision": "approve"})).status_code == 401
    assert (await review(max_, path, "approve")).status_code == 201
    for outsider in (bob, dora):
        assert (await people.act("merge", path, by=outsider)).status_code == 403
    assert (await people.act("merge", path, by=max_)).status_code == 200


async def test_moving_a_resource_takes_a_maintainer_of_both_topics(hub: Hub) -> None:
    people = await team(hub)
    await hub.topic("databases")
    await hub.topic("deployment")
    here = await maintainer(hub, "here", "databases")
    there = await maintainer(hub, "there", "deployment")
    both = await maintainer(hub, "both", "databases", "deployment")
    resource = await (await hub.person("olga")).create("/resources", link(topic="databases"))
    path = await people.propose(resource, changes={"topic": "deployment"})
    await people.bring(path, "submitted")
    for person, queue, status in ((here, 0, 403), (there, 0, 403), (both, 1, 201)):
        found = await person.read("/contributions", awaiting_review_by_me=True)
        assert len(found["items"]) == queue
        assert (await review(person, path, "approve")).status_code == status


async def test_what_has_no_topic_is_reviewed_by_reviewers_only(hub: Hub) -> None:
    people = await team(hub)
    await hub.topic("databases")
    max_ = await maintainer(hub, "max", "databases")
    path = await people.propose()
    await people.bring(path, "submitted")
    assert (await review(max_, path, "approve")).status_code == 403
    assert (await review(people.rita, path, "approve")).status_code == 201


async def test_a_review_is_of_the_version_that_was_read(hub: Hub) -> None:
    people = await team(hub)
    path = await people.propose()
    await people.bring(path, "submitted")
    etag = (await people.rita.get(path)).headers["ETag"]
    missing = await people.rita.post(f"{path}/reviews", {"decision": "approve"})
    assert missing.status_code == 428
    await people.act("edit", path)
    stale = await review(people.rita, path, "approve", etag)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    etag = (await people.rita.get(path)).headers["ETag"]
    assert (await review(people.rita, path, "approve", etag)).status_code == 201


@pytest.mark.parametrize("decision", ["request_changes", "reject"])
async def test_a_refusal_needs_a_reason_and_an_approval_does_not(hub: Hub, decision: str) -> None:
    people = await team(hub)
    path = await people.propose()
    await people.bring(path, "submitted")
    for body in ("", " \n"):
        assert (await review(people.rita, path, decision, body=body)).status_code == 422
    assert (await review(people.rita, path, "approve", body="")).status_code == 201
    assert (await review(people.rita, path, decision, body="Too old.")).status_code == 201


@pytest.mark.parametrize(
    "form",
    [
        {"decision": "merge", "body": "x"},
        {"body": "x"},
        {"decision": "approve", "body": None},
        {"decision": "approve", "body": "x" * 20_001},
        {"decision": "approve", "body": "nul \x00"},
        {"decision": "approve", "reviewer_id": "me"},
    ],
)
async def test_a_bad_review_is_refused(hub: Hub, form: dict[str, object]) -> None:
    people = await team(hub)
    path = await people.propose()
    await people.bring(path, "submitted")
    response = await people.rita.post(f"{path}/reviews", form, headers={"If-Match": "*"})
    assert response.status_code == 422, response.text
    assert (await review(people.rita, path, "approve")).status_code == 201


async def test_reviews_are_listed_read_and_sent_once(hub: Hub) -> None:
    people = await team(hub)
    path = await people.propose()
    await people.bring(path, "submitted")
    headers = {"If-Match": "*", "Idempotency-Key": "one"}
    form = {"decision": "approve", "body": "Good."}
    first = await people.rita.post(f"{path}/reviews", form, headers=headers)
    again = await people.rita.post(f"{path}/reviews", form, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    listed = await hub.visitor.read(f"{path}/reviews")
    assert listed["items"] == [first.json()]
    assert await hub.visitor.read(first.headers["Location"]) == first.json()
    other = await people.propose(proposal=link("Another"))
    await people.bring(other, "submitted")
    strange = f"{other}/reviews/{first.json()['id']}"
    assert (await hub.visitor.get(strange)).status_code == 404
    nowhere = f"/contributions/{first.json()['id']}/reviews"
    assert (await hub.visitor.get(nowhere)).status_code == 404

"""From a draft to a merged revision, and every step that is refused on the way."""

import pytest

from backend_hub.users.models import Role
from tests.contributions.team import WAY_TO, proposal_of, review, team
from tests.hub import Hub, code_sample, link

ALLOWED = {
    ("draft", "edit"): "draft",
    ("draft", "submit"): "submitted",
    ("draft", "withdraw"): "withdrawn",
    ("submitted", "edit"): "submitted",
    ("submitted", "withdraw"): "withdrawn",
    ("submitted", "approve"): "approved",
    ("submitted", "request_changes"): "changes_requested",
    ("submitted", "reject"): "rejected",
    ("changes_requested", "edit"): "changes_requested",
    ("changes_requested", "submit"): "submitted",
    ("changes_requested", "withdraw"): "withdrawn",
    ("changes_requested", "reject"): "rejected",
    ("approved", "edit"): "submitted",
    ("approved", "withdraw"): "withdrawn",
    ("approved", "approve"): "approved",
    ("approved", "request_changes"): "changes_requested",
    ("approved", "reject"): "rejected",
    ("approved", "merge"): "merged",
}
VERBS = ("edit", "submit", "withdraw", "approve", "request_changes", "reject", "merge")


async def test_a_change_is_proposed_reviewed_improved_approved_and_merged(hub: Hub) -> None:
    people = await team(hub)
    olga = await hub.person("olga")
    resource = await olga.create("/resources", link(level="advanced"))
    form = proposal_of(resource, changes={"level": "beginner", "title": "Indexes, explained"})
    response = await people.ann.post("/contributions", form)
    assert response.status_code == 201, response.text
    draft = response.json()
    assert response.headers["Location"] == f"/api/v1/contributions/{draft['id']}"
    assert (draft["state"], draft["base_revision"], draft["kind"]) == ("draft", 1, "link")
    assert draft["proposal"]["url"] == resource["url"]
    path = f"/contributions/{draft['id']}"

    diff = await people.ann.read(f"{path}/diff")
    assert (diff["base_revision"], diff["current_revision"]) == (1, 1)
    assert {f["field"]: (f["before"], f["after"]) for f in diff["fields"]} == {
        "title": ("A guide to indexes", "Indexes, explained"),
        "level": ("advanced", "beginner"),
    }

    submitted = await people.act("submit", path)
    assert submitted.json()["submitted_at"] is not None
    asked = await review(people.rita, path, "request_changes", body="Level: *intermediate*.")
    assert asked.status_code == 201, asked.text
    assert asked.json()["contribution_revision"] == 1
    assert "<em>intermediate</em>" in asked.json()["body_html"]
    edit = {"changes": {"level": "intermediate"}, "summary": "As asked"}
    assert (await people.ann.patch(path, edit)).json()["state"] == "changes_requested"
    between = await people.rita.read(f"/posts/{draft['id']}/diff", **{"from": 1, "to": 2})
    assert [(f["field"], f["before"], f["after"]) for f in between["fields"]] == [
        ("proposal/level", "beginner", "intermediate")
    ]
    await people.act("submit", path)
    await people.act("approve", path)

    merged = await people.act("merge", path)
    assert merged.status_code == 200, merged.text
    assert merged.json()["merged_by"]["username"] == "rita"
    assert merged.json()["merged_revision"] == 2
    decisions = [r["decision"] for r in merged.json()["reviews"]]
    assert decisions == ["request_changes", "approve"]
    found = await hub.visitor.read(f"/resources/{resource['id']}")
    assert (found["title"], found["level"], found["revision"]) == (
        "Indexes, explained",
        "intermediate",
        2,
    )
    assert found["author"]["username"] == "olga"


async def test_a_merged_change_credits_the_proposer_and_the_last_approver(hub: Hub) -> None:
    people = await team(hub)
    olga, mona = await hub.person("olga"), await hub.person("mona", Role.moderator)
    resource = await olga.create("/resources", link())
    path = await people.propose(resource, title="Give it a level")
    await people.bring(path, "approved")
    await review(mona, path, "approve")
    assert (await people.act("merge", path)).status_code == 200
    revisions = (await hub.visitor.read(f"/posts/{resource['id']}/revisions"))["items"]
    latest = revisions[0]
    assert (latest["number"], latest["summary"]) == (2, "Give it a level")
    assert (latest["editor"]["username"], latest["reviewer"]["username"]) == ("ann", "mona")
    assert f"/contributions/{latest['contribution_id']}" == path
    found = (await hub.visitor.read(f"/posts/{resource['id']}/contributors"))["items"]
    assert [(c["user"]["username"], c["edits"], c["reviews"]) for c in found] == [
        ("ann", 1, 0),
        ("mona", 0, 1),
        ("olga", 1, 0),
    ]


async def test_a_new_resource_is_its_proposers_and_credits_the_reviewer(hub: Hub) -> None:
    people = await team(hub)
    await hub.topic("python")
    form = code_sample(topic="python", tags=["greetings"])
    path = await people.propose(proposal=form)
    diff = await people.ann.read(f"{path}/diff")
    assert (diff["base_revision"], diff["current_revision"]) == (None, None)
    assert ("files/main.py", None, "print('hello')\n") in {
        (f["field"], f["before"], f["after"]) for f in diff["fields"]
    }
    assert (await hub.visitor.read("/resources"))["items"] == []
    merged = await people.bring(path, "merged")
    assert (merged["merged_revision"], merged["topic"]["slug"]) == (1, "python")
    found = await hub.visitor.read(f"/resources/{merged['resource_id']}")
    assert found["author"]["username"] == "ann"
    assert {name: found[name] for name in ("files", "tags", "run")} == {
        name: form[name] for name in ("files", "tags", "run")
    }
    first = (await hub.visitor.read(f"/posts/{found['id']}/revisions"))["items"][0]
    assert (first["editor"]["username"], first["reviewer"]["username"]) == ("ann", "rita")
    assert first["contribution_id"] == merged["id"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", WAY_TO)
async def test_each_step_is_taken_or_refused_by_the_table(hub: Hub, state: str, verb: str) -> None:
    people = await team(hub)
    path = await people.propose()
    before = await people.bring(path, state)
    # A reviewer does not see a draft of somebody else's at all.
    unseen = state == "draft" and verb not in {"edit", "submit", "withdraw"}
    response = await people.act(verb, path)
    after = await people.ann.read(path)
    if (state, verb) in ALLOWED:
        assert response.status_code in {200, 201}, response.text
        assert after["state"] == ALLOWED[state, verb]
        assert after["version"] > before["version"]
        return
    if unseen:
        assert response.status_code == 404
    else:
        assert (response.status_code, response.json()["code"]) == (409, "wrong_state")
        assert (response.json()["state"], response.json()["verb"]) == (state, verb)
    assert after == before


async def test_a_withdrawn_draft_stays_unseen_and_a_withdrawn_proposal_stays_seen(
    hub: Hub,
) -> None:
    people = await team(hub)
    unseen = await people.propose()
    assert (await people.act("withdraw", unseen)).status_code == 200
    assert (await people.rita.get(unseen)).status_code == 404
    seen = await people.propose(proposal=link("Another"))
    await people.bring(seen, "withdrawn")
    assert (await people.rita.get(seen)).status_code == 200


async def test_an_edit_of_an_approved_contribution_needs_a_new_approval(hub: Hub) -> None:
    people = await team(hub)
    path = await people.propose()
    await people.bring(path, "approved")
    edited = await people.ann.patch(path, {"changes": {"url": "https://example.com/spam"}})
    assert (edited.json()["state"], edited.json()["decided_at"]) == ("submitted", None)
    assert (await people.act("merge", path)).json()["code"] == "wrong_state"
    assert (await people.act("approve", path)).status_code == 201
    assert (await people.act("merge", path)).status_code == 200

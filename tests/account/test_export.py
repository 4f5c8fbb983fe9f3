"""Everything that the hub holds of a person, in one file."""

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import httpx

from backend_hub.account.export import BATCH
from backend_hub.account.holdings import HOLDINGS
from backend_hub.events.models import Event
from tests.account.people import age_sign_ins, at_browser, make_token
from tests.contributions.team import Team
from tests.hub import PASSWORD, Hub, Person, answered, code_sample, link
from tests.oauth.apps import register


async def busy_person(hub: Hub) -> tuple[Person, Person]:
    """Ann, who did one of everything, and Bob, who did too."""
    ann, bob = await hub.person("ann"), await hub.person("bob")
    resource = await ann.create("/resources", code_sample("Hello from Ann"))
    await ann.patch(f"/resources/{resource['id']}", {"body": "Better *words*."})
    theirs = await bob.create("/resources", link("A guide by Bob"))
    await answered(ann, bob, title="How do I begin?")
    await ann.create(f"/posts/{theirs['id']}/comments", {"body": "Good guide, says Ann."})
    await bob.create(f"/posts/{theirs['id']}/comments", {"body": "Thanks, says Bob."})
    await ann.put(f"/posts/{theirs['id']}/vote", {"value": 1})
    await ann.put(f"/posts/{theirs['id']}/bookmark")
    await Team(ann, bob).propose()
    await register(hub, ann, name="Planner of Ann")
    await make_token(ann, name="Backup of Ann")
    await at_browser(hub, "ann")
    return ann, bob


def opened(answer: httpx.Response) -> dict[str, Any]:
    """The files of an export by name: JSON read, texts as they are."""
    assert answer.status_code == 200, answer.text
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return {
        name: json.loads(archive.read(name)) if name.endswith("json") else archive.read(name)
        for name in archive.namelist()
    }


async def test_an_export_holds_all_that_a_person_did_and_nothing_of_others(hub: Hub) -> None:
    ann, bob = await busy_person(hub)
    answer = await ann.post("/users/me/export")
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="ann.zip"'
    assert answer.headers["Cache-Control"] == "no-store"
    files = opened(answer)
    expected = {f"{holding.file}.json" for holding in HOLDINGS if holding.file}
    extending = {"resources.json", "questions.json", "contributions.json"}
    texts = {name for name in files if name.startswith("posts/")}
    assert set(files) == expected | extending | {"README.md"} | texts
    (profile,) = files["profile.json"]
    assert (profile["username"], profile["email"]) == ("ann", "ann@example.org")
    assert {p["kind"] for p in files["posts.json"]} == {"resource", "question", "contribution"}
    assert [r["content"]["body"] for r in files["revisions.json"]][1] == "Better *words*."
    assert [c["body"] for c in files["comments.json"]] == ["Good guide, says Ann."]
    empty = {name for name, rows in files.items() if rows == []}
    # Ann reviews nothing, maintains nothing, allowed no app, and signs in with her password only
    signing_in = {"passkeys.json", "other_accounts.json", "second_factor.json"}
    assert empty - signing_in == {"reviews.json", "maintained_topics.json", "allowed_apps.json"}
    (text,) = (files[name] for name in texts if name.startswith("posts/resource-"))
    assert text == b"# Hello from Ann\n\nBetter *words*.\n"
    everything = " ".join(map(str, files.values()))
    assert "says Bob" not in everything
    assert bob.username not in {p["username"] for p in files["profile.json"]}


async def test_24_an_export_holds_no_secret(hub: Hub) -> None:
    ann, _ = await busy_person(hub)
    content = " ".join(str(file) for file in opened(await ann.post("/users/me/export")).values())
    for secret in ("argon2", "_hash", "hub_pat_", PASSWORD):
        assert secret not in content
    assert "Planner of Ann" in content


async def test_an_export_larger_than_a_batch_is_whole(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    made = [await bob.create("/resources", link(f"Guide {n}")) for n in range(3)]
    rows = opened(await ann.post("/users/me/export"))["bookmarks.json"]
    assert rows == []
    for resource in made:
        await ann.put(f"/posts/{resource['id']}/bookmark")
    async with hub.database.transaction() as session:
        assert BATCH == 200
        for n in range(BATCH * 2 + 1):
            event = {"type": f"test.{n}", "actor_id": ann.id, "subject_id": "x"}
            session.add(Event.model_validate(event))
    files = opened(await ann.post("/users/me/export"))
    assert len(files["bookmarks.json"]) == 3
    numbers = [e["type"] for e in files["events.json"] if e["type"].startswith("test.")]
    assert len(set(numbers)) == BATCH * 2 + 1


async def test_56_the_page_exports_after_a_recent_sign_in_only(hub: Hub) -> None:
    await busy_person(hub)
    browser = await at_browser(hub, "ann")
    page = await browser.visit("/account/data")
    assert "Download your data" in page.text
    files = opened(await browser.send(page, "/account/data/export"))
    assert [e["kind"] for e in files["security_log.json"]][-1] == "data_exported"
    assert "Data exported" in (await browser.visit("/account/security")).text
    await age_sign_ins(hub, timedelta(minutes=11))
    again = await browser.visit("/account/data")
    assert "Download your data" not in again.text
    refused = await browser.send(page, "/account/data/export")
    assert refused.headers["Location"].startswith("/sign-in?")


async def test_56_an_older_token_exports_nothing(hub: Hub) -> None:
    ann = await hub.person("ann")
    await age_sign_ins(hub, timedelta(minutes=11))
    assert (await ann.post("/users/me/export")).status_code == 401
    again = await hub.sign_in("ann")
    assert (await again.post("/users/me/export")).status_code == 200

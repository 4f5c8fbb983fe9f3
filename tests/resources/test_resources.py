"""Resources over HTTP."""

import pytest

from backend_hub.users.models import Role
from tests.hub import Hub, code_sample, link, project


async def test_a_member_adds_each_kind_of_resource_and_everyone_reads_it(hub: Hub) -> None:
    ann = await hub.person("ann")
    await hub.topic("databases")
    for form in (link(topic="databases", tags=["sql", "indexes"]), code_sample(), project()):
        response = await ann.post("/resources", form)
        assert response.status_code == 201, response.text
        created = response.json()
        read = await hub.visitor.get(response.headers["Location"])
        assert read.json() == {**created, "viewer": None}
        assert {name: created[name] for name in form if name not in {"topic", "milestones"}} == {
            name: value for name, value in form.items() if name not in {"topic", "milestones"}
        }
    assert [p["kind"] for p in (await hub.visitor.read("/resources"))["items"]] == [
        "project",
        "code_sample",
        "link",
    ]


async def test_a_url_is_unique_whatever_its_spelling(hub: Hub) -> None:
    ann = await hub.person("ann")
    first = await ann.create("/resources", link(url="https://Example.org/a/../Guide?utm_source=x"))
    assert first["url"] == "https://example.org/Guide"
    again = await ann.post("/resources", link("Another", url="http://www.example.org/Guide/#top"))
    assert again.status_code == 409
    assert again.json()["code"] == "duplicate_url"
    assert again.json()["existing"]["id"] == first["id"]
    other = await ann.post("/resources", link("Another", url="https://example.org/guide"))
    assert other.status_code == 201


async def test_only_the_author_and_reviewers_edit(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    rita = await hub.person("rita", Role.reviewer)
    created = await ann.create("/resources", link(level="beginner"))
    path = f"/resources/{created['id']}"
    assert (await bob.patch(path, {"title": "Mine now"})).status_code == 403
    assert (await rita.patch(path, {"title": "Better title"})).status_code == 200
    edited = await ann.patch(path, {"level": None, "summary": "No level"})
    assert edited.status_code == 200, edited.text
    assert (edited.json()["title"], edited.json()["level"]) == ("Better title", None)
    assert edited.json()["revision"] == 3
    credited = (await bob.read(f"/posts/{created['id']}/contributors"))["items"]
    assert [(c["user"]["username"], c["edits"]) for c in credited] == [("ann", 2), ("rita", 1)]


async def test_an_edit_needs_the_current_etag(hub: Hub) -> None:
    ann = await hub.person("ann")
    created = await ann.post("/resources", link())
    path, etag = f"/resources/{created.json()['id']}", created.headers["ETag"]
    missing = await ann.request("PATCH", path, json={"title": "New title"})
    assert (missing.status_code, missing.json()["code"]) == (428, "precondition_required")
    assert (await ann.patch(path, {"title": "New title"}, etag)).status_code == 200
    stale = await ann.patch(path, {"title": "Newer title"}, etag)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")


@pytest.mark.parametrize(
    "change",
    [{"score": 9999}, {"title": None}, {"files": []}, {"kind": "link"}, {}, {"title": 1}],
)
async def test_a_patch_of_unknown_null_or_foreign_fields_is_refused(
    hub: Hub, change: dict[str, object]
) -> None:
    ann = await hub.person("ann")
    created = await ann.create("/resources", link())
    response = await ann.patch(f"/resources/{created['id']}", change)
    assert response.status_code == 422, response.text
    assert (await ann.patch(f"/resources/{created['id']}", {"title": "Good"})).status_code == 200


async def test_revisions_are_listed_compared_and_restored(hub: Hub) -> None:
    ann = await hub.person("ann")
    created = await ann.create("/resources", code_sample())
    path, post = f"/resources/{created['id']}", f"/posts/{created['id']}"
    files = [{"name": "main.py", "content": "print('hello, world')\n"}]
    await ann.patch(path, {"files": files, "summary": "Greet the world"})
    revisions = (await hub.visitor.read(f"{post}/revisions"))["items"]
    assert [(r["number"], r["summary"]) for r in revisions] == [(2, "Greet the world"), (1, "")]
    diff = await hub.visitor.read(f"{post}/diff", **{"from": 1, "to": 2})
    assert [field["field"] for field in diff["fields"]] == ["files/main.py"]
    assert "+print('hello, world')" in diff["fields"][0]["unified"]
    restored = await ann.request("POST", f"{path}/revisions/1/restore", headers={"If-Match": "*"})
    assert restored.json()["files"] == created["files"]
    assert restored.json()["revision"] == 3


async def test_a_deleted_resource_is_gone_until_it_is_restored(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    created = await ann.create("/resources", link())
    path = f"/resources/{created['id']}"
    assert (await bob.delete(path)).status_code == 403
    assert (await ann.delete(path)).status_code == 204
    assert (await bob.get(path)).status_code == 404
    assert (await hub.visitor.read("/resources"))["items"] == []
    assert (await ann.get(path)).json()["deleted_at"] is not None
    assert (await bob.post(f"{path}/restore")).status_code == 404
    assert (await ann.post(f"{path}/restore")).status_code == 200
    assert (await bob.get(path)).status_code == 200


async def test_the_cursor_leads_to_the_next_page_and_the_last_page_has_none(hub: Hub) -> None:
    ann = await hub.person("ann")
    made = [(await ann.create("/resources", link(f"Guide {n}")))["id"] for n in range(3)]
    first = await hub.visitor.read("/resources", limit=2)
    rest = await hub.visitor.read("/resources", limit=2, cursor=first["next_cursor"])
    assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1]
    assert rest["next_cursor"] is None

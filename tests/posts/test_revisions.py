"""Revisions, diffs and people over HTTP."""

import time

import pytest

from backend_hub.users.models import Role
from tests.hub import Hub, code_sample, link, project


async def test_each_revision_holds_what_was_written_then(hub: Hub) -> None:
    ann, rita = await hub.person("ann"), await hub.person("rita", Role.reviewer)
    form = project(tags=["b", "a"], level="beginner")
    created = await ann.create("/resources", form)
    await rita.patch(f"/resources/{created['id']}", {"level": None, "summary": "No level"})
    post = f"/posts/{created['id']}"
    first, second = [await hub.visitor.read(f"{post}/revisions/{n}") for n in (1, 2)]
    assert {name: first["content"][name] for name in form if name != "milestones"} == {
        name: value for name, value in form.items() if name != "milestones"
    }
    assert (first["editor"]["username"], second["editor"]["username"]) == ("ann", "rita")
    assert (second["summary"], second["content"]["level"], second["reviewer"]) == (
        "No level",
        None,
        None,
    )
    assert (await hub.visitor.get(f"{post}/revisions/3")).status_code == 404
    for number in ("0", "-1", "2147483648", "one"):
        assert (await hub.visitor.get(f"{post}/revisions/{number}")).status_code == 422


async def test_a_diff_names_every_field_that_differs_and_no_other(hub: Hub) -> None:
    ann = await hub.person("ann")
    created = await ann.create("/resources", code_sample(tags=["a", "b"]))
    files = [{"name": "main.py", "content": "print('hello')\n"}, {"name": "x.py", "content": "x\n"}]
    change = {"tags": ["b", "c"], "files": files, "expected_output": "hello\nworld\n"}
    await ann.patch(f"/resources/{created['id']}", change)
    path = f"/posts/{created['id']}/diff"
    diff = await hub.visitor.read(path, **{"from": 1, "to": 2})
    fields = {field["field"]: field for field in diff["fields"]}
    assert set(fields) == {"tags", "files/x.py", "expected_output"}
    assert fields["tags"]["unified"].splitlines()[3:] == ["-a", " b", "+c"]
    assert (fields["files/x.py"]["before"], fields["files/x.py"]["after"]) == (None, "x\n")
    back = await hub.visitor.read(path, **{"from": 2, "to": 1})
    assert {f["field"]: f["after"] for f in back["fields"]}["files/x.py"] is None
    assert (await hub.visitor.read(path, **{"from": 2, "to": 2}))["fields"] == []
    assert (await hub.visitor.get(path, params={"from": 1, "to": 3})).status_code == 404
    assert (await hub.visitor.get(path, params={"from": 1})).status_code == 422


async def test_a_diff_of_hostile_texts_is_made_in_time(hub: Hub) -> None:
    ann = await hub.person("ann")
    words = [format(n, "x") for n in range(110)]
    first = "\n".join((words * 200)[:19_000])
    second = "\n".join((words[::-1] * 200)[:19_000])
    created = await ann.create("/resources", link(body=first))
    assert (await ann.patch(f"/resources/{created['id']}", {"body": second})).status_code == 200
    path = f"/posts/{created['id']}/diff"
    started = time.perf_counter()
    diff = await hub.visitor.read(path, **{"from": 1, "to": 2})
    assert time.perf_counter() - started < 5
    lines = diff["fields"][0]["unified"].splitlines()
    assert [line[1:] for line in lines[3:] if line[0] == "-"] == first.splitlines()
    assert [line[1:] for line in lines[3:] if line[0] == "+"] == second.splitlines()


async def test_going_back_is_a_new_revision_and_keeps_the_rules(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    created = await ann.create("/resources", link("One", url="https://example.org/1"))
    path = f"/resources/{created['id']}"
    await ann.patch(path, {"title": "Two", "url": "https://example.org/2"})
    restore = f"{path}/revisions/1/restore"
    assert (await ann.post(restore)).status_code == 428
    stale = await ann.request("POST", restore, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    refused = await bob.request("POST", restore, headers={"If-Match": "*"})
    assert refused.status_code == 403
    taken = await bob.create("/resources", link("Three", url="https://example.org/1"))
    duplicate = await ann.request("POST", restore, headers={"If-Match": "*"})
    assert (duplicate.status_code, duplicate.json()["existing"]["id"]) == (409, taken["id"])
    await bob.delete(f"/resources/{taken['id']}")
    restored = await ann.request("POST", restore, headers={"If-Match": '"2"'})
    assert (restored.status_code, restored.json()["title"]) == (200, "One")
    assert restored.json()["revision"] == 3
    missing = await ann.request("POST", f"{path}/revisions/9/restore", headers={"If-Match": "*"})
    assert missing.status_code == 404


async def test_a_post_can_be_edited_and_restored_after_its_topic_was_renamed(hub: Hub) -> None:
    ann, admin = await hub.person("ann"), await hub.person("root", Role.admin)
    await hub.topic("databases")
    await hub.topic("caches")
    created = await ann.create("/resources", link(topic="databases"))
    path = f"/resources/{created['id']}"
    assert (await admin.patch("/topics/databases", {"slug": "storage"})).status_code == 200
    edited = await ann.patch(path, {"title": "Another title"})
    assert (edited.status_code, edited.json()["topic"]["slug"]) == (200, "storage")
    assert (await ann.patch(path, {"topic": "caches"})).json()["topic"]["slug"] == "caches"
    for number, topic in ((2, "storage"), (1, "storage")):
        restored = await ann.request(
            "POST", f"{path}/revisions/{number}/restore", headers={"If-Match": "*"}
        )
        assert (restored.status_code, restored.json()["topic"]["slug"]) == (200, topic)


async def test_contributors_are_counted_and_paged_by_name(hub: Hub) -> None:
    ann = await hub.person("ann")
    created = await ann.create("/resources", link())
    path = f"/resources/{created['id']}"
    for name in ("Zoe", "bob"):
        editor = await hub.person(name, Role.reviewer)
        for n in range(2):
            await editor.patch(path, {"title": f"Title {name} {n}"})
    people = f"/posts/{created['id']}/contributors"
    first = await hub.visitor.read(people, limit=2)
    second = await hub.visitor.read(people, limit=2, cursor=first["next_cursor"])
    found = [
        (c["user"]["username"], c["edits"], c["reviews"])
        for c in [*first["items"], *second["items"]]
    ]
    assert found == [("ann", 1, 0), ("bob", 2, 0), ("Zoe", 2, 0)]


@pytest.mark.parametrize("room", ["comments", "revisions", "contributors", "revisions/1"])
async def test_nothing_of_an_invisible_post_is_told(hub: Hub, room: str) -> None:
    ann = await hub.person("ann")
    created = await ann.create("/resources", link())
    path = f"/posts/{created['id']}"
    assert (await hub.visitor.get(f"{path}/{room}")).status_code == 200
    await ann.delete(f"/resources/{created['id']}")
    assert (await hub.visitor.get(f"{path}/{room}")).status_code == 404
    assert (await hub.visitor.get(path)).status_code == 404
    diff = await hub.visitor.get(f"{path}/diff", params={"from": 1, "to": 1})
    assert diff.status_code == 404

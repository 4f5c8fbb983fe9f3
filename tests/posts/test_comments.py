"""Comments over HTTP."""

import asyncio

import pytest

from backend_hub.users.models import Role
from tests.hub import Hub, link


async def test_comments_are_read_as_a_conversation_and_counted(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    post = await ann.create("/resources", link())
    path = f"/posts/{post['id']}/comments"
    for writer, body in ((bob, "Is it *new*?"), (ann, "Yes.")):
        response = await writer.post(path, {"body": body})
        assert response.status_code == 201, response.text
        assert (await hub.visitor.get(response.headers["Location"])).json() == response.json()
    items = (await hub.visitor.read(path))["items"]
    assert [(i["author"]["username"], i["body_html"].strip()) for i in items] == [
        ("bob", "<p>Is it <em>new</em>?</p>"),
        ("ann", "<p>Yes.</p>"),
    ]
    read = await hub.visitor.read(f"/resources/{post['id']}")
    assert read["comment_count"] == 2
    assert read["last_activity_at"] > post["last_activity_at"]
    assert read["updated_at"] == post["updated_at"]


async def test_a_comment_is_changed_by_its_author_and_moderators_only(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    rita, mod = await hub.person("rita", Role.reviewer), await hub.person("mod", Role.moderator)
    post = await ann.create("/resources", link())
    comment = await bob.create(f"/posts/{post['id']}/comments", {"body": "First"})
    path = f"/comments/{comment['id']}"
    codes = [(await p.patch(path, {"body": p.username})).status_code for p in (ann, rita, mod, bob)]
    assert codes == [403, 403, 200, 200]
    read = await hub.visitor.read(path)
    assert (read["body"], read["version"]) == ("bob", 3)
    codes = [(await person.delete(path)).status_code for person in (ann, rita, mod)]
    assert codes == [403, 403, 204]


async def test_a_comment_is_changed_only_with_its_current_etag(hub: Hub) -> None:
    ann = await hub.person("ann")
    post = await ann.create("/resources", link())
    created = await ann.post(f"/posts/{post['id']}/comments", {"body": "First"})
    path, etag = f"/comments/{created.json()['id']}", created.headers["ETag"]
    assert (await ann.request("PATCH", path, json={"body": "x"})).status_code == 428
    assert (await ann.request("DELETE", path)).status_code == 428
    assert (await ann.patch(path, {"body": "Second"}, etag)).status_code == 200
    assert (await ann.patch(path, {"body": "Third"}, etag)).status_code == 412
    assert (await ann.delete(path, etag)).status_code == 412
    assert (await ann.read(path))["body"] == "Second"


async def test_a_deleted_comment_is_gone_and_not_counted(hub: Hub) -> None:
    ann = await hub.person("ann")
    post = await ann.create("/resources", link())
    comments = f"/posts/{post['id']}/comments"
    first, second = [await ann.create(comments, {"body": body}) for body in ("One", "Two")]
    path = f"/comments/{first['id']}"
    assert (await ann.delete(path)).status_code == 204
    for answer in (
        await ann.get(path),
        await ann.patch(path, {"body": "x"}),
        await ann.delete(path),
    ):
        assert answer.status_code == 404
    assert [i["id"] for i in (await ann.read(comments))["items"]] == [second["id"]]
    assert (await ann.read(f"/resources/{post['id']}"))["comment_count"] == 1


async def test_comments_of_a_deleted_post_are_not_reached(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    mod = await hub.person("mod", Role.moderator)
    post = await ann.create("/resources", link())
    comments = f"/posts/{post['id']}/comments"
    comment = await bob.create(comments, {"body": "One"})
    await ann.delete(f"/resources/{post['id']}")
    for person in (hub.visitor, bob, ann, mod):
        assert (await person.get(comments)).status_code == 404
        assert (await person.get(f"/comments/{comment['id']}")).status_code == 404
    assert (await bob.post(comments, {"body": "Two"})).status_code == 404
    assert (await bob.delete(f"/comments/{comment['id']}")).status_code == 404


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"body": ""},
        {"body": " \n"},
        {"body": "x" * 2_001},
        {"body": "a\x00b"},
        {"body": None},
        {"body": "x", "score": 1},
    ],
)
async def test_a_comment_of_another_form_is_refused(hub: Hub, form: object) -> None:
    ann = await hub.person("ann")
    post = await ann.create("/resources", link())
    path = f"/posts/{post['id']}/comments"
    assert (await ann.post(path, form)).status_code == 422
    comment = await ann.create(path, {"body": "x" * 2_000})
    assert (await ann.patch(f"/comments/{comment['id']}", form)).status_code == 422
    assert (await ann.read(f"/resources/{post['id']}"))["comment_count"] == 1


async def test_parallel_comments_are_all_counted(live: Hub) -> None:
    ann, bob = await live.person("ann"), await live.person("bob")
    post = await ann.create("/resources", link())
    path = f"/posts/{post['id']}/comments"
    answers = await asyncio.gather(*(bob.post(path, {"body": f"No. {n}"}) for n in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert (await live.visitor.read(f"/resources/{post['id']}"))["comment_count"] == 20
    gone = [f"/comments/{answer.json()['id']}" for answer in answers[:10]]
    deleted = await asyncio.gather(*(bob.delete(path) for path in gone * 2))
    assert sorted(answer.status_code for answer in deleted) == [204] * 10 + [404] * 10
    assert (await live.visitor.read(f"/resources/{post['id']}"))["comment_count"] == 10

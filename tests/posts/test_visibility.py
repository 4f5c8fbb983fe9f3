"""Who sees which post, in every list; and who restores."""

from uuid import UUID

import pytest

from backend_hub.posts.models import PostKind
from backend_hub.users.models import Role
from tests.hub import Hub, Person, link
from tests.posts.kinds import write_post

KINDS = list(PostKind)


async def places(person: Person, author: str) -> dict[str, list[str]]:
    """The ids that each list of posts shows to a person."""
    lists = {
        "resources": "/resources",
        "by topic": "/resources?topic=databases",
        "by tag": "/resources?tag=sql",
        "found": "/resources?q=indexes",
        "of a person": f"/users/{author}/posts",
    }
    return {
        name: [item["id"] for item in (await person.read(path))["items"]]
        for name, path in lists.items()
    }


async def test_a_deleted_post_is_in_no_list_until_it_is_restored(hub: Hub) -> None:
    ann, mod = await hub.person("ann"), await hub.person("mod", Role.moderator)
    await hub.topic("databases")
    post = await ann.create("/resources", link(topic="databases", tags=["sql"]))
    shown = {name: [post["id"]] for name in await places(ann, "ann")}
    hidden: dict[str, list[str]] = {name: [] for name in shown}
    people = (hub.visitor, ann, mod)
    assert [await places(person, "ann") for person in people] == [shown] * 3
    assert (await hub.visitor.read("/topics/databases"))["resource_count"] == 1
    assert (await hub.visitor.read("/tags/sql"))["post_count"] == 1
    await ann.delete(f"/resources/{post['id']}")
    assert [await places(person, "ann") for person in people] == [hidden] * 3
    assert (await hub.visitor.read("/topics/databases"))["resource_count"] == 0
    assert (await hub.visitor.read("/tags/sql"))["post_count"] == 0
    assert (await hub.visitor.read("/users/ann"))["resource_count"] == 0
    await ann.post(f"/resources/{post['id']}/restore")
    assert [await places(person, "ann") for person in people] == [shown] * 3
    assert (await hub.visitor.read("/tags/sql"))["post_count"] == 1


async def test_a_draft_is_for_its_author_only(hub: Hub) -> None:
    ann, mod = await hub.person("ann"), await hub.person("mod", Role.moderator)
    draft = await write_post(hub, ann, PostKind.contribution, draft=True)
    for person, items, status in ((ann, [draft], 200), (mod, [], 404), (hub.visitor, [], 404)):
        assert (await places(person, "ann"))["of a person"] == items
        assert (await person.get(f"/posts/{draft}")).status_code == status
        assert (await person.get(f"/posts/{draft}/revisions")).status_code == status
    assert (await hub.visitor.read("/tags/sql"))["post_count"] == 0


async def test_an_answer_under_a_deleted_question_is_hidden(hub: Hub) -> None:
    ann = await hub.person("ann")
    question = await write_post(hub, ann, PostKind.question)
    shown = await write_post(hub, ann, PostKind.answer, parent_id=UUID(question))
    hidden = await write_post(
        hub, ann, PostKind.answer, parent_id=UUID(question), parent_deleted=True
    )
    listed = (await hub.visitor.read("/users/ann/posts?kind=answer"))["items"]
    assert [item["id"] for item in listed] == [shown]
    assert (await ann.get(f"/posts/{hidden}")).status_code == 404


async def test_what_a_moderator_deleted_only_moderators_restore(hub: Hub) -> None:
    ann, mod = await hub.person("ann"), await hub.person("mod", Role.moderator)
    post = await ann.create("/resources", link())
    path = f"/resources/{post['id']}"
    assert (await mod.delete(path)).status_code == 204
    assert (await ann.get(path)).status_code == 200
    assert (await ann.post(f"{path}/restore")).status_code == 403
    assert (await mod.post(f"{path}/restore")).status_code == 200
    assert (await ann.delete(path)).status_code == 204
    assert (await ann.delete(path)).status_code == 404
    assert (await ann.patch(path, {"title": "While deleted"})).status_code == 404
    assert (await ann.post(f"{path}/restore")).status_code == 200
    again = await ann.post(f"{path}/restore")
    assert (again.status_code, again.json()["code"]) == (409, "not_deleted")


async def test_a_reviewer_neither_deletes_nor_restores_for_others(hub: Hub) -> None:
    ann, rita = await hub.person("ann"), await hub.person("rita", Role.reviewer)
    path = f"/resources/{(await ann.create('/resources', link()))['id']}"
    assert (await rita.delete(path)).status_code == 403
    await ann.delete(path)
    assert (await rita.get(path)).status_code == 404
    assert (await rita.post(f"{path}/restore")).status_code == 404


async def test_deleting_needs_the_current_etag(hub: Hub) -> None:
    ann = await hub.person("ann")
    created = await ann.post("/resources", link())
    path, etag = f"/resources/{created.json()['id']}", created.headers["ETag"]
    await ann.patch(path, {"title": "Another title"})
    assert (await ann.request("DELETE", path)).status_code == 428
    assert (await ann.delete(path, etag)).status_code == 412
    assert (await ann.delete(path, '"2"')).status_code == 204


@pytest.mark.parametrize("kind", KINDS)
async def test_a_reference_says_what_a_post_is_and_where(hub: Hub, kind: PostKind) -> None:
    ann = await hub.person("ann")
    question = await write_post(hub, ann, PostKind.question, "Why is it slow?")
    parent = {"parent_id": UUID(question)} if kind is PostKind.answer else {}
    post_id = await write_post(hub, ann, kind, "Its title", **parent)
    ref = await hub.visitor.read(f"/posts/{post_id}")
    assert ref["href"] == f"/api/v1/{kind}s/{post_id}"
    assert ref["title"] == ("Why is it slow?" if kind is PostKind.answer else "Its title")
    assert (ref["kind"], ref["author"]["username"]) == (kind, "ann")
    listed = (await hub.visitor.read(f"/users/ANN/posts?kind={kind}"))["items"]
    assert listed[0] == ref


async def test_a_persons_posts_are_paged_the_newest_first(hub: Hub) -> None:
    ann = await hub.person("ann")
    ids = [await write_post(hub, ann, PostKind.question)]
    for kind in (PostKind.answer, PostKind.resource, PostKind.contribution):
        parent = {"parent_id": UUID(ids[0])} if kind is PostKind.answer else {}
        ids.append(await write_post(hub, ann, kind, f"No. {kind}", **parent))
    first = await hub.visitor.read("/users/ann/posts", limit=3, include_total="true")
    rest = await hub.visitor.read("/users/ann/posts", limit=3, cursor=first["next_cursor"])
    assert [i["id"] for i in [*first["items"], *rest["items"]]] == ids[::-1]
    assert (first["total"], rest["next_cursor"]) == (4, None)
    assert (await hub.visitor.get("/users/ann/posts?kind=page")).status_code == 422
    assert (await hub.visitor.read("/users/nobody/posts"))["items"] == []

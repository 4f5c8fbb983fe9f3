"""Answers, and which one is accepted, over HTTP."""

from typing import Any

import httpx
import pytest

from backend_hub.users.models import Role
from tests.hub import Hub, Person, answered

ANY = {"If-Match": "*"}
NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


async def accept(person: Person, asked: str, answer: str, if_match: str = "*") -> httpx.Response:
    return await person.put(
        f"/questions/{asked}/accepted-answer",
        {"answer_id": answer},
        headers={"If-Match": if_match},
    )


async def test_a_member_answers_and_the_question_shows_it(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    await hub.topic("databases")
    asked, _ = await answered(ann, topic="databases", language="de")
    path = f"/questions/{asked}"
    response = await bob.post(f"{path}/answers", {"body": "Mit `EXPLAIN`."})
    assert response.status_code == 201, response.text
    created = response.json()
    assert (created["question_id"], created["language"]) == (asked, "de")
    assert created["body_html"] == "<p>Mit <code>EXPLAIN</code>.</p>\n"
    assert (created["accepted"], created["author"]["username"]) == (False, "bob")
    seen = {**created, "viewer": None}
    assert (await hub.visitor.get(response.headers["Location"])).json() == seen
    read = await hub.visitor.read(path)
    assert (read["answers"], read["answer_count"]) == ([seen], 1)
    assert read["last_activity_at"] == created["created_at"]
    assert (await hub.visitor.read(f"{path}/answers"))["items"] == [seen]
    assert (await bob.read(path))["answers"][0]["viewer"] == {"vote": 0, "bookmarked": False}


async def test_answering_needs_a_sign_in_and_an_existing_question(hub: Hub) -> None:
    ann = await hub.person("ann")
    asked, (answer,) = await answered(ann, ann)
    path, form = f"/questions/{asked}/answers", {"body": "Text"}
    assert (await hub.visitor.post(path, form)).status_code == 401
    assert (await ann.post(f"/questions/{NOBODY}/answers", form)).status_code == 404
    assert (await ann.post(f"/questions/{answer}/answers", form)).status_code == 404
    assert (await ann.post("/questions/no-id/answers", form)).status_code == 404
    assert (await ann.post(path, form)).status_code == 201


@pytest.mark.parametrize(
    "wrong", [{"body": " "}, {"body": None}, {"title": "No"}, {"language": "English"}, {"score": 1}]
)
async def test_bad_answers_are_refused(hub: Hub, wrong: dict[str, Any]) -> None:
    ann = await hub.person("ann")
    asked, _ = await answered(ann)
    path = f"/questions/{asked}/answers"
    assert (await ann.post(path, {"body": "Text", **wrong})).status_code == 422
    assert (await ann.post(path, {"body": "Text", "language": "fr"})).status_code == 201


async def test_only_the_author_and_moderators_edit_an_answer(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    mia = await hub.person("mia", Role.moderator)
    asked, (answer,) = await answered(ann, bob)
    path = f"/answers/{answer}"
    etag = (await bob.get(path)).headers["ETag"]
    assert (await ann.patch(path, {"body": "Mine"})).status_code == 403
    assert (await bob.request("PATCH", path, json={"body": "Text"})).status_code == 428
    assert (await mia.patch(path, {"body": "Tidied"})).status_code == 200
    assert (await bob.patch(path, {"body": "Late"}, etag)).status_code == 412
    assert (await bob.patch(path, {"title": "No titles here"})).status_code == 422
    edited = await bob.patch(path, {"language": "fr", "summary": "It is French"})
    assert (edited.json()["body"], edited.json()["language"]) == ("Tidied", "fr")
    back = f"{path}/revisions/1/restore"
    assert (await ann.post(back, headers=ANY)).status_code == 403
    restored = await bob.post(back, headers=ANY)
    assert (restored.json()["body"], restored.json()["revision"]) == ("bob knows", 4)
    assert (await bob.patch(f"/answers/{asked}", {"body": "Text"})).status_code == 404


async def test_the_count_follows_deleted_and_restored_answers(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    asked, (first, second) = await answered(ann, bob, bob)
    path = f"/answers/{first}"
    assert (await ann.delete(path)).status_code == 403
    assert (await bob.request("DELETE", path)).status_code == 428
    assert (await bob.delete(path)).status_code == 204
    assert (await bob.delete(path)).status_code == 404
    read = await ann.read(f"/questions/{asked}")
    assert (read["answer_count"], [a["id"] for a in read["answers"]]) == (1, [second])
    assert (await ann.get(path)).status_code == 404
    assert (await ann.post(f"{path}/restore")).status_code == 404
    assert (await bob.post(f"{path}/restore")).status_code == 200
    assert (await bob.post(f"{path}/restore")).status_code == 409
    assert (await ann.read(f"/questions/{asked}"))["answer_count"] == 2


async def test_only_the_asker_can_accept_an_answer(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    mia = await hub.person("mia", Role.moderator)
    asked, (answer,) = await answered(ann, bob)
    for other in (bob, mia):
        assert (await accept(other, asked, answer)).status_code == 403
    accepted = await accept(ann, asked, answer)
    assert accepted.status_code == 200, accepted.text
    assert accepted.json()["accepted_answer_id"] == answer
    assert accepted.json()["answers"][0]["accepted"] is True
    for other in (bob, mia):
        assert (await other.delete(f"/questions/{asked}/accepted-answer")).status_code == 403
    assert (await ann.delete(f"/questions/{asked}/accepted-answer")).status_code == 204
    assert (await ann.read(f"/questions/{asked}"))["accepted_answer_id"] is None
    assert (await ann.delete(f"/questions/{asked}/accepted-answer")).status_code == 404


async def test_accepting_another_answer_replaces_the_first(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    asked, (theirs, own) = await answered(ann, bob, ann)
    await accept(ann, asked, theirs)
    changed = await accept(ann, asked, own)
    flags = {answer["id"]: answer["accepted"] for answer in changed.json()["answers"]}
    assert flags == {own: True, theirs: False}
    again = await accept(ann, asked, own)
    assert again.json()["version"] == changed.json()["version"]


async def test_accepting_needs_the_etag_of_the_question(hub: Hub) -> None:
    ann = await hub.person("ann")
    asked, (first, second) = await answered(ann, ann, ann)
    path = f"/questions/{asked}"
    etag = (await ann.get(path)).headers["ETag"]
    missing = await ann.put(f"{path}/accepted-answer", {"answer_id": first})
    assert missing.status_code == 428
    assert (await accept(ann, asked, first, etag)).status_code == 200
    assert (await accept(ann, asked, second, etag)).status_code == 412
    assert (await ann.delete(f"{path}/accepted-answer", etag)).status_code == 412
    assert (await ann.read(path))["accepted_answer_id"] == first


async def test_only_answers_of_the_question_are_accepted(hub: Hub) -> None:
    ann = await hub.person("ann")
    asked, (good, gone) = await answered(ann, ann, ann)
    _, (elsewhere,) = await answered(ann, ann)
    await ann.delete(f"/answers/{gone}")
    for wrong in (elsewhere, gone, asked, NOBODY, "no-id"):
        assert (await accept(ann, asked, wrong)).status_code == 422, wrong
    assert (await accept(ann, asked, good)).status_code == 200


async def test_a_deleted_accepted_answer_is_accepted_no_more(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    asked, (answer, other) = await answered(ann, bob, bob)
    await accept(ann, asked, answer)
    await bob.delete(f"/answers/{other}")
    assert (await ann.read(f"/questions/{asked}"))["accepted_answer_id"] == answer
    await bob.delete(f"/answers/{answer}")
    assert (await ann.read(f"/questions/{asked}"))["accepted_answer_id"] is None
    await bob.post(f"/answers/{answer}/restore")
    read = await ann.read(f"/questions/{asked}")
    assert (read["accepted_answer_id"], read["answer_count"]) == (None, 1)


async def test_answers_are_sorted(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    asked, (first, second, third) = await answered(ann, ann, ann, ann)
    await bob.put(f"/posts/{first}/vote", {"value": -1})
    await bob.put(f"/posts/{second}/vote", {"value": 1})
    await accept(ann, asked, first)
    path = f"/questions/{asked}/answers"

    async def ids(**params: Any) -> list[str]:
        return [answer["id"] for answer in (await ann.read(path, **params))["items"]]

    assert await ids() == [first, second, third]
    assert await ids(sort="newest") == [third, second, first]
    assert await ids(sort="oldest") == [first, second, third]
    read = await ann.read(f"/questions/{asked}")
    assert [answer["id"] for answer in read["answers"]] == [first, second, third]
    page = await ann.read(path, limit=1)
    rest = await ann.read(path, limit=2, cursor=page["next_cursor"])
    assert [answer["id"] for answer in rest["items"]] == [second, third]
    assert rest["next_cursor"] is None
    assert (await ann.get(path, params={"sort": "best"})).status_code == 422
    assert (await ann.get(f"/questions/{NOBODY}/answers")).status_code == 404


async def test_comments_stand_under_their_question_and_answer(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    asked, (answer, _) = await answered(ann, bob, bob)
    mine = await bob.create(f"/posts/{asked}/comments", {"body": "Which version?"})
    gone = await bob.create(f"/posts/{asked}/comments", {"body": "Never mind"})
    await bob.delete(f"/comments/{gone['id']}")
    thanks = await ann.create(f"/posts/{answer}/comments", {"body": "Thanks"})
    read = await hub.visitor.read(f"/questions/{asked}")
    assert read["comments"] == [mine]
    assert {a["id"]: a["comments"] for a in read["answers"]}[answer] == [thanks]
    assert (await hub.visitor.read(f"/answers/{answer}"))["comments"] == [thanks]


async def test_only_the_first_comments_are_shown(hub: Hub) -> None:
    ann = await hub.person("ann")
    asked, _ = await answered(ann)
    path = f"/posts/{asked}/comments"
    texts = [(await ann.create(path, {"body": f"Number {n}"}))["body"] for n in range(21)]
    read = await ann.read(f"/questions/{asked}")
    assert [comment["body"] for comment in read["comments"]] == texts[:20]
    assert read["comment_count"] == 21


async def test_answers_follow_their_question_to_its_topic(hub: Hub) -> None:
    ann = await hub.person("ann")
    ada = await hub.person("ada", Role.admin)
    for slug in ("databases", "testing"):
        await hub.topic(slug)
    asked, _ = await answered(ann, ann, topic="databases")
    assert (await ann.patch(f"/questions/{asked}", {"topic": "testing"})).status_code == 200
    assert (await ada.delete("/topics/testing")).status_code == 409
    assert (await ada.delete("/topics/databases")).status_code == 204

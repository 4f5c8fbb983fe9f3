"""Asking, editing, deleting and finding questions over HTTP."""

from typing import Any

import pytest

from backend_hub.users.models import Role
from tests.hub import Hub, Person, answered, link, question


async def titles(person: Person, **params: Any) -> list[str]:
    return [item["title"] for item in (await person.read("/questions", **params))["items"]]


async def test_a_member_asks_and_everyone_reads(hub: Hub) -> None:
    ann = await hub.person("ann")
    await hub.topic("databases")
    form = question(topic="databases", tags=["sql", "indexes"], language="pt-BR")
    response = await ann.post("/questions", form)
    assert response.status_code == 201, response.text
    created = response.json()
    assert {name: created[name] for name in ("title", "body", "tags", "language")} == {
        name: form[name] for name in ("title", "body", "tags", "language")
    }
    assert created["topic"] == {"slug": "databases", "name": "Databases"}
    assert (created["answer_count"], created["answers"], created["comments"]) == (0, [], [])
    read = await hub.visitor.get(response.headers["Location"])
    assert read.json() == {**created, "viewer": None}
    listed = (await hub.visitor.read("/questions"))["items"]
    assert [{name: created[name] for name in item} for item in listed] == listed


async def test_asking_needs_a_sign_in(hub: Hub) -> None:
    ann = await hub.person("ann")
    assert (await hub.visitor.post("/questions", question())).status_code == 401
    assert (await ann.post("/questions", question())).status_code == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": "  "},
        {"title": None},
        {"body": ""},
        {"body": "a\x00b"},
        {"body": "x" * 64_001},
        {"tags": ["Not A Tag"]},
        {"tags": [f"tag-{n}" for n in range(9)]},
        {"topic": "no-such-topic"},
        {"score": 9_999},
        {"accepted_answer_id": "01890a5d-ac96-774b-bcce-b302099a8057"},
    ],
)
async def test_bad_questions_are_refused(hub: Hub, wrong: dict[str, Any]) -> None:
    ann = await hub.person("ann")
    response = await ann.post("/questions", {**question(), **wrong})
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")
    assert (await ann.post("/questions", question())).status_code == 201


async def test_asking_twice_with_one_key_asks_once(hub: Hub) -> None:
    ann = await hub.person("ann")
    key = {"Idempotency-Key": "ask-1"}
    first = await ann.post("/questions", question(), headers=key)
    again = await ann.post("/questions", question(), headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(await titles(ann)) == 1


async def test_only_the_asker_and_moderators_edit(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    mia = await hub.person("mia", Role.moderator)
    asked, _ = await answered(ann)
    path = f"/questions/{asked}"
    assert (await bob.patch(path, {"title": "Mine now"})).status_code == 403
    assert (await mia.patch(path, {"title": "Sentence case"})).status_code == 200
    edited = await ann.patch(path, {"tags": ["sql"], "summary": "A tag"})
    assert edited.status_code == 200, edited.text
    assert (edited.json()["title"], edited.json()["tags"]) == ("Sentence case", ["sql"])
    assert edited.json()["revision"] == 3


@pytest.mark.parametrize(
    "change", [{}, {"summary": "Nothing"}, {"title": None}, {"score": 1}, {"body": 1}, {"tags": 1}]
)
async def test_bad_edits_are_refused(hub: Hub, change: dict[str, Any]) -> None:
    ann = await hub.person("ann")
    asked, _ = await answered(ann)
    assert (await ann.patch(f"/questions/{asked}", change)).status_code == 422
    assert (await ann.patch(f"/questions/{asked}", {"topic": None})).status_code == 200


async def test_an_edit_needs_the_current_etag_and_answers_do_not_change_it(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    created = await ann.post("/questions", question())
    path, etag = f"/questions/{created.json()['id']}", created.headers["ETag"]
    missing = await ann.request("PATCH", path, json={"title": "New title"})
    assert (missing.status_code, missing.json()["code"]) == (428, "precondition_required")
    await bob.create(f"{path}/answers", {"body": "Meanwhile"})
    assert (await ann.patch(path, {"title": "New title"}, etag)).status_code == 200
    stale = await ann.patch(path, {"title": "Newer title"}, etag)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")


async def test_an_earlier_revision_is_restored(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    asked, _ = await answered(ann, tags=["sql"])
    path = f"/questions/{asked}"
    await ann.patch(path, {"title": "Another title", "tags": []})
    back, any_version = f"{path}/revisions/1/restore", {"If-Match": "*"}
    assert (await bob.post(back, headers=any_version)).status_code == 403
    assert (await ann.post(back)).status_code == 428
    restored = await ann.post(back, headers=any_version)
    assert (restored.json()["title"], restored.json()["tags"]) == (question()["title"], ["sql"])
    missing = await ann.post(f"{path}/revisions/9/restore", headers=any_version)
    assert missing.status_code == 404


async def test_the_asker_deletes_until_somebody_else_answered(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    mia = await hub.person("mia", Role.moderator)
    asked, (own, others) = await answered(ann, ann, bob)
    path = f"/questions/{asked}"
    assert (await bob.delete(path)).status_code == 403
    refused = await ann.delete(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "question_has_answers")
    assert (await bob.delete(f"/answers/{others}")).status_code == 204
    assert (await ann.delete(path)).status_code == 204
    assert (await ann.post(f"{path}/restore")).status_code == 200
    assert (await bob.post(f"/answers/{others}/restore")).status_code == 200
    assert (await ann.delete(path)).status_code == 409
    assert (await mia.delete(path)).status_code == 204


async def test_a_deleted_question_takes_its_answers_with_it_and_back(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    asked, (answer,) = await answered(ann, ann)
    path = f"/questions/{asked}"
    assert (await ann.delete(path)).status_code == 204
    for gone in (path, f"{path}/answers", f"/answers/{answer}", f"/posts/{answer}"):
        assert (await bob.get(gone)).status_code == 404
    assert await titles(bob) == []
    assert (await ann.read(path))["deleted_at"] is not None
    assert (await ann.delete(path)).status_code == 404
    assert (await ann.patch(path, {"title": "A title"})).status_code == 404
    assert (await ann.patch(f"/answers/{answer}", {"body": "Text"})).status_code == 404
    assert (await ann.post(f"{path}/answers", {"body": "Late"})).status_code == 404
    assert (await ann.post(f"{path}/close", {"reason": "off_topic"})).status_code == 404
    assert (await bob.post(f"{path}/restore")).status_code == 404
    assert (await ann.post(f"{path}/restore")).status_code == 200
    assert [item["id"] for item in (await bob.read(path))["answers"]] == [answer]
    assert (await bob.read(path))["answer_count"] == 1


async def test_only_a_moderator_restores_what_a_moderator_deleted(hub: Hub) -> None:
    ann, mia = await hub.person("ann"), await hub.person("mia", Role.moderator)
    asked, _ = await answered(ann)
    assert (await mia.delete(f"/questions/{asked}")).status_code == 204
    assert (await ann.post(f"/questions/{asked}/restore")).status_code == 403
    assert (await mia.post(f"/questions/{asked}/restore")).status_code == 200


async def test_questions_are_filtered(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    await hub.topic("databases")
    await hub.topic("postgresql", "databases")
    await ann.create("/questions", question("In a topic", topic="postgresql"))
    await ann.create("/questions", question("With a tag", tags=["sql"]))
    await ann.create("/questions", question("Ganz deutsch", language="de"))
    await bob.create("/questions", question("About connection pools"))
    assert await titles(ann, topic="databases") == ["In a topic"]
    assert await titles(ann, tag="sql") == ["With a tag"]
    assert await titles(ann, language="de") == ["Ganz deutsch"]
    assert await titles(ann, author="BOB") == ["About connection pools"]
    assert await titles(ann, q="pooled connections") == ["About connection pools"]
    assert await titles(ann, author="bob", tag="sql") == []
    assert len(await titles(ann)) == 4


async def test_a_synonym_finds_what_its_tag_is_on(hub: Hub) -> None:
    ann, ada = await hub.person("ann"), await hub.person("ada", Role.admin)
    await ann.create("/questions", question("Tagged", tags=["postgresql"]))
    await ann.create("/questions", question("Not tagged"))
    assert await titles(ann, tag="postgres") == []
    assert (await ada.patch("/tags/postgresql", {"synonyms": ["postgres"]})).status_code == 200
    assert await titles(ann, tag="postgres") == ["Tagged"]
    assert await titles(ann, tag="postgresql") == ["Tagged"]


async def test_questions_are_filtered_by_state(hub: Hub) -> None:
    ann = await hub.person("ann")
    await answered(ann, title="Unanswered")
    await answered(ann, ann, title="Answered")
    solved, (answer,) = await answered(ann, ann, title="Solved")
    await ann.put(
        f"/questions/{solved}/accepted-answer", {"answer_id": answer}, headers={"If-Match": "*"}
    )
    closed, _ = await answered(ann, ann, title="Closed")
    await ann.post(f"/questions/{closed}/close", {"reason": "too_broad"})
    assert await titles(ann, state="unanswered") == ["Unanswered"]
    assert await titles(ann, state="unaccepted") == ["Closed", "Answered", "Unanswered"]
    assert await titles(ann, state="open") == ["Solved", "Answered", "Unanswered"]
    assert await titles(ann, state="closed") == ["Closed"]


async def test_questions_are_sorted(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    first, _ = await answered(ann, title="Locks and locks", body="Locks, locks, locks.")
    second, _ = await answered(ann, title="Something else", body="A word about locks.")
    third, _ = await answered(ann, title="Third")
    await bob.put(f"/posts/{second}/vote", {"value": 1})
    await bob.put(f"/posts/{first}/vote", {"value": -1})
    await bob.create(f"/questions/{first}/answers", {"body": "An answer"})
    assert await titles(ann) == ["Third", "Something else", "Locks and locks"]
    assert await titles(ann, sort="active") == ["Locks and locks", "Third", "Something else"]
    assert await titles(ann, sort="top") == ["Something else", "Third", "Locks and locks"]
    relevant = await titles(ann, sort="relevance", q="locks")
    assert relevant == ["Locks and locks", "Something else"]


async def test_editing_an_answer_makes_its_question_active(hub: Hub) -> None:
    ann = await hub.person("ann")
    _, (answer,) = await answered(ann, ann, title="First")
    await answered(ann, title="Second")
    assert await titles(ann, sort="active") == ["Second", "First"]
    assert (await ann.patch(f"/answers/{answer}", {"body": "Better"})).status_code == 200
    assert await titles(ann, sort="active") == ["First", "Second"]


@pytest.mark.parametrize(
    "params",
    [
        {"sort": "relevance"},
        {"sort": "best"},
        {"state": "solved"},
        {"unanswered": "true"},
        {"limit": "101"},
        {"cursor": "nonsense"},
        {"q": "a\x00b"},
    ],
)
async def test_bad_parameters_of_the_list_are_refused(hub: Hub, params: dict[str, str]) -> None:
    assert (await hub.visitor.get("/questions", params=params)).status_code == 422
    assert (await hub.visitor.get("/questions", params={"sort": "top"})).status_code == 200


@pytest.mark.parametrize("sort", ["newest", "active", "top", "relevance"])
async def test_pages_visit_each_question_once(hub: Hub, sort: str) -> None:
    ann = await hub.person("ann")
    expected = {f"Locks number {n}" for n in range(5)}
    for title in sorted(expected):
        await ann.create("/questions", question(title))
    params = {"sort": sort, "q": "locks", "limit": 2}
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await ann.read("/questions", **params, **({"cursor": cursor} if cursor else {}))
        seen += [item["title"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert sorted(seen) == sorted(expected)


async def test_similar_questions_share_words_with_a_title(hub: Hub) -> None:
    ann = await hub.person("ann")
    for title in ("How to index an email column?", "Indexes on JSON", "Deploying to the cloud"):
        await ann.create("/questions", question(title))
    gone, _ = await answered(ann, title="Email index is slow")
    await ann.delete(f"/questions/{gone}")

    async def similar(title: str, **params: Any) -> list[str]:
        found = await hub.visitor.read("/questions/similar", title=title, **params)
        return [item["title"] for item in found["items"]]

    wanted = "Why is the index of my email column ignored?"
    assert await similar(wanted) == ["How to index an email column?", "Indexes on JSON"]
    assert await similar(wanted, limit=1) == ["How to index an email column?"]
    assert await similar("Kubernetes") == []
    for odd in ("???", "or or or", "' | & ! : * ( ) <-> \\", '"unclosed -phrase'):
        assert await similar(odd) == []
    assert (await hub.visitor.get("/questions/similar")).status_code == 422


async def test_related_resources_share_tags_topic_or_words(hub: Hub) -> None:
    ann = await hub.person("ann")
    await hub.topic("databases")
    for form in (
        link("Nothing in common"),
        link("Same topic", topic="databases"),
        link("Same tag", tags=["indexes"]),
        link("Both", tags=["indexes"], topic="databases"),
        link("When an index is used"),
    ):
        await ann.create("/resources", form)
    asked, _ = await answered(ann, topic="databases", tags=["indexes"])
    found = await hub.visitor.read(f"/questions/{asked}/related-resources")
    ranked = [item["title"] for item in found["items"]]
    assert ranked[0] == "Both"
    assert set(ranked) == {"Both", "Same tag", "Same topic", "When an index is used"}
    one = await hub.visitor.read(f"/questions/{asked}/related-resources", limit=1)
    assert [item["title"] for item in one["items"]] == ["Both"]
    answer = await ann.create(f"/questions/{asked}/answers", {"body": "Text"})
    missing = await hub.visitor.get(f"/questions/{answer['id']}/related-resources")
    assert missing.status_code == 404


async def test_a_question_without_topic_and_tags_has_related_resources_too(hub: Hub) -> None:
    ann = await hub.person("ann")
    await ann.create("/resources", link("When an index is used"))
    await ann.create("/resources", link("Other"))
    asked, _ = await answered(ann)
    found = await hub.visitor.read(f"/questions/{asked}/related-resources")
    assert [item["title"] for item in found["items"]] == ["When an index is used"]

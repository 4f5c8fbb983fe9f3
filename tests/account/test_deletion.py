"""Leaving: what stays, what goes, and that nothing of the person is left."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import String, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import col, select

from backend_hub.account.holdings import HOLDINGS
from backend_hub.db import metadata
from backend_hub.events.models import Event
from backend_hub.users.models import Role
from tests.account.people import age_sign_ins, at_browser, make_token
from tests.contributions.team import Team
from tests.hub import PASSWORD, Hub, Person, answered, code_sample, link, project
from tests.oauth.apps import register

NAME = "Wilhelmina-R"
"""A name that no other text holds."""


async def leave(person: Person, content: str = "keep") -> None:
    form = {"username": person.username, "content": content}
    answer = await person.post("/users/me/deletion", form)
    assert answer.status_code == 204, answer.text


async def everything(hub: Hub) -> dict[str, str]:
    """Every row of every table as text."""
    async with hub.database.reading() as session:
        return {
            table.name: "\n".join(
                (await session.execute(text(f'SELECT t::text FROM "{table.name}" t'))).scalars()
            )
            for table in metadata.sorted_tables
        }


async def test_everything_goes_and_no_column_names_the_person(hub: Hub) -> None:
    ann, bob = await hub.person(NAME), await hub.person("bob")
    root = await hub.person("root", Role.admin)
    await ann.patch("/users/me", {"display_name": f"Dr. {NAME}", "bio": f"I am {NAME}."})
    browser = await at_browser(hub, NAME)
    await root.create("/topics", {"slug": "databases", "name": "Databases"})
    await root.put(f"/topics/databases/maintainers/{NAME}")
    headers = {"Idempotency-Key": "once"}
    resource = await ann.post("/resources", code_sample(body=f"By {NAME}."), headers=headers)
    path = f"/resources/{resource.json()['id']}"
    await ann.patch(path, {"body": f"Again by {NAME}."})
    theirs = await bob.create("/resources", link("A guide by Bob"))
    await ann.create(f"/posts/{theirs['id']}/comments", {"body": f"Yours, {NAME}"})
    await ann.put(f"/posts/{theirs['id']}/bookmark")
    await answered(ann, ann, title=f"A question by {NAME}")
    await Team(ann, bob).propose(proposal=link(f"Proposed by {NAME}"))
    app = await register(hub, ann, name=f"An app of {NAME}")
    await app.tokens(browser)
    await make_token(ann, name=f"Token of {NAME}")
    before = await everything(hub)
    for table in ("users", "posts", "revisions", "comments", "events", "oauth_clients"):
        assert NAME in before[table], table
    await leave(ann, "remove")
    for table, rows in (await everything(hub)).items():
        assert NAME.lower() not in rows.lower(), table
        assert ann.id not in rows or table in {"users", "posts", "comments", "events"}, table
    for holding in HOLDINGS:
        if holding.deleted:
            async with hub.database.reading() as session:
                left = await session.execute(holding.on.select().where(holding.rows_of(ann.id)))
                assert left.all() == [], holding.table


OF_NOBODY = {
    # bytes that `t::text` does not show, of tables whose rows are no person's, or live for minutes
    *("signing_keys.private_pem", "dpop_proofs.proof_hash"),
    *("identity_providers.sealed_secret", "passkey_challenges.challenge"),
    "idempotency_records.body",  # deletion.py deletes those rows
}


def test_every_column_that_may_hold_text_is_looked_through() -> None:
    """`t::text` shows all but bytes; those are of tables whose rows go, or of nobody."""
    shown = (String, Text, JSONB, ARRAY)
    going = {holding.table for holding in HOLDINGS if holding.deleted}
    hidden = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if not isinstance(column.type, shown) and column.type.python_type is bytes
        if table.name not in going
    }
    assert hidden == OF_NOBODY, "Does it hold something of a person? Then account/holdings.py"


async def test_what_others_built_upon_stays_and_the_rest_goes(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    mod = await hub.person("mod", Role.moderator)
    asked, (theirs,) = await answered(ann, bob, title="Answered by Bob?")
    alone, (own,) = await answered(ann, ann, title="Answered by nobody else?")
    await ann.put(
        f"/questions/{alone}/accepted-answer", {"answer_id": own}, headers={"If-Match": "*"}
    )
    solved, (helped, useless) = await answered(bob, ann, ann, title="Solved by Ann?")
    await bob.put(
        f"/questions/{solved}/accepted-answer", {"answer_id": helped}, headers={"If-Match": "*"}
    )
    plain = (await ann.create("/resources", link("Only Ann's")))["id"]
    sample = (await ann.create("/resources", code_sample("Only Ann's code")))["id"]
    task = (await ann.create("/resources", project("Only Ann's project")))["id"]
    edited = (await ann.create("/resources", link("Edited by a moderator")))["id"]
    await mod.patch(f"/resources/{edited}", {"body": "Better."})
    said = (await ann.create(f"/posts/{edited}/comments", {"body": "Mine."}))["id"]
    await leave(ann, "remove")
    for path in (f"/questions/{asked}", f"/answers/{helped}", f"/resources/{edited}"):
        kept = await bob.read(path)
        assert kept["author"]["display_name"] == "Deleted user"
    for path in (
        *(f"/questions/{alone}", f"/answers/{own}", f"/answers/{useless}", f"/comments/{said}"),
        *(f"/resources/{plain}", f"/resources/{sample}", f"/resources/{task}"),
    ):
        assert (await bob.get(path)).status_code == 404, path
        assert (await mod.get(path)).status_code == 404, path
    found = await bob.read(f"/questions/{solved}")
    assert (found["answer_count"], found["accepted_answer_id"]) == (1, helped)
    assert (await bob.read(f"/answers/{theirs}"))["author"]["username"] == "bob"
    assert (await bob.read(f"/resources/{edited}"))["comment_count"] == 0
    assert (await bob.post("/resources", link("Only Ann's"))).status_code == 201


async def test_what_was_blanked_cannot_be_restored_by_a_moderator(hub: Hub) -> None:
    ann, mod = await hub.person("ann"), await hub.person("mod", Role.moderator)
    asked, (answer,) = await answered(ann, ann)
    sample = (await ann.create("/resources", code_sample()))["id"]
    other = (await ann.create("/resources", link()))["id"]
    await ann.delete(f"/resources/{other}")
    assert (await mod.post(f"/resources/{other}/restore")).status_code == 200
    await leave(ann, "remove")
    for path in (f"/resources/{sample}", f"/resources/{other}", f"/questions/{asked}"):
        refused = await mod.post(f"{path}/restore")
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found"), path
        assert (await mod.get(f"{path}/revisions/1")).status_code == 404
    assert (await mod.post(f"/answers/{answer}/restore")).status_code == 404


async def test_what_was_written_stays_by_a_deleted_user_on_wish(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    asked, (answer,) = await answered(ann, ann)
    said = (await ann.create(f"/posts/{answer}/comments", {"body": "Mine."}))["id"]
    await leave(ann)
    for path in (f"/questions/{asked}", f"/answers/{answer}", f"/comments/{said}"):
        author = (await bob.read(path))["author"]
        assert author["username"].startswith("deleted-")
        assert author["display_name"] == "Deleted user"
    profile = await bob.read(f"/users/{author['username']}")
    assert (profile["bio"], profile["question_count"]) == ("", 1)
    assert (await bob.get("/users/ann")).status_code == 404


@pytest.mark.parametrize("content", ["keep", "remove"])
async def test_31_leaving_ends_every_sign_in_and_token_at_once(hub: Hub, content: str) -> None:
    ann = await hub.person("ann")
    other, browser = await hub.sign_in("ann"), await at_browser(hub, "ann")
    _, program = await make_token(ann)
    await leave(ann, content)
    for person in (ann, other, program):
        assert (await person.get("/users/me")).status_code == 401
    assert (await browser.visit("/account")).status_code == 303
    form = {"username": "ann", "password": PASSWORD}
    assert (await hub.visitor.request("POST", "/auth/token", data=form)).status_code == 401
    again = await hub.person("ann")  # the name is free
    assert (await again.read("/bookmarks"))["items"] == []


async def test_a_wrong_name_deletes_nothing(hub: Hub) -> None:
    ann = await hub.person("ann")
    for name in ("bob", "Ann"):
        refused = await ann.post("/users/me/deletion", {"username": name, "content": "keep"})
        assert refused.status_code == 422
    assert (await ann.get("/users/me")).status_code == 200
    await leave(ann)


async def test_56_an_older_sign_in_deletes_nothing(hub: Hub) -> None:
    ann = await hub.person("ann")
    form = {"username": "ann", "content": "keep"}
    await age_sign_ins(hub, timedelta(minutes=11))
    assert (await ann.post("/users/me/deletion", form)).status_code == 401
    await leave(await hub.sign_in("ann"))


async def test_the_last_admin_stays(hub: Hub) -> None:
    root = await hub.person("root", Role.admin)
    form = {"username": "root", "content": "keep"}
    refused = await root.post("/users/me/deletion", form)
    assert (refused.status_code, refused.json()["code"]) == (409, "last_admin")
    await hub.person("other", Role.admin)
    await leave(root)


async def test_nobody_brings_a_deleted_account_back(hub: Hub) -> None:
    ann, root = await hub.person("ann"), await hub.person("root", Role.admin)
    await leave(ann)
    for change in ({"disabled": False}, {"role": "admin"}):
        refused = await root.patch(f"/accounts/{ann.id}", change)
        assert (refused.status_code, refused.json()["code"]) == (409, "deleted_account")
    form: dict[str, Any] = {"email": "a@example.org", "password": PASSWORD}
    taken = await hub.visitor.post("/auth/register", form | {"username": "deleted-0"})
    assert taken.status_code == 422


async def test_events_stay_whole_when_their_actor_leaves(hub: Hub) -> None:
    async def told() -> list[tuple[str, str]]:
        async with hub.database.reading() as session:
            events = (await session.exec(select(Event).order_by(col(Event.id)))).all()
            return [(event.type, event.subject_id) for event in events]

    ann, root = await hub.person("ann"), await hub.person("root", Role.admin)
    asked, _ = await answered(ann, root)
    before = await told()
    await leave(ann, "remove")
    after = await told()
    assert after[: len(before)] == before
    assert ("question.created", asked) in after
    assert after[-1] == ("user.deleted", ann.id)


async def test_the_page_asks_for_the_name_and_says_goodbye(hub: Hub) -> None:
    ann = await hub.person("ann")
    browser = await at_browser(hub, "ann")
    page = await browser.visit("/account/data/delete")
    wrong = await browser.send(page, "/account/data/delete", username="no", content="keep")
    assert wrong.status_code == 422
    assert (await ann.get("/users/me")).status_code == 200
    done = await browser.send(page, "/account/data/delete", username="ann", content="remove")
    assert done.status_code == 200
    assert "Your account is deleted" in done.text
    assert (await ann.get("/users/me")).status_code == 401
    assert (await browser.visit("/account")).status_code == 303


async def test_56_the_page_deletes_nothing_after_an_older_sign_in(hub: Hub) -> None:
    ann = await hub.person("ann")
    browser = await at_browser(hub, "ann")
    page = await browser.visit("/account/data/delete")
    await age_sign_ins(hub, timedelta(minutes=11))
    sent = await browser.send(page, "/account/data/delete", username="ann", content="keep")
    assert sent.headers["Location"].startswith("/sign-in?")
    assert (await ann.get("/users/me")).status_code == 200

"""Personal access tokens (promise 43): shown once, scoped, with an end, and no way to another."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from backend_hub.auth.models import PersonalToken
from backend_hub.auth.personal_tokens import (
    MOST,
    TokenOwners,
    find_token_actor,
    new_token,
    renew_any_actor,
    well_formed,
)
from backend_hub.db import metadata, new_id, utcnow
from backend_hub.users.models import Role
from tests.account.people import FORM, age_sign_ins, at_browser, make_token
from tests.hub import Hub, Person, link, question
from tests.oauth.browsing import Surfer


async def change(hub: Hub, **values: Any) -> None:
    async with hub.database.transaction() as session:
        await session.execute(update(PersonalToken).values(**values))


def test_43_a_token_has_a_prefix_256_random_bits_and_a_checksum() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        assert re.fullmatch(r"hub_pat_[0-9A-Za-z]{49}", token)
        assert well_formed(token)
        assert not well_formed(token[:-1] + ("0" if token[-1] != "0" else "1"))
    assert not any(well_formed(wrong) for wrong in ("hub_pat_", "hub_pat_\u00e9", token * 2))


async def test_43_a_token_works_wherever_a_jwt_does_within_its_scopes(hub: Hub) -> None:
    ann = await hub.person("ann")
    made, program = await make_token(ann, scopes=["questions:write"])
    assert (await program.read("/users/me"))["scopes"] == ["questions:write"]
    assert (await program.post("/questions", question())).status_code == 201
    refused = await program.post("/resources", link())
    assert refused.status_code == 403
    assert 'scope="resources:write"' in refused.headers["WWW-Authenticate"]
    assert (await ann.post("/resources", link())).status_code == 201
    assert made["used_at"] is None
    (listed,) = (await ann.read("/users/me/tokens"))["items"]
    assert listed["used_at"] is not None


async def test_43_a_token_is_shown_once(hub: Hub) -> None:
    ann = await hub.person("ann")
    answer = await ann.post("/users/me/tokens", FORM)
    made = answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    again = await ann.get(answer.headers["Location"])
    assert again.json() == {k: v for k, v in made.items() if k != "token"}
    assert made["token"] not in (await ann.get("/users/me/tokens")).text


async def test_24_a_dump_holds_no_usable_personal_token(hub: Hub) -> None:
    made, _ = await make_token(await hub.person("ann"))
    async with hub.database.reading() as session:
        for table in metadata.sorted_tables:
            rows = await session.execute(text(f'SELECT t::text FROM "{table.name}" t'))
            assert made["token"][8:51] not in " ".join(rows.scalars()), table.name


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": ["account:write"]},
        {"scopes": ["clients:write"]},
        {"scopes": ["openid"]},
        {"scopes": ["everything"]},
        {"scopes": []},
        {"expires_in_days": 366},
        {"expires_in_days": 0},
        {"name": " "},
    ],
)
async def test_43_a_token_that_may_too_much_or_never_ends_is_refused(
    hub: Hub, wrong: dict[str, Any]
) -> None:
    ann = await hub.person("ann")
    assert (await ann.post("/users/me/tokens", {**FORM, **wrong})).status_code == 422
    year = {**FORM, "expires_in_days": 365}
    assert (await ann.post("/users/me/tokens", year)).status_code == 201


async def test_43_a_token_holds_no_more_than_its_person(hub: Hub) -> None:
    ann, root = await hub.person("ann"), await hub.person("root", Role.admin)
    wanted = {**FORM, "scopes": ["users:admin"]}
    assert (await ann.post("/users/me/tokens", wanted)).status_code == 403
    _, program = await make_token(root, scopes=["users:admin"])
    assert (await program.get("/accounts")).status_code == 200
    other = await hub.person("other-root", Role.admin)
    await other.patch(f"/accounts/{root.id}", {"role": "member"})
    assert (await program.get("/accounts")).status_code == 403
    assert (await program.get("/users/me")).status_code == 200


async def test_43_a_token_mints_no_other_and_touches_no_account(hub: Hub) -> None:
    ann = await hub.person("ann")
    everything = (await ann.read("/users/me"))["scopes"]
    scopes = [s for s in everything if s not in {"account:write", "clients:write"}]
    made, program = await make_token(ann, scopes=scopes)
    machine = {"name": "M", "type": "machine", "scopes": ["posts:write"]}
    for method, path, body in (
        ("POST", "/users/me/tokens", FORM),
        ("GET", "/users/me/tokens", None),
        ("DELETE", f"/users/me/tokens/{made['id']}", None),
        ("GET", "/users/me/sessions", None),
        ("DELETE", "/users/me/sessions", None),
        ("GET", "/users/me/apps", None),
        ("POST", "/users/me/export", None),
        ("POST", "/users/me/deletion", {"username": "ann", "content": "keep"}),
        ("POST", "/oauth/clients", machine),
        ("POST", "/auth/sign-out", None),
    ):
        assert (await program.request(method, path, json=body)).status_code == 403, path
    assert (await ann.post("/oauth/clients", machine)).status_code == 201


async def test_43_a_revoked_or_expired_token_is_refused_at_once(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    made, program = await make_token(ann)
    assert (await bob.delete(f"/users/me/tokens/{made['id']}")).status_code == 404
    assert (await program.get("/users/me")).status_code == 200
    assert (await ann.delete(f"/users/me/tokens/{made['id']}")).status_code == 204
    refused = await program.get("/users/me")
    assert refused.status_code == 401
    assert refused.json()["code"] == "invalid_token"
    _, other = await make_token(ann)
    await change(hub, expires_at=utcnow() - timedelta(seconds=1))
    assert (await other.get("/users/me")).status_code == 401
    assert (await other.get("/topics")).status_code == 401  # a bad token is refused anywhere
    await change(hub, expires_at=utcnow() + timedelta(days=1))
    assert (await other.get("/users/me")).status_code == 200


async def test_31_43_disabling_a_person_ends_their_tokens_for_good(hub: Hub) -> None:
    ann, root = await hub.person("ann"), await hub.person("root", Role.admin)
    _, program = await make_token(ann)
    assert (await program.get("/users/me")).status_code == 200
    for disabled in (True, False):
        await root.patch(f"/accounts/{ann.id}", {"disabled": disabled})
        assert (await program.get("/users/me")).status_code == 401


async def test_43_minting_needs_a_fresh_sign_in_with_the_password(hub: Hub) -> None:
    ann = await hub.person("ann")
    await age_sign_ins(hub, timedelta(minutes=11))
    refused = await ann.post("/users/me/tokens", FORM)
    assert refused.status_code == 401
    challenge = refused.headers["WWW-Authenticate"]
    assert challenge == 'Bearer error="insufficient_user_authentication", max_age="600"'
    again = await hub.sign_in("ann")
    assert (await again.post("/users/me/tokens", FORM)).status_code == 201


async def test_nobody_has_more_than_fifty_tokens(hub: Hub) -> None:
    ann = await hub.person("ann")
    made, _ = await make_token(ann)
    async with hub.database.transaction() as session:
        for _ in range(MOST - 1):
            values = {"token_hash": new_id().hex, "name": "N", "scope": "posts:write"}
            row = {"user_id": ann.id, "expires_at": utcnow(), **values}
            session.add(PersonalToken.model_validate(row))
    full = await ann.post("/users/me/tokens", FORM)
    assert (full.status_code, full.json()["code"]) == (409, "too_many_tokens")
    await ann.delete(f"/users/me/tokens/{made['id']}")
    assert (await ann.post("/users/me/tokens", FORM)).status_code == 201


async def test_the_rate_limit_counts_a_token_against_its_account(hub: Hub) -> None:
    ann = await hub.person("ann")
    made, program = await make_token(ann)
    owners: TokenOwners = hub.client._transport.app.state.token_owners  # type: ignore[attr-defined]
    assert owners.find(made["token"]) is None
    await program.get("/users/me")
    assert owners.find(made["token"]) == ann.id
    await ann.delete(f"/users/me/tokens/{made['id']}")
    await program.get("/users/me")
    assert owners.find(made["token"]) is None


async def submit(browser: Surfer, **fields: str) -> Any:
    page = await browser.visit("/account/tokens/new")
    given = {"name": "Backup", "expires_in_days": "30", "scope:posts:write": "on"}
    return await browser.send(page, "/account/tokens/new", **(given | fields))


async def test_43_the_page_makes_a_token_shows_it_once_and_revokes_it(hub: Hub) -> None:
    ann = await hub.person("ann")
    browser = await at_browser(hub, "ann")
    made = await submit(browser, name="<b>Backup</b>")
    assert made.headers["Cache-Control"] == "no-store"
    (token,) = re.findall(r"hub_pat_\w{49}", made.text)
    program = Person(hub.client, headers={"Authorization": f"Bearer {token}"})
    assert (await program.read("/users/me"))["scopes"] == ["posts:write"]
    page = await browser.visit("/account/tokens")
    assert "&lt;b&gt;Backup" in page.text
    assert token not in page.text
    (listed,) = (await ann.read("/users/me/tokens"))["items"]
    await browser.send(page, "/account/tokens/revoke", id=listed["id"])
    assert (await program.get("/users/me")).status_code == 401
    log = (await browser.visit("/account/security")).text
    assert "Personal access token made: &lt;b&gt;Backup" in log
    assert "Personal access token revoked" in log


async def test_the_page_says_what_is_wrong(hub: Hub) -> None:
    await hub.person("ann")
    browser = await at_browser(hub, "ann")
    wrong = await submit(browser, name="", expires_in_days="999")
    assert wrong.status_code == 422
    assert "Name:" in wrong.text
    assert "It works for:" in wrong.text
    unheld = await submit(browser, **{"scope:users:admin": "on"})
    assert (unheld.status_code, "does not hold users:admin" in unheld.text) == (403, True)


async def test_56_an_older_sign_in_makes_no_token_on_the_page(hub: Hub) -> None:
    await hub.person("ann")
    browser = await at_browser(hub, "ann")
    form = await browser.visit("/account/tokens/new")
    assert form.status_code == 200
    await age_sign_ins(hub, timedelta(minutes=11))
    asked = await browser.visit("/account/tokens/new")
    assert asked.headers["Location"] == "/sign-in?next=%2Faccount%2Ftokens%2Fnew&again=1"
    sent = await browser.send(form, "/account/tokens/new", name="B", expires_in_days="7")
    assert sent.headers["Location"].startswith("/sign-in?")
    await browser.sign_in("ann")
    assert (await submit(browser)).status_code == 200


async def test_43_a_token_follows_the_stream_of_events_until_it_is_revoked(hub: Hub) -> None:
    ann = await hub.person("ann")
    made, program = await make_token(ann)
    database, row = hub.database, made["id"]
    actor = await find_token_actor(database, made["token"])
    assert actor is not None
    assert str(actor.token_id) == row
    assert (await program.get("/events/stream", params={"seconds": 0})).status_code == 200
    assert await renew_any_actor(database, actor) == actor
    await ann.delete(f"/users/me/tokens/{row}")
    assert await renew_any_actor(database, actor) is None

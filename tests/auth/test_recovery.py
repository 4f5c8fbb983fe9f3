"""Passwords that were forgotten, and passwords that are changed."""

import asyncio
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, update
from sqlmodel import SQLModel, select

from backend_hub.auth.models import BrowserSession, EmailToken, SecurityEvent, Throttle
from backend_hub.auth.passwords import weakness
from backend_hub.auth.service import hash_token
from backend_hub.db import utcnow
from backend_hub.mail.models import Mail
from backend_hub.settings import Settings
from backend_hub.users.models import User
from tests.hub import PASSWORD, Hub, Person
from tests.mail.post import mails_to, text_of, token_mailed_to, verified
from tests.oauth.browsing import surfer_at
from tests.queries import recorded

NEW = "eleven quiet herons wade"


async def forget(hub: Hub, email: str) -> httpx.Response:
    return await hub.visitor.post("/auth/forgot", {"email": email})


async def reset(hub: Hub, token: str, password: str = NEW) -> httpx.Response:
    return await hub.visitor.post("/auth/reset", {"token": token, "password": password})


async def sign_in(hub: Hub, password: str, username: str = "ann") -> int:
    form = {"username": username, "password": password}
    return (await hub.visitor.request("POST", "/auth/token", data=form)).status_code


async def member(hub: Hub, settings: Settings, name: str = "ann") -> Person:
    """Somebody whose address is verified."""
    person = await hub.person(name)
    await verified(hub, settings, name)
    return person


async def rows(hub: Hub) -> dict[str, int]:
    tables: list[type[SQLModel]] = [EmailToken, Mail, Throttle, SecurityEvent]
    async with hub.database.transaction() as session:
        return {
            table.__name__: int(await session.scalar(select(func.count()).select_from(table)) or 0)
            for table in tables
        }


async def test_63_forgetting_answers_alike_and_does_the_same_for_known_and_unknown(
    hub: Hub, settings: Settings
) -> None:
    await member(hub, settings)
    await hub.person("bob")  # whose address is not verified
    seen: list[Any] = []
    for email in ("ann@example.org", "bob@example.org", "nobody@example.org"):
        before = await rows(hub)
        with recorded(hub.database) as statements:
            answer = await forget(hub, email)
        after = await rows(hub)
        grown = {name: after[name] - before[name] for name in after if name != "Throttle"}
        kinds = [statement.split(" (")[0][:30] for statement in statements]
        seen.append((answer.status_code, answer.json(), grown, kinds))
    assert seen[0][0] == 202
    assert seen[0] == seen[1] == seen[2]
    mails = await mails_to(hub, settings, "ann@example.org")
    assert "Set a new password" in mails[-1]["Subject"]
    assert "reset?token" not in "".join(
        text_of(mail) for mail in await mails_to(hub, settings, "bob@example.org")
    )
    assert await mails_to(hub, settings, "nobody@example.org") == []


async def test_63_the_page_answers_alike_too(hub: Hub, settings: Settings) -> None:
    await member(hub, settings)
    browser = surfer_at(hub)
    page = await browser.visit("/forgot")
    answers = [
        await browser.send(page, "/forgot", email=email)
        for email in ("ann@example.org", "nobody@example.org")
    ]
    assert answers[0].status_code == answers[1].status_code == 200
    assert answers[0].text == answers[1].text


async def test_67_a_reset_works_once_and_ends_everything_that_was_signed_in(
    hub: Hub, settings: Settings
) -> None:
    ann = await member(hub, settings)
    browser = surfer_at(hub)
    await browser.sign_in("ann")
    await forget(hub, "ann@example.org")
    await forget(hub, "Ann@Example.org")
    token = await token_mailed_to(hub, settings, "ann@example.org")
    done = await reset(hub, token)
    assert (done.status_code, done.content) == (204, b"")
    assert "Set-Cookie" not in done.headers
    assert (await ann.get("/users/me")).status_code == 401
    form = {"grant_type": "refresh_token", "refresh_token": ann.refresh_token}
    assert (await hub.visitor.request("POST", "/auth/token", data=form)).status_code == 401
    assert (await browser.visit("/account")).status_code == 303
    assert await sign_in(hub, PASSWORD) == 401
    assert await sign_in(hub, NEW) == 200
    assert (await reset(hub, token, "another good password")).json()["code"] == "invalid_link"
    (told,) = (await mails_to(hub, settings, "ann@example.org"))[-1:]
    assert "Password reset by mail" in told["Subject"]


async def test_67_after_a_reset_by_page_nobody_is_signed_in(hub: Hub, settings: Settings) -> None:
    """Signing in is as ever, second factor and all."""
    await member(hub, settings)
    browser = surfer_at(hub)
    await forget(hub, "ann@example.org")
    token = await token_mailed_to(hub, settings, "ann@example.org")
    page = await browser.visit("/reset", params={"token": token})
    assert page.headers["Referrer-Policy"] == "no-referrer"
    weak = await browser.send(page, "/reset", password="too short")
    assert (weak.status_code, "at least 15" in weak.text) == (422, True)
    done = await browser.send(page, "/reset", password=NEW)
    assert (done.status_code, "Your new password is set" in done.text) == (200, True)
    assert (await browser.visit("/account")).status_code == 303
    async with hub.database.transaction() as session:
        assert (await session.exec(select(BrowserSession))).all() == []
    assert (await browser.visit("/reset", params={"token": token})).status_code == 404


async def test_67_of_five_resets_at_once_one_succeeds(live: Hub) -> None:
    ann = await live.person("ann")
    token = secrets.token_urlsafe(32)
    async with live.database.transaction() as session:
        session.add(
            EmailToken(
                user_id=UUID(ann.id),
                purpose="reset",
                email="ann@example.org",
                token_hash=hash_token(token),
                expires_at=utcnow() + timedelta(hours=1),
            )
        )
    answers = await asyncio.gather(*(reset(live, token, f"{NEW} {n}") for n in range(5)))
    assert sorted(answer.status_code for answer in answers) == [204, 422, 422, 422, 422]
    (winner,) = [n for n, answer in enumerate(answers) if answer.status_code == 204]
    assert await sign_in(live, f"{NEW} {winner}") == 200


async def test_a_reset_link_dies_after_an_hour_and_with_the_password(
    hub: Hub, settings: Settings
) -> None:
    await member(hub, settings)
    tokens = []
    for _ in range(2):
        await forget(hub, "ann@example.org")
        tokens.append(await token_mailed_to(hub, settings, "ann@example.org"))
    async with hub.database.transaction() as session:
        reset_links = update(EmailToken).values(expires_at=EmailToken.expires_at)
        await session.execute(reset_links)
        lives = [link.expires_at - utcnow() for link in (await session.exec(select(EmailToken)))]
        assert all(timedelta(minutes=59) < left <= timedelta(hours=1) for left in lives)
    assert (await reset(hub, tokens[0])).status_code == 204
    assert (await reset(hub, tokens[1])).status_code == 422
    async with hub.database.transaction() as session:
        await session.execute(update(Throttle).values(free_at=utcnow()))
    await forget(hub, "ann@example.org")
    late = await token_mailed_to(hub, settings, "ann@example.org")
    async with hub.database.transaction() as session:
        await session.execute(update(EmailToken).values(expires_at=utcnow()))
    assert (await reset(hub, late)).status_code == 422


async def test_a_link_that_verifies_does_not_reset(hub: Hub, settings: Settings) -> None:
    await hub.person("ann")
    token = await token_mailed_to(hub, settings, "ann@example.org")
    assert (await reset(hub, token)).status_code == 422
    assert await sign_in(hub, PASSWORD) == 200


async def test_a_refused_password_leaves_the_link_as_it_was(hub: Hub, settings: Settings) -> None:
    await member(hub, settings)
    await forget(hub, "ann@example.org")
    token = await token_mailed_to(hub, settings, "ann@example.org")
    for password in ("passwordpassword", "twelve chars", "ann@example.org"):
        refused = await reset(hub, token, password)
        assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")
    assert (await reset(hub, token)).status_code == 204


async def test_an_account_without_a_password_gets_its_first_one_by_mail(
    hub: Hub, settings: Settings
) -> None:
    await member(hub, settings)
    async with hub.database.transaction() as session:
        await session.execute(update(User).values(password_hash=None))
    assert await sign_in(hub, PASSWORD) == 401
    await forget(hub, "ann@example.org")
    token = await token_mailed_to(hub, settings, "ann@example.org")
    assert (await reset(hub, token)).status_code == 204
    assert await sign_in(hub, NEW) == 200


async def test_31_a_disabled_account_is_nobodys_to_recover(hub: Hub, settings: Settings) -> None:
    await member(hub, settings)
    await forget(hub, "ann@example.org")
    token = await token_mailed_to(hub, settings, "ann@example.org")
    async with hub.database.transaction() as session:
        await session.execute(update(User).values(disabled_at=utcnow()))
    before = len(await mails_to(hub, settings, "ann@example.org"))
    assert (await reset(hub, token)).status_code == 422
    assert (await forget(hub, "ann@example.org")).status_code == 202
    assert len(await mails_to(hub, settings, "ann@example.org")) == before


async def test_mails_to_one_address_are_few(hub: Hub, settings: Settings) -> None:
    await member(hub, settings)
    for email in ("ann@example.org", "nobody@example.org"):
        answers = [await forget(hub, email) for _ in range(4)]
        statuses = [answer.status_code for answer in answers]
        # one mail of three went out when ann signed up
        assert statuses[-1] == 429, statuses
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 120
    assert (await forget(hub, "other@example.org")).status_code == 202


async def test_changing_a_password_ends_other_sessions_and_is_told(
    hub: Hub, settings: Settings
) -> None:
    person = await member(hub, settings)
    here, there = surfer_at(hub), surfer_at(hub)
    await here.sign_in("ann")
    await there.sign_in("ann")
    page = await here.visit("/account/sign-in")
    path = "/account/sign-in/password"
    wrong = await here.send(page, path, current="not this one", password=NEW)
    assert (wrong.status_code, "not your current password" in wrong.text) == (422, True)
    weak = await here.send(page, path, current=PASSWORD, password="short")
    assert (weak.status_code, "at least 15" in weak.text) == (422, True)
    assert (await there.visit("/account")).status_code == 200
    done = await here.send(page, path, current=PASSWORD, password=NEW)
    assert done.status_code == 303
    assert "ended" in (await here.visit(done.headers["Location"])).text
    assert (await there.visit("/account")).status_code == 303
    assert (await person.get("/users/me")).status_code == 401
    assert (await sign_in(hub, PASSWORD), await sign_in(hub, NEW)) == (401, 200)
    assert "Password changed" in (await here.visit("/account/security")).text
    subjects = [mail["Subject"] for mail in await mails_to(hub, settings, "ann@example.org")]
    assert any("Password changed" in subject for subject in subjects)


async def test_65_guessing_the_current_password_is_slowed_down(hub: Hub) -> None:
    await hub.person("ann")
    ann = surfer_at(hub)
    await ann.sign_in("ann")
    page = await ann.visit("/account/sign-in")
    path = "/account/sign-in/password"
    for _ in range(10):
        wrong = await ann.send(page, path, current="not this one", password=NEW)
        assert wrong.status_code == 422
    refused = await ann.send(page, path, current=PASSWORD, password=NEW)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert "try again in" in refused.text


async def test_a_person_without_a_password_sets_one(hub: Hub) -> None:
    await hub.person("ann")
    ann = surfer_at(hub)
    await ann.sign_in("ann")
    async with hub.database.transaction() as session:
        await session.execute(update(User).values(password_hash=None))
    page = await ann.visit("/account/sign-in")
    assert "no password yet" in page.text
    done = await ann.send(page, "/account/sign-in/password", password=NEW)
    assert done.status_code == 303
    assert await sign_in(hub, NEW) == 200


@pytest.mark.parametrize(
    ("password", "second_factor", "fine"),
    [
        ("kX9#tv2!", True, True),
        ("kX9#tv2", True, False),
        ("kX9#tv2!", False, False),
        ("kX9#tv2!kX9#tv2", False, True),
        ("Password1!", True, False),
        ("welcome2026", True, False),
        ("123qwerty!!", True, False),
        ("abcdefgh", True, False),
        ("ten calm otters swim by the river, and then some more of them do it", False, True),
        ("x y z " * 42, False, False),
        ("seven otters " * 19, False, True),
    ],
)
def test_64_how_long_a_password_is_and_which_are_common(
    password: str, second_factor: bool, fine: bool
) -> None:
    assert (weakness(password, second_factor=second_factor) is None) is fine

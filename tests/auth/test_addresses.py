"""Verifying an address, and changing it."""

import asyncio
import secrets
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlmodel import select

from backend_hub.auth.models import BrowserSession, EmailToken
from backend_hub.auth.service import hash_token
from backend_hub.db import utcnow
from backend_hub.settings import Settings
from backend_hub.users.models import User
from tests.hub import PASSWORD, Hub
from tests.mail.post import mails_to, text_of, token_mailed_to, verified
from tests.oauth.browsing import surfer_at

VERIFY = "/auth/verify-email"


async def user_of(hub: Hub, username: str) -> User:
    async with hub.database.transaction() as session:
        return (await session.exec(select(User).where(User.username == username))).one()


async def test_an_address_is_verified_by_the_link_of_a_mail_which_works_once(
    hub: Hub, settings: Settings
) -> None:
    ann = await hub.person("ann")
    token = await token_mailed_to(hub, settings, "ann@example.org")
    assert (await ann.read("/users/me"))["email_verified"] is False
    assert (await hub.visitor.post(VERIFY, {"token": token[:-1]})).json()["code"] == "invalid_link"
    assert (await hub.visitor.post(VERIFY, {"token": token})).status_code == 204
    assert (await ann.read("/users/me"))["email_verified"] is True
    again = await hub.visitor.post(VERIFY, {"token": token})
    assert (again.status_code, again.json()["code"]) == (422, "invalid_link")


async def test_a_link_is_known_by_its_hash_and_dies_after_a_day(
    hub: Hub, settings: Settings
) -> None:
    await hub.person("ann")
    token = await token_mailed_to(hub, settings, "ann@example.org")
    assert len(token) == 43  # 256 bits
    async with hub.database.transaction() as session:
        (row,) = (await session.exec(select(EmailToken))).all()
        assert row.token_hash == hash_token(token)
        assert timedelta(hours=23) < row.expires_at - utcnow() <= timedelta(hours=24)
        await session.execute(update(EmailToken).values(expires_at=utcnow()))
    assert (await hub.visitor.post(VERIFY, {"token": token})).status_code == 422


async def test_following_the_link_changes_nothing_until_the_form_is_sent(
    hub: Hub, settings: Settings
) -> None:
    """Programs that scan mails follow links."""
    ann = await hub.person("ann")
    token = await token_mailed_to(hub, settings, "ann@example.org")
    browser = surfer_at(hub)
    for _ in range(2):
        page = await browser.visit("/verify", params={"token": token})
        assert page.status_code == 200
        assert "ann@example.org" in page.text
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["Cache-Control"] == "no-store"
    assert (await ann.read("/users/me"))["email_verified"] is False
    foreign = await browser.send(page, "/verify", {"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403
    done = await browser.send(page, "/verify")
    assert (done.status_code, "Address confirmed" in done.text) == (200, True)
    assert (await ann.read("/users/me"))["email_verified"] is True
    dead = await browser.visit("/verify", params={"token": token})
    assert (dead.status_code, "does not work any more" in dead.text) == (404, True)


async def test_of_two_accounts_with_one_address_the_second_to_verify_it_is_told_so(
    hub: Hub, settings: Settings
) -> None:
    await hub.person("ann")
    first = await token_mailed_to(hub, settings, "ann@example.org")
    form = {"username": "imp", "email": "ANN@example.org", "password": PASSWORD}
    await hub.visitor.create("/auth/register", form)
    second = await token_mailed_to(hub, settings, "ANN@example.org")
    assert (await hub.visitor.post(VERIFY, {"token": first})).status_code == 204
    browser = surfer_at(hub)
    page = await browser.visit("/verify", params={"token": second})
    refused = await browser.send(page, "/verify")
    assert (refused.status_code, "another account" in refused.text) == (409, True)
    assert (await user_of(hub, "imp")).email_verified_at is None
    assert (await user_of(hub, "ann")).email_verified_at is not None


async def test_one_of_two_that_verify_at_once_gets_the_address(live: Hub) -> None:
    people = [await live.person(name) for name in ("ann", "bob")]
    tokens = [secrets.token_urlsafe(32) for _ in people]
    async with live.database.transaction() as session:
        for person, token in zip(people, tokens, strict=True):
            session.add(
                EmailToken(
                    user_id=UUID(person.id),
                    purpose="verify",
                    email="both@example.org",
                    token_hash=hash_token(token),
                    expires_at=utcnow() + timedelta(hours=1),
                )
            )
    posts = [live.visitor.post(VERIFY, {"token": token}) for token in tokens]
    answers = await asyncio.gather(*posts)
    assert sorted(answer.status_code for answer in answers) == [204, 409]
    (refused,) = [answer for answer in answers if answer.status_code == 409]
    assert refused.json()["code"] == "address_taken"


async def test_another_mail_is_sent_on_request_a_few_times(hub: Hub, settings: Settings) -> None:
    ann = await hub.person("ann")
    path = "/users/me/verification"
    for _ in range(2):
        assert (await ann.post(path)).status_code == 202
    assert len(await mails_to(hub, settings, "ann@example.org")) == 3
    refused = await ann.post(path)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_tries")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    await verified(hub, settings, "ann")
    assert (await ann.post(path)).status_code == 202
    assert (await hub.visitor.post(path)).status_code == 401


async def test_a_change_of_address_takes_effect_with_its_link_and_the_old_one_is_told(
    hub: Hub, settings: Settings
) -> None:
    await hub.person("ann")
    await verified(hub, settings, "ann")
    ann = surfer_at(hub)
    await ann.sign_in("ann")
    page = await ann.visit("/account/sign-in")
    changed = await ann.send(page, "/account/sign-in/address", email="ann@new.example")
    assert changed.status_code == 303
    waits = await ann.visit("/account/sign-in")
    assert "ann@new.example" in waits.text
    assert (await user_of(hub, "ann")).email == "ann@example.org"
    (asked,) = (await mails_to(hub, settings, "ann@example.org"))[-1:]
    assert "Change of address asked for" in asked["Subject"]
    token = await token_mailed_to(hub, settings, "ann@new.example")
    assert (await hub.visitor.post(VERIFY, {"token": token})).status_code == 204
    user = await user_of(hub, "ann")
    assert (user.email, user.email_verified_at is not None) == ("ann@new.example", True)
    (told,) = (await mails_to(hub, settings, "ann@example.org"))[-1:]
    assert "has another address now" in told["Subject"]
    assert "ann@new.example" not in text_of(told)


async def test_only_the_address_asked_for_last_can_be_confirmed(
    hub: Hub, settings: Settings
) -> None:
    await hub.person("ann")
    first = await token_mailed_to(hub, settings, "ann@example.org")
    ann = surfer_at(hub)
    await ann.sign_in("ann")
    page = await ann.visit("/account/sign-in")
    await ann.send(page, "/account/sign-in/address", email="ann@new.example")
    assert (await hub.visitor.post(VERIFY, {"token": first})).status_code == 422
    second = await token_mailed_to(hub, settings, "ann@new.example")
    assert (await hub.visitor.post(VERIFY, {"token": second})).status_code == 204


@pytest.mark.parametrize("email", ["", "ann", "a@b", "a@example.org\r\nBcc: b@example.org"])
async def test_what_is_no_address_is_refused(hub: Hub, email: str) -> None:
    await hub.person("ann")
    ann = surfer_at(hub)
    await ann.sign_in("ann")
    page = await ann.visit("/account/sign-in")
    refused = await ann.send(page, "/account/sign-in/address", email=email)
    assert (refused.status_code, "no email address" in refused.text) == (422, True)


async def test_56_an_old_sign_in_changes_neither_address_nor_password(hub: Hub) -> None:
    await hub.person("ann")
    ann = surfer_at(hub)
    await ann.sign_in("ann")
    page = await ann.visit("/account/sign-in")
    async with hub.database.transaction() as session:
        long_ago = utcnow() - timedelta(minutes=11)
        await session.execute(update(BrowserSession).values(created_at=long_ago))
    for path in ("address", "password"):
        asked = await ann.send(page, f"/account/sign-in/{path}", email="a@example.org")
        assert asked.status_code == 303
        assert asked.headers["Location"].startswith("/sign-in?")
    shown = await ann.visit("/account/sign-in")
    assert "Sign in again" in shown.text
    assert 'name="current"' not in shown.text

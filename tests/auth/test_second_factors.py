"""One-time codes, recovery codes and the second step; numbers as in docs/identity.md."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI, Request
from sqlalchemy import select, update

from backend_hub.app import create_app
from backend_hub.auth.models import (
    BrowserSession,
    PasskeyChallenge,
    PendingSignIn,
    RecoveryCode,
    SecondFactor,
)
from backend_hub.auth.passkeys import purge_expired_challenges
from backend_hub.auth.passwords import hash_password, weakness
from backend_hub.auth.second_step import purge_expired_pending
from backend_hub.auth.service import hash_token, revoke_all
from backend_hub.db import utcnow
from backend_hub.settings import Settings
from backend_hub.site.entering import enter
from backend_hub.users.models import Role, User
from tests.auth.factors import (
    PAGE,
    App,
    at_second_step,
    codes_on,
    forget_steps,
    guarded,
    is_signed_in,
    send_code,
    turn_on,
)
from tests.conftest import TestDatabase
from tests.hub import PASSWORD, Hub
from tests.oauth.browsing import Surfer, parameters, surfer_at


async def test_the_password_alone_begins_no_session(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    browser = await at_second_step(hub, "ann", "/topics/none")
    assert not await is_signed_in(browser)
    answer = await send_code(browser, app.code())
    assert (answer.status_code, answer.headers["Location"]) == (303, "/topics/none")
    assert await is_signed_in(browser)
    async with hub.database.transaction() as session:
        newest = select(BrowserSession).order_by(BrowserSession.id.desc())  # type: ignore[attr-defined]
        assert (await session.execute(newest)).scalars().first().amr == "pwd otp mfa"  # type: ignore[union-attr]


async def test_66_a_code_of_the_app_works_once(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    first, second = await at_second_step(hub, "ann"), await at_second_step(hub, "ann")
    code = app.code()
    assert (await send_code(first, code)).status_code == 303
    assert (await send_code(second, code)).status_code == 401
    assert not await is_signed_in(second)
    assert (await send_code(second, app.code(steps=1))).status_code == 303
    assert await is_signed_in(second)


async def test_66_the_code_that_turned_the_app_on_does_not_sign_in(hub: Hub) -> None:
    ann, app = await guarded(hub, "ann")
    await ann.send(await ann.visit(PAGE), f"{PAGE}/app/remove")
    await ann.send(await ann.visit(PAGE), f"{PAGE}/app")
    page = await ann.visit(f"{PAGE}/app")
    secret = page.text.partition('<code class="key">')[2].partition("<")[0].replace(" ", "")
    app = App(type(app.totp)(secret))
    code = app.code()
    await ann.send(page, f"{PAGE}/app/confirm", code=code)
    browser = await at_second_step(hub, "ann")
    assert (await send_code(browser, code)).status_code == 401
    assert (await send_code(browser, app.code(steps=1))).status_code == 303


async def test_66_a_recovery_code_works_once(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    assert len(set(app.recovery_codes)) == 10
    first, second = await at_second_step(hub, "ann"), await at_second_step(hub, "ann")
    code = app.recovery_codes[0]
    assert (await send_code(first, code.upper().replace("-", " "))).status_code == 303
    assert (await send_code(second, code)).status_code == 401
    assert (await send_code(second, app.recovery_codes[1])).status_code == 303
    assert "8 left" in (await second.visit(PAGE)).text


@pytest.mark.parametrize("kind", ["app", "recovery"])
async def test_66_of_parallel_uses_of_one_code_one_succeeds(live: Hub, kind: str) -> None:
    _, app = await guarded(live, "ann")
    browsers = [await at_second_step(live, "ann") for _ in range(5)]
    code = app.code() if kind == "app" else app.recovery_codes[0]
    answers = await asyncio.gather(*(send_code(browser, code) for browser in browsers))
    assert sorted(answer.status_code for answer in answers) == [303, 401, 401, 401, 401]
    assert [await is_signed_in(browser) for browser in browsers].count(True) == 1


async def test_new_recovery_codes_end_the_old_ones(hub: Hub) -> None:
    ann, app = await guarded(hub, "ann")
    made = await ann.send(await ann.visit(PAGE), f"{PAGE}/recovery-codes")
    assert made.headers["Cache-Control"] == "no-store"
    fresh = codes_on(made)
    assert len(fresh) == 10
    browser = await at_second_step(hub, "ann")
    assert (await send_code(browser, app.recovery_codes[0])).status_code == 401
    assert (await send_code(browser, fresh[0])).status_code == 303


async def test_recovery_codes_of_others_do_not_work(hub: Hub) -> None:
    _, _ = await guarded(hub, "ann")
    _, bobs = await guarded(hub, "bob")
    browser = await at_second_step(hub, "ann")
    assert (await send_code(browser, bobs.recovery_codes[0])).status_code == 401
    browser = await at_second_step(hub, "bob")
    assert (await send_code(browser, bobs.recovery_codes[0])).status_code == 303


@pytest.mark.parametrize(("steps", "status"), [(-3, 401), (-1, 303), (1, 303), (3, 401)])
async def test_clocks_may_differ_by_one_step(hub: Hub, steps: int, status: int) -> None:
    """Two steps are left out: a step may begin while the test runs."""
    _, app = await guarded(hub, "ann")
    browser = await at_second_step(hub, "ann")
    assert (await send_code(browser, app.code(steps))).status_code == status


async def test_five_wrong_codes_end_the_sign_in(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    browser = await at_second_step(hub, "ann")
    texts = [(await send_code(browser, app.wrong)).text for _ in range(4)]
    assert all("The code is wrong" in text for text in texts)
    page = await browser.visit("/sign-in/second")
    last = await browser.send(page, "/sign-in/second", code=app.wrong)
    assert (last.status_code, "Start again" in last.text) == (401, True)
    again = await browser.send(page, "/sign-in/second", code=app.recovery_codes[0])
    assert again.headers["Location"] == "/sign-in"
    assert not await is_signed_in(browser)


async def test_65_guessers_wait_and_the_owner_is_not_locked_out(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    guesser = await at_second_step(hub, "ann")
    for _ in range(5):
        await send_code(guesser, app.wrong)
    owner = await at_second_step(hub, "ann")
    answer = await send_code(owner, app.code())
    assert (answer.status_code, "Wait 1 min" in answer.text) == (429, True)
    refused = await ask_for_token(hub, otp=app.code())
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_codes")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert (await send_code(owner, app.recovery_codes[0])).status_code == 303


async def test_65_each_wrong_code_doubles_the_wait(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    waits = []
    for _ in range(14):
        assert (await ask_for_token(hub, otp=app.wrong)).status_code == 401
        async with hub.database.transaction() as session:
            factor = (await session.execute(select(SecondFactor))).scalars().one()
            left = factor.wait_until - utcnow() if factor.wait_until else timedelta()
            waits.append(round(left.total_seconds() / 60))
            factor.wait_until = None
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert (await ask_for_token(hub, otp=app.code())).status_code == 200
    assert (await ask_for_token(hub, otp=app.wrong)).status_code == 401
    assert (await ask_for_token(hub, otp=app.code(1))).status_code == 200


async def test_a_sign_in_waits_for_ten_minutes(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    for minutes, location in ((9, "/"), (11, "/sign-in")):
        browser = await at_second_step(hub, "ann")
        page = await browser.visit("/sign-in/second")
        async with hub.database.transaction() as session:
            earlier = PendingSignIn.expires_at - timedelta(minutes=minutes)
            await session.execute(update(PendingSignIn).values(expires_at=earlier))
        answer = await browser.send(page, "/sign-in/second", code=app.recovery_codes.pop())
        assert answer.headers["Location"] == location


async def test_a_second_step_belongs_to_one_browser(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    browser, other = await at_second_step(hub, "ann"), surfer_at(hub)
    page = await other.visit("/sign-in")
    answer = await other.send(page, "/sign-in/second", code=app.code())
    assert answer.headers["Location"] == "/sign-in"
    foreign = await browser.send(page, "/sign-in/second", code=app.code())
    assert foreign.status_code == 403
    assert (await send_code(browser, app.code())).status_code == 303


async def test_58_the_session_id_changes_with_the_second_step(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    browser = await at_second_step(hub, "ann")
    before = set(browser.client.cookies.values())
    assert len(before) == 2
    await send_code(browser, app.code())
    assert set(browser.client.cookies) == {"hub_session", "hub_device"}
    assert not before & set(browser.client.cookies.values())
    for old in before:
        thief = surfer_at(hub)
        for name in ("hub_session", "hub_second_step"):
            thief.client.cookies.set(name, old)
        assert not await is_signed_in(thief)
        assert (await thief.visit("/sign-in/second")).headers["Location"] == "/sign-in"


async def test_the_session_from_before_lives_until_the_second_step_is_done(hub: Hub) -> None:
    ann, app = await guarded(hub, "ann")
    page = await ann.visit("/sign-in")
    await ann.send(page, "/sign-in", username="ann", password=PASSWORD)
    before = ann.client.cookies["hub_session"]
    assert await is_signed_in(ann)
    await send_code(ann, app.code())
    thief = surfer_at(hub)
    thief.client.cookies.set("hub_session", before)
    assert not await is_signed_in(thief)


@pytest.mark.parametrize("amr", ["pwd", "fed", "email"])
async def test_67_every_way_of_signing_in_asks_for_the_second_factor(
    hub: Hub, app: FastAPI, amr: str
) -> None:
    """Another account and a mail are one factor too."""
    await guarded(hub, "ann")
    await hub.person("bob")
    request = Request({"type": "http", "app": app, "headers": [], "client": ("192.0.2.1", 9)})
    for username, location in (("ann", "/sign-in/second"), ("bob", "/account")):
        async with hub.database.transaction() as session:
            user = (
                (await session.execute(select(User).filter_by(username=username))).scalars().one()
            )
            answer = await enter(request, session, user, "/account", amr=amr)
        assert answer.headers["Location"] == location


async def test_67_a_new_password_does_not_bypass_the_second_factor(hub: Hub) -> None:
    """What a reset does: another password, and the end of every sign-in, the waiting ones too."""
    ann, app = await guarded(hub, "ann")
    waiting = await at_second_step(hub, "ann")
    page = await waiting.visit("/sign-in/second")
    async with hub.database.transaction() as session:
        user = (await session.execute(select(User).filter_by(username="ann"))).scalars().one()
        user.password_hash = await hash_password("another seven otters")
        await revoke_all(session, user.id)
    assert not await is_signed_in(ann)
    late = await waiting.send(page, "/sign-in/second", code=app.code())
    assert late.headers["Location"] == "/sign-in"
    browser = surfer_at(hub)
    page = await browser.visit("/sign-in")
    form = {"username": "ann", "password": "another seven otters"}
    answer = await browser.send(page, "/sign-in", **form)
    assert answer.headers["Location"] == "/sign-in/second"
    assert not await is_signed_in(browser)
    assert (await send_code(browser, app.code())).status_code == 303


async def ask_for_token(hub: Hub, **fields: str) -> httpx.Response:
    form = {"username": "ann", "password": PASSWORD} | fields
    return await hub.visitor.request("POST", "/auth/token", data=form)


async def test_the_command_line_sends_the_code_beside_the_password(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    asked = await ask_for_token(hub)
    assert (asked.status_code, asked.json()["code"]) == (401, "second_factor_needed")
    for otp in ("", app.code()):
        guess = await ask_for_token(hub, password="no such password", otp=otp)
        assert (guess.status_code, guess.json()["code"]) == (401, "invalid_grant")
    wrong = await ask_for_token(hub, otp=app.wrong)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "second_factor_refused")
    code = app.code()
    assert (await ask_for_token(hub, otp=code)).status_code == 200
    assert (await ask_for_token(hub, otp=code)).status_code == 401
    assert (await ask_for_token(hub, otp=app.recovery_codes[0])).status_code == 200
    assert (await ask_for_token(hub, otp=app.recovery_codes[0])).status_code == 401


async def test_66_of_parallel_tokens_for_one_code_one_is_given(live: Hub) -> None:
    _, app = await guarded(live, "ann")
    code = app.code()
    answers = await asyncio.gather(*(ask_for_token(live, otp=code) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]


async def test_wrong_codes_are_told_to_the_owner(hub: Hub) -> None:
    ann, app = await guarded(hub, "ann")
    await send_code(await at_second_step(hub, "ann"), app.wrong)
    log = (await ann.visit("/account/security")).text
    assert "Sign-in refused: wrong second factor" in log
    assert "Authenticator app added" in log
    assert "Recovery codes made" in log


CHANGES = ["app", "app/confirm", "app/remove", "recovery-codes", "second-step", "passkeys"]


@pytest.mark.parametrize("path", CHANGES)
async def test_56_changes_need_a_recent_sign_in_and_ones_own_form(hub: Hub, path: str) -> None:
    ann, _ = await guarded(hub, "ann")
    page = await ann.visit(PAGE)
    foreign = await surfer_at(hub).visit("/sign-in")
    assert (await ann.send(foreign, f"{PAGE}/{path}")).status_code == 403
    allowed = await ann.send(page, f"{PAGE}/{path}")
    assert "/sign-in" not in allowed.headers.get("Location", "")
    async with hub.database.transaction() as session:
        earlier = BrowserSession.created_at - timedelta(minutes=11)
        await session.execute(update(BrowserSession).values(created_at=earlier))
    late = await ann.send(page, f"{PAGE}/{path}")
    assert late.status_code == 303
    assert parameters(late) == {"next": PAGE, "again": "1"}
    assert (await ann.visit(PAGE)).headers["Location"].startswith("/sign-in?")


async def test_removing_the_app_turns_the_second_step_off(hub: Hub) -> None:
    ann, app = await guarded(hub, "ann")
    await ann.send(await ann.visit(PAGE), f"{PAGE}/app/remove")
    browser = surfer_at(hub)
    assert (await browser.sign_in("ann")).headers["Location"] == "/"
    async with hub.database.transaction() as session:
        assert (await session.execute(select(RecoveryCode))).first() is None
    again = await turn_on(hub, ann)
    assert again.totp.secret != app.totp.secret
    assert len(again.recovery_codes) == 10


async def test_an_app_counts_only_once_it_was_confirmed(hub: Hub) -> None:
    await hub.person("ann")
    ann = surfer_at(hub)
    await ann.sign_in("ann")
    await ann.send(await ann.visit(PAGE), f"{PAGE}/app")
    page = await ann.visit(f"{PAGE}/app")
    refused = await ann.send(page, f"{PAGE}/app/confirm", code="000000")
    assert (refused.status_code, "The code is wrong" in refused.text) == (422, True)
    assert (await surfer_at(hub).sign_in("ann")).headers["Location"] == "/"
    assert (await ann.send(page, f"{PAGE}/recovery-codes")).status_code == 409


async def test_a_second_app_does_not_replace_the_first(hub: Hub) -> None:
    ann, app = await guarded(hub, "ann")
    page = await ann.visit(PAGE)
    assert (await ann.send(page, f"{PAGE}/app")).status_code == 409
    assert (await ann.visit(f"{PAGE}/app")).headers["Location"] == PAGE
    assert (await send_code(await at_second_step(hub, "ann"), app.code())).status_code == 303


async def test_31_a_disabled_person_cannot_finish_the_second_step(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    admin = await hub.person("root-admin", Role.admin)
    ann_id = (await hub.visitor.read("/users/ann"))["id"]
    browser = await at_second_step(hub, "ann")
    page = await browser.visit("/sign-in/second")
    await admin.patch(f"/accounts/{ann_id}", {"disabled": True})
    answer = await browser.send(page, "/sign-in/second", code=app.code())
    assert answer.headers["Location"] == "/sign-in"


async def test_24_the_database_holds_no_usable_factor(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    browser = await at_second_step(hub, "ann")
    async with hub.database.transaction() as session:
        rows = [
            repr(row.model_dump())
            for model in (SecondFactor, RecoveryCode, PendingSignIn)
            for row in (await session.execute(select(model))).scalars()
        ]
    assert len(rows) == 12
    secrets = [app.totp.secret, *browser.client.cookies.values()]
    secrets += [code.replace("-", "") for code in app.recovery_codes] + app.recovery_codes
    assert not [secret for secret in secrets for row in rows if secret in row]


async def test_with_another_secret_key_recovery_codes_still_work(
    settings: Settings, test_database: TestDatabase, hub: Hub
) -> None:
    _, app = await guarded(hub, "ann")
    other = settings.model_copy(update={"secret_key": type(settings.secret_key)("q" * 48)})
    transport = httpx.ASGITransport(create_app(other, test_database))
    browser = Surfer(httpx.AsyncClient(transport=transport, base_url="http://testserver"))
    await browser.sign_in("ann")
    assert (await send_code(browser, app.code())).status_code == 401
    assert (await send_code(browser, app.recovery_codes[0])).status_code == 303


@pytest.mark.parametrize(
    ("password", "alone", "beside"),
    [
        ("calm5ot", False, False),
        ("calm5ott", False, True),
        ("calm otters swi", True, True),
        ("password1", False, False),
        ("x" * 5 + "12345", False, True),
        ("calm otters swim " * 4, True, True),
        ("12345678", False, False),
    ],
)
def test_64_fifteen_characters_or_eight_beside_a_second_factor(
    password: str, alone: bool, beside: bool
) -> None:
    assert (weakness(password) is None) == alone
    assert (weakness(password, second_factor=True) is None) == beside


async def test_odd_codes_are_refused(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    browser = await at_second_step(hub, "ann")
    arabic = app.code().translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    for code in ("", arabic, "é" * 300):
        assert (await send_code(browser, code)).status_code == 401
    await forget_steps(hub)
    assert (await send_code(browser, f" {app.code()[:3]} {app.code()[3:]} ")).status_code == 303


async def test_only_what_has_expired_is_purged(hub: Hub) -> None:
    _, app = await guarded(hub, "ann")
    old, new = await at_second_step(hub, "ann"), await at_second_step(hub, "ann")
    async with hub.database.transaction() as session:
        rows = (await session.execute(select(PendingSignIn))).scalars().all()
        waits = hash_token(old.client.cookies["hub_second_step"])
        next(row for row in rows if row.token_hash == waits).expires_at = utcnow()
        live, late = utcnow() + timedelta(minutes=1), utcnow()
        for number, expires_at in enumerate((late, live)):
            session.add(
                PasskeyChallenge(
                    challenge=bytes([number]),
                    browser_hash="",
                    purpose="sign_in",
                    expires_at=expires_at,
                )
            )
    async with hub.database.transaction() as session:
        await purge_expired_pending(session)
        await purge_expired_challenges(session)
    async with hub.database.transaction() as session:
        assert len((await session.execute(select(PendingSignIn))).all()) == 1
        assert len((await session.execute(select(PasskeyChallenge))).all()) == 1
    assert (await send_code(new, app.code())).status_code == 303

"""Passkeys with an authenticator in software; numbers as in docs/identity.md."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select, update

from backend_hub.app import create_app
from backend_hub.auth.models import BrowserSession, Passkey, PasskeyChallenge
from backend_hub.auth.passkeys import passkey_host
from backend_hub.settings import Settings
from backend_hub.users.models import User
from tests.auth.authenticator import ORIGIN, PRESENT, Authenticator
from tests.auth.factors import PAGE, at_second_step, codes_on, is_signed_in, send_code, turn_on
from tests.conftest import TestDatabase
from tests.hub import PASSWORD, Hub
from tests.oauth.browsing import Surfer, surfer_at

OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
async def local(hub: Hub, settings: Settings, test_database: TestDatabase) -> AsyncIterator[Hub]:
    """The hub at a host name that passkeys can belong to."""
    app = create_app(settings.model_copy(update={"public_url": ORIGIN}), test_database)
    app.state.tokens = hub.client._transport.app.state.tokens  # type: ignore[attr-defined]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=ORIGIN
    ) as client:
        yield replace(hub, client=client)


async def options(surfer: Surfer, page: str, purpose: str, **fields: str) -> dict[str, Any]:
    """A challenge, as the page's script asks for it."""
    shown = await surfer.visit(page)
    answer = await surfer.send(shown, "/passkeys/challenge", purpose=purpose, **fields)
    assert answer.status_code == 200, answer.text
    given: dict[str, Any] = answer.json()
    return given


async def register(surfer: Surfer, name: str = "Phone", **lies: Any) -> Authenticator:
    """Add a passkey to the account of whoever is signed in."""
    key = Authenticator()
    answer = key.create(await options(surfer, PAGE, "register"), **lies)
    page = await surfer.visit(PAGE)
    added = await surfer.send(page, f"{PAGE}/passkeys", credential=answer, name=name)
    assert added.status_code == 303, added.text
    return key


async def owner(hub: Hub, username: str = "ann") -> tuple[Surfer, Authenticator]:
    """Somebody with a password and a passkey."""
    await hub.person(username)
    surfer = surfer_at(hub)
    await surfer.sign_in(username)
    return surfer, await register(surfer)


async def present(surfer: Surfer, answer: str, path: str = "/sign-in") -> httpx.Response:
    page = await surfer.visit(path)
    return await surfer.send(page, f"{path}/passkey", credential=answer)


async def test_a_passkey_signs_in_without_name_and_password(local: Hub) -> None:
    _, key = await owner(local)
    browser = surfer_at(local)
    asked = await options(browser, "/sign-in", "sign_in")
    assert (asked["allowCredentials"], asked["userVerification"]) == ([], "required")
    page = await browser.visit("/sign-in", params={"next": "/topics/none"})
    answer = await browser.send(page, "/sign-in/passkey", credential=key.get(asked))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/topics/none")
    assert await is_signed_in(browser)
    async with local.database.transaction() as session:
        ways = (await session.execute(select(BrowserSession.amr))).scalars().all()  # type: ignore[call-overload]
        passkey = (await session.execute(select(Passkey))).scalars().one()
    assert sorted(ways) == ["pop user mfa", "pwd"]
    assert (passkey.sign_count, passkey.last_used_at is not None) == (1, True)
    assert "Last used" in (await browser.visit(PAGE)).text


FORGERIES: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "https://evil.example"},
    "another port": {"origin": "http://localhost:8000"},
    "https": {"origin": "https://localhost"},
    "another rp_id": {"rp_id": "evil.example"},
    "another challenge": {"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
    "no challenge": {"challenge": ""},
    "a number for a challenge": {"challenge": 7},
    "a signature for a registration": {"type": "webauthn.create"},
    "another key": {"key": OTHER_KEY},
    "nobody verified": {"flags": PRESENT},
    "nobody present": {"flags": 0x04},
    "another person": {"user_handle": bytes(16)},
    "nobody named": {"user_handle": None},
}


@pytest.mark.parametrize("lies", FORGERIES.values(), ids=FORGERIES.keys())
async def test_70_a_forged_answer_is_refused(local: Hub, lies: dict[str, Any]) -> None:
    _, key = await owner(local)
    browser = surfer_at(local)
    forged = key.get(await options(browser, "/sign-in", "sign_in"), **lies)
    refused = await present(browser, forged)
    assert (refused.status_code, "was not accepted" in refused.text) == (401, True)
    assert not await is_signed_in(browser)
    allowed = await present(browser, key.get(await options(browser, "/sign-in", "sign_in")))
    assert allowed.status_code == 303


async def test_70_a_challenge_is_answered_once(local: Hub) -> None:
    """Also after an answer that was refused."""
    _, key = await owner(local)
    browser, again = surfer_at(local), surfer_at(local)
    asked = await options(browser, "/sign-in", "sign_in")
    again.client.cookies = browser.client.cookies
    answer = key.get(asked)
    assert (await present(browser, answer)).status_code == 303
    assert (await present(again, answer)).status_code == 401
    assert (await present(again, key.get(asked))).status_code == 401
    asked = await options(again, "/sign-in", "sign_in")
    assert (await present(again, key.get(asked, origin="https://evil.example"))).status_code == 401
    assert (await present(again, key.get(asked))).status_code == 401


async def test_70_of_parallel_replays_one_succeeds(live: Hub, settings: Settings) -> None:
    app = live.client._transport.app  # type: ignore[attr-defined]
    before = app.state.settings
    app.state.settings = before.model_copy(update={"public_url": ORIGIN})
    try:
        _, key = await owner(live)
        browser = surfer_at(live)
        answer = key.get(await options(browser, "/sign-in", "sign_in"))
        page = await browser.visit("/sign-in")
        cookies = dict(browser.client.cookies)
        surfers = [surfer_at(live) for _ in range(5)]
        for surfer in surfers:
            surfer.client.cookies.update(cookies)
        sent = (surfer.send(page, "/sign-in/passkey", credential=answer) for surfer in surfers)
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*sent))
    finally:
        app.state.settings = before
    assert statuses == [303, 401, 401, 401, 401]


async def test_70_a_challenge_belongs_to_one_browser_and_one_purpose(local: Hub) -> None:
    ann, key = await owner(local)
    browser, other = surfer_at(local), surfer_at(local)
    stolen = key.get(await options(browser, "/sign-in", "sign_in"))
    assert (await present(other, stolen)).status_code == 401
    made = await options(ann, PAGE, "register")
    elsewhere = key.get({"challenge": made["challenge"], "rpId": "localhost"})
    assert (await present(ann, elsewhere)).status_code == 401
    assert (await present(browser, stolen)).status_code == 303


async def test_70_a_challenge_lives_for_five_minutes(local: Hub) -> None:
    _, key = await owner(local)
    browser = surfer_at(local)
    for minutes, status in ((6, 401), (4, 303)):
        answer = key.get(await options(browser, "/sign-in", "sign_in"))
        async with local.database.transaction() as session:
            earlier = PasskeyChallenge.expires_at - timedelta(minutes=minutes)
            await session.execute(update(PasskeyChallenge).values(expires_at=earlier))
        assert (await present(browser, answer)).status_code == status


async def test_45_the_host_header_does_not_name_the_party(local: Hub) -> None:
    browser = surfer_at(local)
    page = await browser.visit("/sign-in")
    headers = {"Host": "evil.example", "Sec-Fetch-Site": "same-origin"}
    asked = await browser.send(page, "/passkeys/challenge", headers, purpose="sign_in")
    assert asked.json()["rpId"] == "localhost"


async def test_a_counter_that_runs_backwards_is_refused_and_told(local: Hub) -> None:
    ann, key = await owner(local)
    for count, status in ((5, 303), (5, 401), (4, 401), (0, 401), (6, 303)):
        browser = surfer_at(local)
        answer = key.get(await options(browser, "/sign-in", "sign_in"), count=count)
        assert (await present(browser, answer)).status_code == status
    log = (await ann.visit("/account/security")).text
    assert log.count("Passkey refused: its counter ran backwards") == 3


async def test_passkeys_that_do_not_count_go_on_working(local: Hub) -> None:
    """Those that are synced say 0 each time."""
    _, key = await owner(local)
    for _ in range(2):
        browser = surfer_at(local)
        answer = key.get(await options(browser, "/sign-in", "sign_in"), count=0)
        assert (await present(browser, answer)).status_code == 303


REGISTRATIONS = {name: FORGERIES[name] for name in list(FORGERIES)[:7]} | {
    "an answer of signing in": {"type": "webauthn.get"},
    "nobody verified": {"flags": PRESENT},
}


@pytest.mark.parametrize("lies", REGISTRATIONS.values(), ids=REGISTRATIONS.keys())
async def test_70_a_forged_registration_is_refused(local: Hub, lies: dict[str, Any]) -> None:
    await local.person("ann")
    ann, key = surfer_at(local), Authenticator()
    await ann.sign_in("ann")
    for lie, status in ((lies, 401), ({}, 303)):
        answer = key.create(await options(ann, PAGE, "register"), **lie)
        sent = await ann.send(await ann.visit(PAGE), f"{PAGE}/passkeys", credential=answer)
        assert sent.status_code == status
    async with local.database.transaction() as session:
        assert len((await session.execute(select(Passkey))).all()) == 1


async def test_a_passkey_belongs_to_one_account(local: Hub) -> None:
    """Registering somebody's passkey again changes nothing about it."""
    _, key = await owner(local)
    bob, _ = await owner(local, "bob")
    copied = Authenticator(OTHER_KEY, key.credential_id)
    answer = copied.create(await options(bob, PAGE, "register"))
    sent = await bob.send(await bob.visit(PAGE), f"{PAGE}/passkeys", credential=answer)
    assert sent.status_code == 401
    browser = surfer_at(local)
    answer = key.get(await options(browser, "/sign-in", "sign_in"))
    assert (await present(browser, answer)).status_code == 303
    assert "ann" in (await browser.visit("/account")).text


@pytest.mark.parametrize(
    "answer",
    [
        *("", "null", "[]", "{", "7", '"x"', "[" * 5_000, "x" * 100_000, '{"id": 1}', "\ud83d"),
        '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {}}',
        '{"id": "AA", "rawId": "AA", "type": "public-key", "response": 7}',
    ],
)
async def test_nonsense_is_refused(local: Hub, answer: str) -> None:
    ann, _ = await owner(local)
    text = answer.encode("utf-8", "replace").decode()
    assert (await present(surfer_at(local), text)).status_code == 401
    sent = await ann.send(await ann.visit(PAGE), f"{PAGE}/passkeys", credential=text)
    assert sent.status_code == 401


async def test_a_disabled_person_has_no_passkey(local: Hub) -> None:
    _, key = await owner(local)
    for disabled, status in ((True, 401), (False, 303)):
        async with local.database.transaction() as session:
            when = User.created_at if disabled else None
            await session.execute(update(User).values(disabled_at=when))
        browser = surfer_at(local)
        answer = key.get(await options(browser, "/sign-in", "sign_in"))
        assert (await present(browser, answer)).status_code == status


async def test_signing_up_with_a_passkey_and_no_password(local: Hub) -> None:
    browser, key = surfer_at(local), Authenticator()
    form = {"username": "newcomer", "email": "new@example.org"}
    asked = await options(browser, "/sign-up/passkey", "sign_up", **form)
    assert asked["user"]["name"] == "newcomer"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    page = await browser.visit("/sign-up/passkey", params={"next": "/docs"})
    made = await browser.send(page, "/sign-up/passkey", credential=key.create(asked), **form)
    assert (made.status_code, made.headers["Location"]) == (303, "/docs")
    assert await is_signed_in(browser)
    again = surfer_at(local)
    answer = key.get(await options(again, "/sign-in", "sign_in"))
    assert (await present(again, answer)).status_code == 303
    refused = await surfer_at(local).sign_in("newcomer")
    assert refused.status_code == 401


@pytest.mark.parametrize(
    ("username", "email", "status"),
    [("ann", "a@example.org", 409), ("me", "a@example.org", 422), ("bob", "nobody", 422)],
)
async def test_signing_up_with_a_passkey_says_what_is_wrong_first(
    local: Hub, username: str, email: str, status: int
) -> None:
    await owner(local)
    browser = surfer_at(local)
    page = await browser.visit("/sign-up/passkey")
    form = {"purpose": "sign_up", "username": username, "email": email}
    refused = await browser.send(page, "/passkeys/challenge", **form)
    assert refused.status_code == status
    assert refused.json()["detail"]
    asked = await options(browser, "/sign-up/passkey", "sign_up", username="eve", email="e@e.org")
    form = {"username": username, "email": email, "credential": Authenticator().create(asked)}
    assert (await browser.send(page, "/sign-up/passkey", **form)).status_code == status


async def test_a_closed_hub_takes_no_sign_up_by_passkey(
    hub: Hub, settings: Settings, test_database: TestDatabase
) -> None:
    closed = settings.model_copy(update={"public_url": ORIGIN, "registration_open": False})
    transport = httpx.ASGITransport(create_app(closed, test_database))
    browser = Surfer(httpx.AsyncClient(transport=transport, base_url=ORIGIN))
    page = await browser.visit("/sign-in")
    form = {"purpose": "sign_up", "username": "eve", "email": "e@example.org"}
    assert (await browser.send(page, "/passkeys/challenge", **form)).status_code == 403
    assert (await browser.send(page, "/sign-up/passkey", **form)).status_code == 403


async def test_a_passkey_answers_the_second_step(local: Hub) -> None:
    """There it need not verify who holds it: the password did."""
    ann, key = await owner(local)
    app = await turn_on(local, ann)
    browser = await at_second_step(local, "ann")
    asked = await options(browser, "/sign-in/second", "second_step")
    assert len(asked["allowCredentials"]) == 1
    answer = await present(browser, key.get(asked, flags=PRESENT), "/sign-in/second")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert await is_signed_in(browser)
    async with local.database.transaction() as session:
        ways = (await session.execute(select(BrowserSession.amr))).scalars().all()  # type: ignore[call-overload]
    assert "pwd pop user mfa" in ways
    assert (await send_code(await at_second_step(local, "ann"), app.code())).status_code == 303


@pytest.mark.parametrize("lies", list(FORGERIES.values())[:9], ids=list(FORGERIES)[:9])
async def test_70_a_forged_second_step_is_refused(local: Hub, lies: dict[str, Any]) -> None:
    ann, key = await owner(local)
    await turn_on(local, ann)
    browser = await at_second_step(local, "ann")
    for lie, status in ((lies, 401), ({}, 303)):
        asked = await options(browser, "/sign-in/second", "second_step")
        assert (
            await present(browser, key.get(asked, **lie), "/sign-in/second")
        ).status_code == status


async def test_the_passkey_of_somebody_else_is_no_second_step(local: Hub) -> None:
    ann, key = await owner(local)
    await turn_on(local, ann)
    _, bobs = await owner(local, "bob")
    browser = await at_second_step(local, "ann")
    for handle in (bobs.user_handle, key.user_handle, None):
        asked = await options(browser, "/sign-in/second", "second_step")
        forged = bobs.get(asked, user_handle=handle)
        assert (await present(browser, forged, "/sign-in/second")).status_code == 401
    asked = await options(browser, "/sign-in/second", "second_step")
    assert (await present(browser, key.get(asked), "/sign-in/second")).status_code == 303


async def test_a_passkey_can_be_asked_for_after_the_password(local: Hub) -> None:
    ann, key = await owner(local)
    assert (await surfer_at(local).sign_in("ann")).headers["Location"] == "/"
    on = await ann.send(await ann.visit(PAGE), f"{PAGE}/second-step", passkeys="on")
    codes = codes_on(on)
    assert (on.status_code, len(codes)) == (200, 10)
    browser = await at_second_step(local, "ann")
    assert (await send_code(browser, codes[0])).status_code == 303
    browser = await at_second_step(local, "ann")
    asked = await options(browser, "/sign-in/second", "second_step")
    assert (await present(browser, key.get(asked), "/sign-in/second")).status_code == 303
    await ann.send(await ann.visit(PAGE), f"{PAGE}/second-step", passkeys="off")
    assert (await surfer_at(local).sign_in("ann")).headers["Location"] == "/"


async def test_without_a_passkey_none_is_asked_for(local: Hub) -> None:
    ann, _ = await owner(local)
    await ann.send(await ann.visit(PAGE), f"{PAGE}/second-step", passkeys="on")
    await remove_first(local, ann)
    assert (await surfer_at(local).sign_in("ann")).headers["Location"] == "/"
    refused = await ann.send(await ann.visit(PAGE), f"{PAGE}/second-step", passkeys="on")
    assert (refused.status_code, "Add a passkey first" in refused.text) == (409, True)


async def remove_first(hub: Hub, surfer: Surfer) -> httpx.Response:
    async with hub.database.transaction() as session:
        passkeys = (await session.execute(select(Passkey).order_by(Passkey.created_at))).scalars()  # type: ignore[arg-type]
        first = passkeys.first()
    assert first is not None
    return await surfer.send(await surfer.visit(PAGE), f"{PAGE}/passkeys/{first.id}/remove")


async def test_56_the_last_way_in_cannot_be_removed(local: Hub) -> None:
    browser, key = surfer_at(local), Authenticator()
    form = {"username": "newcomer", "email": "new@example.org"}
    asked = await options(browser, "/sign-up/passkey", "sign_up", **form)
    page = await browser.visit("/sign-up/passkey")
    await browser.send(page, "/sign-up/passkey", credential=key.create(asked), **form)
    refused = await remove_first(local, browser)
    assert (refused.status_code, "only way to sign in" in refused.text) == (409, True)
    await register(browser, "Second key")
    assert (await remove_first(local, browser)).status_code == 303
    assert (await remove_first(local, browser)).status_code == 409


async def test_passkeys_of_others_cannot_be_removed(local: Hub) -> None:
    ann, _ = await owner(local)
    bob, _ = await owner(local, "bob")
    assert (await remove_first(local, bob)).status_code == 404
    assert (await remove_first(local, ann)).status_code == 303


async def test_56_a_passkey_is_added_after_a_recent_sign_in_only(local: Hub) -> None:
    ann, _ = await owner(local)
    page = await ann.visit(PAGE)
    async with local.database.transaction() as session:
        earlier = BrowserSession.created_at - timedelta(minutes=11)
        await session.execute(update(BrowserSession).values(created_at=earlier))
    asked = await ann.send(page, "/passkeys/challenge", purpose="register")
    assert (asked.status_code, "/sign-in?" in asked.headers["Location"]) == (303, True)


async def test_a_challenge_needs_this_browsers_form(local: Hub) -> None:
    browser, other = surfer_at(local), surfer_at(local)
    foreign, own = await other.visit("/sign-in"), await browser.visit("/sign-in")
    path = "/passkeys/challenge"
    assert (await browser.send(foreign, path, purpose="sign_in")).status_code == 403
    assert (await browser.send(own, path, purpose="nothing")).status_code == 422
    assert (await browser.send(own, path, purpose="sign_in")).status_code == 200
    assert (await browser.send(own, path, purpose="second_step")).status_code == 422


async def test_names_are_shown_as_text(local: Hub) -> None:
    await local.person("ann")
    ann = surfer_at(local)
    await ann.sign_in("ann")
    await register(ann, "<script>alert(1)</script>")
    assert "&lt;script&gt;alert(1)" in (await ann.visit(PAGE)).text
    await register(ann, "  ")
    assert re.search(r'class="title">Passkey<', (await ann.visit(PAGE)).text)


@pytest.mark.parametrize(
    ("public_url", "host"),
    [
        ("https://hub.example", "hub.example"),
        ("https://hub.example:8443/", "hub.example"),
        ("http://localhost:8000", "localhost"),
        ("http://127.0.0.1:8000", None),
        ("https://192.0.2.1", None),
        ("https://[2001:db8::1]", None),
        ("http://hub.example", None),
    ],
)
def test_passkeys_are_offered_where_browsers_allow_them(
    settings: Settings, public_url: str, host: str | None
) -> None:
    assert passkey_host(settings.model_copy(update={"public_url": public_url})) == host


async def test_a_hub_without_a_host_name_says_so(hub: Hub) -> None:
    await hub.person("ann")
    ann = surfer_at(hub)
    await ann.sign_in("ann")
    page = await ann.visit(PAGE)
    assert "Passkeys belong to a host name" in page.text
    refused = await ann.send(page, "/passkeys/challenge", purpose="sign_in")
    assert refused.status_code == 409
    assert (await present(ann, "{}")).status_code == 409
    for path in ("/sign-in", "/sign-up/passkey", PAGE):
        shown = await ann.visit(path)
        assert "script-src" not in shown.headers["Content-Security-Policy"]
        assert "<script" not in shown.text


async def test_scripts_of_our_own_run_on_pages_with_passkeys(local: Hub) -> None:
    ann, _ = await owner(local)
    for path in ("/sign-in", "/sign-up/passkey", PAGE):
        shown = await ann.visit(path)
        assert "script-src 'self';" in shown.headers["Content-Security-Policy"]
        assert not re.search(r"<script(?! src)", shown.text)
    for path in ("/account", "/sign-out", "/sign-up"):
        assert "script-src" not in (await ann.visit(path)).headers["Content-Security-Policy"]


async def test_a_password_goes_on_working_beside_a_passkey(local: Hub) -> None:
    await owner(local)
    form = {"username": "ann", "password": PASSWORD}
    answer = await local.visitor.request("POST", "/auth/token", data=form)
    assert answer.status_code == 200

"""Sign-ins from devices that an account does not know."""

import time

import httpx
import pytest
from fastapi import FastAPI

from backend_hub.auth.devices import DEVICE_KNOWN, device_of, device_token
from backend_hub.auth.security_log import MAILED, WORDS, list_security_events
from backend_hub.db import new_id
from backend_hub.settings import Settings
from tests.auth.test_addresses import user_of
from tests.auth.test_throttling import caller, guess
from tests.hub import PASSWORD, Hub
from tests.mail.post import mails_to, text_of, verified
from tests.oauth.browsing import Surfer

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HOME, AWAY = "198.51.100.7", "203.0.113.9"


async def kinds(hub: Hub, name: str = "ann") -> list[str]:
    user = await user_of(hub, name)
    async with hub.database.transaction() as session:
        return [event.kind for event in await list_security_events(session, user.id)]


async def told(hub: Hub, settings: Settings) -> list[str]:
    mails = await mails_to(hub, settings, "ann@example.org")
    return [text_of(mail) for mail in mails if "new device" in mail["Subject"]]


async def test_a_new_device_is_noted_and_mailed_and_a_known_one_is_not(
    hub: Hub, app: FastAPI, settings: Settings
) -> None:
    await hub.person("ann")
    await verified(hub, settings, "ann")
    browser = Surfer(caller(app, HOME, FIREFOX))
    await browser.sign_in("ann")
    assert (await kinds(hub))[0] == "signed_in_from_new_device"
    (mail,) = await told(hub, settings)
    assert HOME in mail
    assert "Firefox on Linux" in mail
    await browser.sign_in("ann")
    elsewhere = Surfer(caller(app, AWAY, FIREFOX))
    elsewhere.client.cookies = browser.client.cookies
    await elsewhere.sign_in("ann")
    without_cookie = Surfer(caller(app, HOME, FIREFOX))
    await without_cookie.sign_in("ann")
    assert (await kinds(hub))[:3] == ["signed_in"] * 3
    assert len(await told(hub, settings)) == 1
    await Surfer(caller(app, "192.0.2.1", "another")).sign_in("ann")
    assert len(await told(hub, settings)) == 2


async def test_a_program_is_known_by_its_network_and_its_name(
    hub: Hub, app: FastAPI, settings: Settings
) -> None:
    await hub.person("ann")
    await verified(hub, settings, "ann")
    clients = [caller(app, "2001:db8:1:2::3", "tool"), caller(app, "2001:db8:1:2::9", "tool")]
    for client in clients:
        assert (await guess(client, "ann", PASSWORD)).status_code == 200
    assert (await kinds(hub))[:2] == ["signed_in", "signed_in_from_new_device"]
    assert (await guess(caller(app, "2001:db8:1:3::3", "tool"), "ann", PASSWORD)).is_success
    assert (await kinds(hub))[0] == "signed_in_from_new_device"


async def test_the_first_sign_in_is_no_surprise_and_no_unverified_address_gets_mail(
    hub: Hub, app: FastAPI, settings: Settings
) -> None:
    await hub.person("ann")
    assert await kinds(hub) == ["signed_in"]
    await Surfer(caller(app, AWAY, FIREFOX)).sign_in("ann")
    assert (await kinds(hub))[0] == "signed_in_from_new_device"
    assert await told(hub, settings) == []


async def test_the_cookie_is_of_one_account_and_cannot_be_made_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = new_id(), new_id()
    cookie = device_token(settings, ann)
    assert device_of(settings, ann, cookie)
    assert device_of(settings, bob, cookie) is None
    forged = cookie.replace(ann.hex, bob.hex)
    for wrong in (forged, cookie[:-1], cookie + "0", "", ".", "...", "a.b.c.d", "\u00e4.b.c.d"):
        assert device_of(settings, ann, wrong) is None
        assert device_of(settings, bob, wrong) is None
    later = time.time() + DEVICE_KNOWN + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert device_of(settings, ann, cookie) is None


async def test_60_the_cookie_is_for_the_hub_alone(hub: Hub, app: FastAPI) -> None:
    await hub.person("ann")
    browser = Surfer(caller(app, HOME, FIREFOX))
    entered: httpx.Response = await browser.sign_in("ann")
    cookies = [c for c in entered.headers.get_list("Set-Cookie") if c.startswith("hub_device=")]
    assert len(cookies) == 1
    assert "HttpOnly" in cookies[0]
    assert "SameSite=lax" in cookies[0]
    signed_out = await browser.visit("/sign-out")
    await browser.send(signed_out, "/sign-out")
    assert "hub_device" in browser.client.cookies


def test_whatever_changes_who_can_sign_in_is_mailed() -> None:
    assert set(WORDS) >= MAILED
    assert {"password_changed", "passkey_added", "totp_disabled", "account_linked"} <= MAILED
    assert "signed_in" not in MAILED

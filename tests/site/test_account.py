"""Pages of one's own account: whose they are, and what they show."""

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from backend_hub.auth.models import BrowserSession
from backend_hub.db import utcnow
from tests.account.people import age_sign_ins, at_browser
from tests.hub import Hub
from tests.oauth.browsing import parameters, surfer_at


async def test_an_account_page_asks_for_sign_in_and_is_shown_then(hub: Hub) -> None:
    await hub.person("ann")
    ann = surfer_at(hub)
    asked = await ann.visit("/account/security")
    assert asked.status_code == 303
    assert asked.headers["Location"].startswith("/sign-in?")
    assert parameters(asked) == {"next": "/account/security"}
    entered = await ann.sign_in("ann", parameters(asked)["next"])
    assert entered.headers["Location"] == "/account/security"
    shown = await ann.visit("/account/security")
    assert shown.status_code == 200
    assert shown.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("form", "page"),
    [
        ("/account/tokens/new", "/account/tokens"),
        ("/account/apps/new", "/account/apps"),
        ("/account/data/delete", "/account/data"),
        ("/account/factors/app", "/account/factors"),
        ("/account/identities/with/none", "/account/identities"),
        ("/account/sign-in/password", "/account/sign-in"),
        ("/passkeys/challenge", "/account/factors"),
    ],
)
async def test_56_a_form_sent_too_late_leads_back_to_its_page(
    hub: Hub, form: str, page: str
) -> None:
    await hub.person("ann")
    ann = await at_browser(hub, "ann")
    shown = await ann.visit("/account/sign-in")
    await age_sign_ins(hub, timedelta(minutes=11))
    asked = await ann.send(shown, form, purpose="register")
    assert asked.headers["Location"].startswith("/sign-in?")
    assert parameters(asked) == {"next": page, "again": "1"}


async def test_what_is_wrong_with_a_form_is_said_in_words(hub: Hub) -> None:
    surfer = surfer_at(hub)
    page = await surfer.visit("/sign-up")
    refused = await surfer.send(page, "/sign-up", username="a b", email=" ", password="short")
    assert refused.status_code == 422
    for words in (
        "Name: has characters that are not allowed.",
        "Password: must have at least 15 characters.",
    ):
        assert words in refused.text


async def test_a_forgotten_password_does_not_lose_the_way(hub: Hub) -> None:
    surfer = surfer_at(hub)
    page = await surfer.visit("/sign-in", params={"next": "/device?user_code=BCDF-GHJK"})
    way = "next=/device%3Fuser_code%3DBCDF-GHJK"
    assert f'href="/forgot?{way}"' in page.text
    asked = await surfer.visit(f"/forgot?{way}")
    assert f'href="/sign-in?{way}"' in asked.text
    sent = await surfer.send(asked, "/forgot", email="ann@example.org")
    assert "/sign-in?next=%2Fdevice%3Fuser_code%3DBCDF-GHJK" in sent.text
    foreign = await surfer.visit("/forgot", params={"next": "https://evil.example/"})
    assert "evil" not in foreign.text


async def test_the_security_log_tells_a_person_of_their_sign_ins_and_nobody_else(hub: Hub) -> None:
    await hub.person("ann")
    await hub.person("bob")
    ann, bob = surfer_at(hub), surfer_at(hub)
    ann.client.headers["User-Agent"] = "Netscape <b>4</b>"
    await ann.sign_in("ann")
    await bob.sign_in("bob")
    log = (await ann.visit("/account/security")).text
    assert "Signed in" in log
    assert "Netscape &lt;b&gt;4&lt;/b&gt;" in log
    assert "Netscape" not in (await bob.visit("/account/security")).text


async def test_a_session_of_nobody_leads_to_sign_in(hub: Hub) -> None:
    await hub.person("ann")
    ann = surfer_at(hub)
    await ann.sign_in("ann")
    assert (await ann.visit("/account")).status_code == 200
    async with hub.database.transaction() as session:
        long_ago = utcnow() - timedelta(days=30)
        await session.execute(
            update(BrowserSession).values({col(BrowserSession.seen_at): long_ago})
        )
    assert (await ann.visit("/account")).status_code == 303

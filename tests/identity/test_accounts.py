"""Which account an outside identity belongs to. Numbers are those of docs/identity.md."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlmodel import col
from starlette.responses import JSONResponse, Response

from backend_hub.auth.models import BrowserSession
from backend_hub.db import utcnow
from backend_hub.identity.models import LinkedAccount, PendingIdentity
from backend_hub.mail.models import Mail
from backend_hub.settings import Settings
from backend_hub.users.models import User
from tests.hub import Hub, Person
from tests.identity.doubles import GitHub, Liar
from tests.identity.trips import (
    ANN,
    address_of,
    admin_of,
    come_back,
    go_and_return,
    join,
    leave,
    offer,
    who,
)
from tests.oauth.browsing import Surfer, hidden_fields, parameters, surfer_at

LINKS = "/account/identities"


async def account(hub: Hub, username: str) -> User:
    async with hub.database.transaction() as session:
        found = select(User).where(col(User.username) == username)
        return (await session.execute(found)).scalar_one()


async def change(hub: Hub, username: str, **values: Any) -> None:
    async with hub.database.transaction() as session:
        mine = update(User).where(col(User.username) == username)
        await session.execute(mine.values(**values))


async def links(hub: Hub) -> list[LinkedAccount]:
    async with hub.database.transaction() as session:
        return list((await session.execute(select(LinkedAccount))).scalars().all())


async def signed_in(hub: Hub, username: str) -> tuple[Person, Surfer]:
    """Somebody with a password, at their browser."""
    person, browser = await hub.person(username), surfer_at(hub)
    await browser.sign_in(username)
    return person, browser


async def link(browser: Surfer, liar: Liar, **person: Any) -> int:
    """Add the liar to the account, from its page; the status of the end."""
    page = await browser.visit(LINKS)
    url = address_of(await browser.send(page, f"{LINKS}/with/liar"))
    return (await come_back(browser, liar.authorize(url, ANN | person))).status_code


async def test_somebody_new_chooses_a_name_and_has_an_account_without_a_password(
    hub: Hub, liar: Liar
) -> None:
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    answer = await go_and_return(browser, liar, target="/docs")
    path = answer.headers["Location"]
    page = await browser.visit(path)
    assert 'value="ann"' in page.text
    assert await who(browser) is None
    assert await links(hub) == []
    answer = await browser.send(page, path, username="annabel")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/docs")
    assert await who(browser) == "annabel"
    made = await account(hub, "annabel")
    assert (made.password_hash, made.display_name) == (None, "Ann Other")
    assert (made.email, made.email_verified_at is not None) == ("ann@example.org", True)
    assert (await browser.visit(path)).status_code == 404
    log = (await browser.visit("/account/security")).text
    assert "Sign-in with another account added: Liar (ann)" in log


async def test_a_name_is_held_against_the_rules_and_against_others(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    await hub.person("ann")
    browser = surfer_at(hub)
    path = (await go_and_return(browser, liar)).headers["Location"]
    page = await browser.visit(path)
    assert 'value="ann-2"' in page.text
    for name, status in (("", 422), ("a b", 422), ("admin", 422), ("ANN", 409), ("x" * 31, 422)):
        answer = await browser.send(page, path, username=name)
        assert (answer.status_code, 'id="username-problem"' in answer.text) == (status, True)
    assert await who(browser) is None
    assert await links(hub) == []
    assert (await browser.send(page, path, username="ann-2")).status_code == 303


@pytest.mark.parametrize(
    ("claims", "proposed"),
    [
        ({"preferred_username": "Zoë.Müller"}, "Zoe-Muller"),
        ({"preferred_username": "ann@example.org"}, "ann"),
        ({"preferred_username": "admin"}, "admin-2"),
        ({"preferred_username": "x", "name": "<b>Ann</b>"}, "b-Ann-b"),
        ({"preferred_username": "-" * 40 + "a" * 50}, "a" * 30),
        ({"preferred_username": "李", "name": "李"}, ""),
        ({"preferred_username": None, "name": None}, ""),
        ({"preferred_username": 7, "name": ["a"]}, ""),
        ({"preferred_username": "a\x00b", "name": "Ann"}, "Ann"),
    ],
)
async def test_the_proposed_name_is_a_clean_one(
    hub: Hub, liar: Liar, claims: dict[str, Any], proposed: str
) -> None:
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    path = (await go_and_return(browser, liar, **claims)).headers["Location"]
    page = await browser.visit(path)
    assert f'name="username" value="{proposed}"' in page.text


async def test_a_pending_choice_belongs_to_one_browser(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    browser, other = surfer_at(hub), surfer_at(hub)
    path = (await go_and_return(browser, liar)).headers["Location"]
    form = await other.visit("/sign-in")
    assert (await other.visit(path)).status_code == 404
    assert (await other.send(form, path, username="thief")).status_code == 404
    own = await browser.visit(path)
    assert (await browser.send(form, path, username="forged")).status_code == 403
    assert (await browser.send(own, path, username="ann")).status_code == 303


async def test_a_pending_choice_ends(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    path = (await go_and_return(browser, liar)).headers["Location"]
    page = await browser.visit(path)
    async with hub.database.transaction() as session:
        long_ago = utcnow() - timedelta(hours=1)
        await session.execute(update(PendingIdentity).values(created_at=long_ago))
    assert (await browser.visit(path)).status_code == 404
    assert (await browser.send(page, path, username="ann")).status_code == 404


async def test_53_the_same_subject_of_another_issuer_is_another_identity(
    hub: Hub, liar: Liar
) -> None:
    admin = await admin_of(hub)
    await offer(admin, liar.issuer("a"))
    await offer(admin, liar.issuer("b"), slug="other")
    first, second = surfer_at(hub), surfer_at(hub)
    assert (await join(first, liar, "ann")).status_code == 303
    answer = await join(second, liar, "bob", slug="other", email="bob@example.org")
    assert answer.status_code == 303
    for slug, name in (("liar", "ann"), ("other", "bob")):
        browser = surfer_at(hub)
        await go_and_return(browser, liar, slug)
        assert await who(browser) == name
    assert [(row.issuer[-1], row.subject) for row in await links(hub)] == [
        ("a", ANN["sub"]),
        ("b", ANN["sub"]),
    ]


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("there", [True, False, "true", None])
@pytest.mark.parametrize("trusted", [True, False])
async def test_54_an_address_joins_only_when_both_sides_verified_it(
    hub: Hub, liar: Liar, here: bool, there: Any, trusted: bool
) -> None:
    """And when the operators trust the provider's word; otherwise that account signs in first."""
    await offer(await admin_of(hub), liar.issuer(), trusts_email=trusted)
    await hub.person("ann")
    await change(hub, "ann", email_verified_at=utcnow() if here else None)
    browser = surfer_at(hub)
    answer = await go_and_return(browser, liar, email="Ann@Example.org", email_verified=there)
    joined = here and there is True and trusted
    assert answer.headers["Location"].startswith("/sign-up/with/") != joined
    assert await who(browser) == ("ann" if joined else None)
    assert len(await links(hub)) == joined
    if here and there is True and not trusted:
        path = answer.headers["Location"]
        page = await browser.visit(path)
        assert "An account here has your address" in page.text
        assert 'name="username"' not in page.text
        await browser.sign_in("ann", path)
        page = await browser.visit(path)
        answer = await browser.send(page, path, decision="link")
        assert (answer.status_code, answer.headers["Location"]) == (303, LINKS)
        again = surfer_at(hub)
        await go_and_return(again, liar)
        assert await who(again) == "ann"


async def test_54_an_owned_address_cannot_be_had_by_sending_the_form_anyway(
    hub: Hub, liar: Liar
) -> None:
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    path = (await go_and_return(browser, liar)).headers["Location"]
    page = await browser.visit(path)
    await hub.person("owner")
    await change(hub, "owner", email="ANN@example.org", email_verified_at=utcnow())
    answer = await browser.send(page, path, username="ann")
    assert (answer.status_code, "sign in to it first" in answer.text) == (409, True)
    assert await who(browser) is None
    assert await links(hub) == []


async def test_55_a_pre_registered_unverified_account_is_never_merged(hub: Hub, liar: Liar) -> None:
    """Mallory wrote Ann's address down and knows a password; Ann gets an account of her own."""
    await offer(await admin_of(hub), liar.issuer())
    mallory = await hub.person("mallory")
    await change(hub, "mallory", email="ann@example.org")
    browser = surfer_at(hub)
    assert (await join(browser, liar, "ann")).status_code == 303
    assert await who(browser) == "ann"
    mine = await account(hub, "ann")
    assert str(mine.id) != mallory.id
    assert mine.email_verified_at is not None
    assert (await account(hub, "mallory")).email_verified_at is None
    assert [row.user_id for row in await links(hub)] == [mine.id]


async def test_an_address_of_a_provider_that_is_not_trusted_stays_unverified(
    hub: Hub, liar: Liar
) -> None:
    await offer(await admin_of(hub), liar.issuer(), trusts_email=False)
    await join(surfer_at(hub), liar, "ann")
    made = await account(hub, "ann")
    assert (made.email, made.email_verified_at) == ("ann@example.org", None)
    async with hub.database.reading() as session:
        mails = select(col(Mail.template)).where(Mail.recipient == made.email)
        assert (await session.execute(mails)).scalars().all() == ["verify"]


async def test_56_linking_needs_a_recent_sign_in(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    _, browser = await signed_in(hub, "ann")
    page = await browser.visit(LINKS)
    async with hub.database.transaction() as session:
        earlier = utcnow() - timedelta(minutes=11)
        await session.execute(update(BrowserSession).values(created_at=earlier))
    answer = await browser.send(page, f"{LINKS}/with/liar")
    assert answer.status_code == 303
    assert parameters(answer) == {"next": LINKS, "again": "1"}
    await browser.sign_in("ann")
    assert await link(browser, liar) == 303
    stranger = surfer_at(hub)
    await go_and_return(stranger, liar)
    assert await who(stranger) == "ann"


async def test_56_unlinking_needs_a_recent_sign_in(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    _, browser = await signed_in(hub, "ann")
    assert await link(browser, liar) == 303
    page = await browser.visit(LINKS)
    (linked,) = await links(hub)
    async with hub.database.transaction() as session:
        earlier = utcnow() - timedelta(minutes=11)
        await session.execute(update(BrowserSession).values(created_at=earlier))
    answer = await browser.send(page, f"{LINKS}/{linked.id}/remove")
    assert parameters(answer) == {"next": LINKS, "again": "1"}
    assert len(await links(hub)) == 1


async def test_56_the_last_way_in_cannot_be_removed(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    await join(browser, liar, "ann")
    (linked,) = await links(hub)
    page = await browser.visit(LINKS)
    assert "Your only way to sign in" in page.text
    answer = await browser.send(page, f"{LINKS}/{linked.id}/remove")
    assert (answer.status_code, len(await links(hub))) == (409, 1)
    assert await link(browser, liar, sub="another") == 303
    page = await browser.visit(LINKS)
    assert (await browser.send(page, f"{LINKS}/{linked.id}/remove")).status_code == 303
    (left,) = await links(hub)
    assert (await browser.send(page, f"{LINKS}/{left.id}/remove")).status_code == 409


async def test_56_a_provider_that_is_not_offered_is_no_way_in(hub: Hub, liar: Liar) -> None:
    admin = await admin_of(hub)
    await offer(admin, liar.issuer("a"))
    await offer(admin, liar.issuer("b"), slug="other")
    browser = surfer_at(hub)
    await join(browser, liar, "ann")
    page = await browser.visit(LINKS)
    url = address_of(await browser.send(page, f"{LINKS}/with/other"))
    assert (await come_back(browser, liar.authorize(url, ANN), "other")).status_code == 303
    first, _ = await links(hub)
    await admin.patch("/identity-providers/other", {"enabled": False})
    answer = await browser.send(page, f"{LINKS}/{first.id}/remove")
    assert answer.status_code == 409
    await admin.patch("/identity-providers/other", {"enabled": True})
    assert (await browser.send(page, f"{LINKS}/{first.id}/remove")).status_code == 303


async def test_56_two_removals_at_once_leave_one_way_in(live: Hub, liar: Liar) -> None:
    await offer(await admin_of(live), liar.issuer())
    browser = surfer_at(live)
    await join(browser, liar, "ann")
    assert await link(browser, liar, sub="another") == 303
    page = await browser.visit(LINKS)
    paths = [f"{LINKS}/{row.id}/remove" for row in await links(live)]
    answers = await asyncio.gather(*(browser.send(page, path) for path in paths))
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert len(await links(live)) == 1


async def test_nobody_unlinks_for_others(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    _, ann = await signed_in(hub, "ann")
    assert await link(ann, liar) == 303
    (linked,) = await links(hub)
    _, eve = await signed_in(hub, "eve")
    page = await eve.visit(LINKS)
    assert str(linked.id) not in page.text
    assert (await eve.send(page, f"{LINKS}/{linked.id}/remove")).status_code == 404
    own = await ann.visit(LINKS)
    assert (await ann.send(page, f"{LINKS}/{linked.id}/remove")).status_code == 403
    assert (await ann.send(own, f"{LINKS}/{linked.id}/remove")).status_code == 303
    assert await links(hub) == []


async def test_an_identity_of_somebody_else_cannot_be_linked(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    _, ann = await signed_in(hub, "ann")
    assert await link(ann, liar) == 303
    _, eve = await signed_in(hub, "eve")
    assert await link(eve, liar) == 409
    assert await link(ann, liar) == 303  # once more is no harm
    assert len(await links(hub)) == 1


async def test_a_link_goes_to_who_asked_for_it_only(hub: Hub, liar: Liar) -> None:
    """Somebody else signed in in the same browser meanwhile."""
    await offer(await admin_of(hub), liar.issuer())
    _, browser = await signed_in(hub, "ann")
    url = address_of(await browser.send(await browser.visit(LINKS), f"{LINKS}/with/liar"))
    await hub.person("eve")
    await browser.sign_in("eve")
    assert (await come_back(browser, liar.authorize(url, ANN))).status_code == 403
    assert await links(hub) == []


async def test_one_account_across_providers(hub: Hub, liar: Liar, github: GitHub) -> None:
    admin = await admin_of(hub)
    await offer(admin, liar.issuer())
    await offer(admin, github.base, slug="forge", kind="github")
    browser = surfer_at(hub)
    await join(browser, liar, "ann")
    github.user = {"id": 583231, "login": "octocat", "name": None}
    page = await browser.visit(LINKS)
    url = address_of(await browser.send(page, f"{LINKS}/with/forge"))
    assert (await come_back(browser, github.authorize(url), "forge")).status_code == 303
    assert "Forge: octocat" in (await browser.visit(LINKS)).text
    other = surfer_at(hub)
    await come_back(other, github.authorize(await leave(other, "forge")), "forge")
    assert await who(other) == "ann"


async def test_a_disabled_account_is_refused_and_told_so(hub: Hub, liar: Liar) -> None:
    admin = await admin_of(hub)
    await offer(admin, liar.issuer())
    await join(surfer_at(hub), liar, "ann")
    path = f"/accounts/{(await account(hub, 'ann')).id}"
    await admin.patch(path, {"disabled": True})
    browser = surfer_at(hub)
    answer = await go_and_return(browser, liar)
    assert (answer.status_code, "This account is disabled" in answer.text) == (403, True)
    assert await who(browser) is None
    await admin.patch(path, {"disabled": False})
    await go_and_return(browser, liar)
    assert await who(browser) == "ann"


async def test_a_disabled_account_is_not_joined_by_its_address(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    await hub.person("ann")
    await change(hub, "ann", email_verified_at=utcnow(), disabled_at=utcnow())
    browser = surfer_at(hub)
    assert (await go_and_return(browser, liar)).status_code == 403
    assert await links(hub) == []


async def test_a_hub_without_registrations_links_but_makes_no_account(
    hub: Hub, liar: Liar, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await offer(await admin_of(hub), liar.issuer())
    await hub.person("ann")
    monkeypatch.setattr(settings, "registration_open", False)
    browser = surfer_at(hub)
    path = (await go_and_return(browser, liar, email="new@example.org")).headers["Location"]
    page = await browser.visit(path)
    assert (page.status_code, "does not take registrations" in page.text) == (403, True)
    assert (await browser.send(page, path, username="newcomer")).status_code == 403
    await browser.sign_in("ann", path)
    page = await browser.visit(path)
    assert hidden_fields(page)
    assert (await browser.send(page, path, decision="link")).status_code == 303
    assert len(await links(hub)) == 1


async def test_two_tabs_of_somebody_new_make_one_account(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    first, second = [(await go_and_return(browser, liar)).headers["Location"] for _ in range(2)]
    pages = [await browser.visit(path) for path in (first, second)]
    assert (await browser.send(pages[0], first, username="ann")).status_code == 303
    page = await browser.visit(second)
    answer = await browser.send(page, second, username="ann-2")
    assert answer.status_code == 409
    assert len(await links(hub)) == 1


async def test_57_a_slow_provider_is_a_clean_page_and_holds_no_connection(
    live: Hub, live_app: FastAPI, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    await offer(await admin_of(live), liar.issuer())
    browser = surfer_at(live)
    answer = liar.authorize(await leave(browser), ANN)
    asked, released = threading.Event(), threading.Event()

    def wait() -> Response:
        asked.set()
        released.wait(60)
        return JSONResponse({})

    liar.token = wait
    monkeypatch.setattr(live_app.state.settings, "provider_timeout", 1.5)
    coming = asyncio.create_task(come_back(browser, answer))
    await asyncio.to_thread(asked.wait, 60)
    assert live.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    page = await coming
    released.set()
    assert (page.status_code, "does not answer as it should" in page.text) == (502, True)
    assert await links(live) == []

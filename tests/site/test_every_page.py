"""One walk past every page of the hub, and a look at each: it fits and raises no barrier.

A page that is not on the walk fails it. `HUB_TEST_PICTURES` names a folder for pictures.
"""

import asyncio
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pyotp
from fastapi import FastAPI
from playwright.async_api import Browser, expect
from sqlalchemy import select, update
from sqlmodel import col

from backend_hub.auth.models import BrowserSession
from backend_hub.db import utcnow
from backend_hub.users.models import Role, User
from tests.hub import PASSWORD, Hub, Person
from tests.identity.doubles import Liar
from tests.identity.doubles import served as on_a_socket
from tests.identity.trips import ANN, offer
from tests.oauth.apps import App, register, verify
from tests.oauth.test_devices import ask
from tests.site.visits import Served
from tests.site.walks import PATIENCE, REFUSED, Walk, walking

LOGO = "https://planner.example.org/logo.svg"
PICTURE = {
    "content_type": "image/svg+xml",
    "body": '<svg xmlns="http://www.w3.org/2000/svg"><rect width="64" height="64"/></svg>',
}
APP: dict[str, Any] = {
    "name": "Study planner with a rather long name that has to wrap somewhere on a telephone",
    "type": "web",
    "redirect_uris": ["https://planner.example.org/a/rather/long/callback/that/has/to/wrap"],
    "scopes": ["openid", "profile", "posts:write", "questions:write"],
    "homepage_url": "https://planner.example.org/",
    "logo_url": LOGO,
}


async def test_every_page_fits_and_raises_no_barrier(
    browser: Browser, served: Served, app: FastAPI, axe: str
) -> None:
    hub = served.hub
    admin = await hub.person("keeper-of-pages", Role.admin)
    async with walking(browser, served, app, axe) as walk:
        await walk.page.route(LOGO, lambda route: route.fulfill(**PICTURE))
        await what_there_is_to_read(walk, served.paths)
        await strangers(walk)
        await joining(walk, "walker")
        await the_account(walk, hub, "walker")
        await second_factors(walk)
        await tokens_and_apps(walk)
        await consent(walk, await planner(hub, admin))
        liar = Liar()
        with on_a_socket(liar.app()) as liar.base:
            await offer(admin, liar.issuer(), "campus", name="Campus login")
            await another_provider(walk, liar)
        await leaving(walk, "walker")
        assert [c for c in walk.visit.complaints if not c.startswith(REFUSED)] == []
        assert walk.routes.keys() - walk.seen == set()


async def what_there_is_to_read(walk: Walk, paths: dict[str, str]) -> None:
    for name, path in paths.items():
        await walk.at(path, name, re.compile("."))
    await walk.at("/topics/none", "nothing", "There is nothing here", 404)


async def strangers(walk: Walk) -> None:
    """What somebody sees who is not signed in."""
    await walk.at("/sign-in?next=/account", "sign-in", "Sign in")
    await walk.fill(username="nobody", password="not my password at all")
    await walk.press("Sign in")
    await walk.look("sign-in-wrong", "Sign in")
    await walk.at("/sign-up", "sign-up", "Make an account")
    await walk.fill(username="a b", email="a@example.org", password="short")
    await walk.press("Make the account")
    await walk.look("sign-up-wrong", "Make an account")
    await walk.at("/sign-up/passkey", "sign-up-passkey", "Make an account with a passkey")
    await walk.at("/forgot", "forgot", "Forgot your password?")
    await walk.fill(email="walker@example.org")
    await walk.press("Send the mail")
    await walk.look("forgot-sent", "Look into your mail")
    dead = "This link does not work any more"
    await walk.at("/reset?token=none", "reset-dead", dead, 404)
    await walk.at("/verify?token=none", "verify-dead", dead, 404)
    await walk.at("/sign-out", "sign-out-nobody", "Sign out")
    await walk.at("/oauth/logout", "logout-nobody", "You are signed out")
    await walk.at(
        "/oauth/authorize?client_id=none", "bad-app", "This app did not ask correctly", 400
    )


async def joining(walk: Walk, username: str) -> None:
    """Signing up, the mail that follows, and the one of a forgotten password."""
    await walk.page.goto(f"{walk.visit.url}/sign-up?next=/account")
    await walk.fill(username=username, email=f"{username}@example.org", password=PASSWORD)
    await walk.press("Make the account")
    await walk.look("overview-unverified", "Your account")
    await walk.at("/account/sign-in", "email-unverified", "Email and password")
    await open_mail(walk, username, "Confirm", "mail-verify")
    await walk.look("verify", "Confirm your address")
    await walk.press("Yes, confirm it")
    await walk.look("verified", "Address confirmed")
    await sign_out(walk)
    await walk.page.goto(f"{walk.visit.url}/forgot")
    await walk.fill(email=f"{username}@example.org")
    await walk.press("Send the mail")
    await walk.look("forgot-known", "Look into your mail")  # another page would end the request
    await open_mail(walk, username, "password", "mail-reset")
    await walk.look("reset", "Choose a new password")
    await walk.fill(password="short")
    await walk.press("Set the password")
    await walk.look("reset-weak", "Choose a new password")
    await walk.fill(password=PASSWORD)
    await walk.press("Set the password")
    await walk.look("reset-done", "Your new password is set")
    await sign_in(walk, username, "/account")
    await walk.look("overview", "Your account")


async def open_mail(walk: Walk, username: str, subject: str, name: str) -> None:
    """The person's newest mail, once it is there; and where its link leads."""
    theirs = walk.page.locator(".list li").filter(has_text=f"to {username}@")
    newest = theirs.locator("a").first
    await walk.page.goto(f"{walk.visit.url}/dev/mail")
    async with asyncio.timeout(PATIENCE / 1000):
        while not await newest.count() or subject not in await newest.inner_text():
            await walk.page.reload()
    await walk.look(f"{name}-list", "Mails")
    await newest.click()
    await walk.look(name, re.compile(subject))
    await walk.page.locator(".mail a").first.click()


async def sign_in(walk: Walk, username: str, target: str) -> None:
    await walk.page.goto(f"{walk.visit.url}/sign-in?next={target}")
    await walk.fill(username=username, password=PASSWORD)
    await walk.press("Sign in")


async def sign_out(walk: Walk) -> None:
    await walk.at("/sign-out", "sign-out", "Sign out")
    await walk.press("Sign out of this browser")
    await walk.page.wait_for_url(f"{walk.visit.url}/")


async def the_account(walk: Walk, hub: Hub, username: str) -> None:
    """The pages of the account as they are at first; then those for an older sign-in."""
    await walk.at("/account/sign-in", "email", "Email and password")
    await walk.fill(email="no address@example.org")
    await walk.page.locator("form[action$=password] input[name=current]").fill("wrong")
    await walk.fill(password=PASSWORD)
    await walk.press("Change the password")
    await walk.look("email-wrong", "Email and password")
    for page, heading in (
        ("identities", "Other accounts"),
        ("sessions", "Sessions and apps"),
        ("tokens", "Tokens"),
        ("apps", "Apps you made"),
        ("data", "Your data"),
        ("security", "Security log"),
    ):
        await walk.at(f"/account/{page}", f"{page}-first", heading)
    async with hub.database.transaction() as session:
        mine = col(BrowserSession.user_id).in_(
            select(col(User.id)).where(col(User.username) == username)
        )
        long_ago = update(BrowserSession).where(mine)
        await session.execute(long_ago.values(created_at=utcnow() - timedelta(hours=1)))
    await walk.at("/account/sign-in", "email-later", "Email and password")
    await walk.at("/account/data", "data-later", "Your data")
    await walk.press("Sign in again to download", "link")
    await walk.look("sign-in-again", "Sign in")
    await walk.fill(password=PASSWORD)
    await walk.press("Sign in")
    await expect(walk.page.locator("h1")).to_have_text("Your data")


async def second_factors(walk: Walk) -> None:
    await walk.at("/account/factors", "factors-first", "Second factor and passkeys")
    await walk.fill(name="Blue key")
    await walk.press("Add a passkey")
    await expect(walk.page.locator(".title", has_text="Blue key")).to_be_visible()
    await walk.press("Set up an authenticator app")
    await walk.look("authenticator", "Set up an authenticator app")
    key = (await walk.page.locator(".key").inner_text()).replace(" ", "")
    await walk.fill(code="000000")
    await walk.press("Turn it on")
    await walk.look("authenticator-wrong", "Set up an authenticator app")
    await walk.fill(code=pyotp.TOTP(key).now())
    await walk.press("Turn it on")
    await walk.look("recovery-codes", "Your recovery codes")
    code = await walk.page.locator(".codes code").first.inner_text()
    await walk.press("I have kept them", "link")
    await walk.look("factors-on", "Second factor and passkeys")
    await sign_out(walk)
    await sign_in(walk, "walker", "/account/tokens/new")
    await walk.look("second-step", "One more step")
    await walk.fill(code="000000")
    await walk.press("Go on")
    await walk.look("second-step-wrong", "One more step")
    await walk.fill(code=code)
    await walk.press("Go on")


async def tokens_and_apps(walk: Walk) -> None:
    await walk.look("token-form", "Make a token")
    await walk.fill(name=" ")
    await walk.press("Make the token")
    await walk.look("token-form-wrong", "Make a token")
    await walk.fill(name="Nightly backup")
    await walk.page.get_by_label("Vote, comment and bookmark").check()
    await walk.press("Make the token")
    await walk.look("token", "Your new token")
    await walk.press("I have copied it", "link")
    await walk.look("tokens", "Tokens")
    await walk.at("/account/apps/new", "app-form", "Register an app")
    await walk.fill(name=APP["name"], redirect_uris="http://planner.example.org/#no")
    await walk.page.locator("#type").select_option("web")
    await walk.press("Register")
    await walk.look("app-form-wrong", "Register an app")
    await walk.fill(redirect_uris=APP["redirect_uris"][0], homepage_url=APP["homepage_url"])
    await walk.page.get_by_label("Vote, comment and bookmark").check()
    await walk.press("Register")
    await walk.look("app-secret", "The secret of your app")
    await walk.press("I have copied it", "link")
    await walk.look("app", APP["name"])
    await walk.at("/account/apps", "apps", "Apps you made")


async def planner(hub: Hub, owner: Person) -> App:
    """An app that the operators know."""
    app = await register(hub, owner, **APP)
    await verify(hub, app)
    return app


async def consent(walk: Walk, app: App) -> None:
    """In an app, on a device, and out again; then the account has something to show."""
    await walk.at(
        app.asks(scope="openid posts:write"), "consent", f"{APP['name']} asks to act for you"
    )
    await walk.page.route("https://planner.example.org/**", lambda route: route.fulfill(status=204))
    await walk.press("Allow")
    device = await register(
        app.hub,
        await app.hub.person("device-owner"),
        name="Terminal reader",
        type="native",
        redirect_uris=[],
    )
    asked = (await ask(device, scope="openid profile posts:write")).json()
    await walk.at("/device", "device", "Sign in on a device")
    await walk.fill(user_code="bbbb bbbb")
    await walk.press("Go on")
    await walk.look("device-unknown", "Sign in on a device")
    await walk.fill(user_code=asked["user_code"])
    await walk.press("Go on")
    await walk.look("device-consent", "Terminal reader on a device asks to act for you")
    await walk.press("Allow")
    await walk.look("device-done", "Terminal reader may act for you")
    await walk.at("/account/sessions", "sessions", "Sessions and apps")
    await walk.at("/account/security", "security", "Security log")
    out = f"/oauth/logout?client_id={app.id}"
    await walk.at(out, "logout", "Sign out")
    foreign = f"{out}&post_logout_redirect_uri=https://evil.example/"
    await walk.at(foreign, "logout-foreign", "Sign out", 400)


async def another_provider(walk: Walk, liar: Liar) -> None:
    """Leaving for a provider, and coming back as somebody the hub has never seen."""
    await walk.at("/account/identities", "identities", "Other accounts")
    await sign_out(walk)
    await walk.at("/sign-in?next=/account", "sign-in-with", "Sign in")
    await walk.page.route(f"{liar.base}/**", lambda route: route.fulfill(status=204))
    await walk.press("Go on with Campus login")
    await walk.look("leaving", "On to Campus login")
    url = await walk.page.locator("main a").get_attribute("href")
    back = urlencode(liar.authorize(url or "", ANN))
    callback = f"/sign-in/with/campus/callback?{back}"
    await walk.at(callback, "choose-name", "Choose your name")
    await walk.at(callback, "callback-twice", "That did not work", 400)


async def leaving(walk: Walk, username: str) -> None:
    await sign_in(walk, username, "/account/data/delete")
    await walk.press("Use a passkey")
    await walk.look("leave", "Delete your account")
    await walk.fill(username="somebody else")
    await walk.press("Delete my account")
    await walk.look("leave-wrong", "Delete your account")
    await walk.fill(username=username)
    await walk.press("Delete my account")
    await walk.look("gone", "Your account is deleted")

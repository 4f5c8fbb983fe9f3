"""What has expired is deleted, and nothing else."""

from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from backend_hub.app import purge
from backend_hub.auth.models import RefreshToken, TokenFamily
from backend_hub.oauth.models import AuthorizationCode, DeviceCode, PushedRequest, UserCodeGuesses
from tests.hub import Hub
from tests.oauth.apps import App, scene, works
from tests.oauth.browsing import Surfer
from tests.oauth.test_devices import WRONG, ask, decide, poll
from tests.oauth.test_pushed_requests import pushed
from tests.oauth.test_tokens import age

DAY = 86_400
TABLES = (DeviceCode, PushedRequest, UserCodeGuesses, AuthorizationCode)


async def counts(hub: Hub, *tables: Any) -> list[int]:
    async with hub.database.transaction() as session:
        found = [await session.execute(select(func.count()).select_from(t)) for t in tables]
    return [result.scalar_one() for result in found]


async def run_purge(hub: Hub) -> None:
    async with hub.database.transaction() as session:
        await purge(session)


async def use(app: App, browser: Surfer) -> dict[str, Any]:
    """A code that was used, one that was not, a pushed request, a wrong guess, a device."""
    tokens = await app.tokens(browser)
    await app.code(browser)
    await pushed(app)
    await browser.send(await browser.visit("/device"), "/device", user_code=WRONG)
    asked: dict[str, Any] = (await ask(app)).json()
    await decide(browser, asked["user_code"])
    return asked | {"tokens": tokens}


async def test_codes_requests_and_guesses_are_purged_when_they_expired(hub: Hub) -> None:
    app, browser, _ = await scene(hub, type="native")
    asked = await use(app, browser)
    await run_purge(hub)
    assert await counts(hub, *TABLES) == [1, 1, 2, 2]
    await age(hub, col(DeviceCode.expires_at), 601)
    await age(hub, col(PushedRequest.created_at), 1_900)
    await age(hub, col(UserCodeGuesses.began_at), 601)
    await age(hub, col(AuthorizationCode.created_at), DAY + 1)
    await run_purge(hub)
    assert await counts(hub, *TABLES) == [0, 0, 0, 0]
    assert await works(hub, asked["tokens"]["access_token"]), "its sign-in goes on"


async def test_a_sign_in_that_no_device_collected_ends_with_its_code(hub: Hub) -> None:
    app, browser, _ = await scene(hub, type="native")
    [before] = await counts(hub, TokenFamily)
    collected, left = (await ask(app)).json(), (await ask(app)).json()
    for asked in (collected, left):
        await decide(browser, asked["user_code"])
    tokens = (await poll(app, collected["device_code"])).json()
    assert await counts(hub, TokenFamily) == [before + 2]
    await age(hub, col(DeviceCode.expires_at), 601)
    await run_purge(hub)
    assert await counts(hub, TokenFamily, DeviceCode) == [before + 1, 0]
    assert await works(hub, tokens["access_token"])


async def test_expired_sign_ins_go_with_their_refresh_tokens(hub: Hub) -> None:
    """A day after their end; those that were revoked stay until then."""
    app, browser, ann = await scene(hub)
    tokens = await app.tokens(browser)
    for _ in range(2):
        tokens = (await app.refresh(tokens["refresh_token"])).json()
    await ann.post("/auth/sign-out")
    before = await counts(hub, TokenFamily, RefreshToken)
    await run_purge(hub)
    assert await counts(hub, TokenFamily, RefreshToken) == before
    await age(hub, col(TokenFamily.expires_at), 30 * DAY + 60)
    await run_purge(hub)
    assert await counts(hub, TokenFamily, RefreshToken) == before, "expired a minute ago"
    await age(hub, col(TokenFamily.expires_at), DAY)
    await run_purge(hub)
    assert await counts(hub, TokenFamily, RefreshToken) == [0, 0]
    assert not await works(hub, tokens["access_token"])

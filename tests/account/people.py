"""Somebody signed in to the API, and at a browser."""

from datetime import timedelta
from typing import Any

from sqlalchemy import update
from sqlmodel import col

from backend_hub.auth.models import BrowserSession, TokenFamily
from tests.hub import Hub, Person
from tests.oauth.browsing import Surfer, surfer_at

FORM: dict[str, Any] = {"name": "A program", "scopes": ["posts:write"], "expires_in_days": 30}


async def at_browser(hub: Hub, username: str, user_agent: str = "") -> Surfer:
    browser = surfer_at(hub)
    if user_agent:
        browser.client.headers["User-Agent"] = user_agent
    await browser.sign_in(username)
    return browser


async def make_token(person: Person, **fields: Any) -> tuple[dict[str, Any], Person]:
    """A personal access token, and the person who uses it."""
    made = await person.create("/users/me/tokens", {**FORM, **fields})
    headers = {"Authorization": f"Bearer {made['token']}"}
    return made, Person(person.client, person.username, person.id, headers=headers)


async def age_sign_ins(hub: Hub, by: timedelta) -> None:
    """As if everybody had signed in so long ago."""
    async with hub.database.transaction() as session:
        for model in (BrowserSession, TokenFamily):
            created: Any = col(model.created_at)
            await session.execute(update(model).values(created_at=created - by))

"""Apps that sign people in through the hub, as their developers write them."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from sqlalchemy import update
from sqlmodel import col

from backend_hub.oauth.models import OAuthClient
from tests.hub import Hub, Person
from tests.oauth.browsing import Surfer, parameters, surfer_at

CALLBACK = "https://app.example/callback"
SCOPES = ["openid", "profile", "email", "posts:write", "questions:write"]


@dataclass
class App:
    """A registered app, and the PKCE verifier of its request."""

    hub: Hub
    id: str
    secret: str | None
    redirect_uri: str = CALLBACK
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def asks(self, **changes: str | None) -> str:
        """The address that it sends people to; None leaves a parameter out."""
        query: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid posts:write",
            "state": "a b&c=%41+~",
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            **changes,
        }
        given = {name: value for name, value in query.items() if value is not None}
        return f"/oauth/authorize?{urlencode(given)}"

    async def token(self, **form: str) -> httpx.Response:
        """Ask at the token endpoint, as the client it is."""
        data = {"client_id": self.id, **form}
        if self.secret is not None:
            data.setdefault("client_secret", self.secret)
        data = {name: value for name, value in data.items() if value != "-"}
        return await self.hub.client.post("/oauth/token", data=data)

    async def redeem(self, code: str, **form: str) -> httpx.Response:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }
        return await self.token(**(fields | form))

    async def refresh(self, token: str, **form: str) -> httpx.Response:
        return await self.token(grant_type="refresh_token", refresh_token=token, **form)

    async def code(self, browser: Surfer, **changes: str | None) -> str:
        """A code: somebody signed in allows it."""
        return parameters(await allow(browser, self.asks(**changes)))["code"]

    async def tokens(self, browser: Surfer, **changes: str | None) -> dict[str, Any]:
        answer = await self.redeem(await self.code(browser, **changes))
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens


async def allow(browser: Surfer, address: str, decision: str = "allow") -> httpx.Response:
    """Visit the address and answer the question that it asks, if it asks."""
    page = await browser.visit(address)
    if page.status_code == 303:
        return page
    assert page.status_code == 200, page.text
    answer = await browser.send(page, "/oauth/consent", decision=decision)
    assert answer.status_code == 303, answer.text
    return answer


async def register(hub: Hub, owner: Person, **form: Any) -> App:
    fields = {"name": "Planner", "type": "spa", "redirect_uris": [CALLBACK], "scopes": SCOPES}
    made = await owner.create("/oauth/clients", fields | form)
    uris = made["redirect_uris"]
    return App(hub, made["id"], made["client_secret"], uris[0] if uris else "")


async def verify(hub: Hub, app: App) -> None:
    """An admin looked at it."""
    async with hub.database.transaction() as session:
        known = update(OAuthClient).where(col(OAuthClient.id) == app.id)
        await session.execute(known.values(verified=True))


async def scene(hub: Hub, **form: Any) -> tuple[App, Surfer, Person]:
    """An app of Olga's, and Ann, who is signed in to the hub in her browser."""
    app = await register(hub, await hub.person("olga"), **form)
    ann = await hub.person("ann")
    browser = surfer_at(hub)
    await browser.sign_in("ann")
    return app, browser, ann


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def works(hub: Hub, access_token: str) -> bool:
    answer = await hub.visitor.get("/users/me", headers=bearer(access_token))
    assert answer.status_code in {200, 401}
    return answer.status_code == 200

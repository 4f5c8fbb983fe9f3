"""A browser that walks past pages and looks at each: it fits and raises no barrier."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from playwright.async_api import Browser, Page, expect
from starlette.routing import compile_path

from tests.site.visits import Served, Visit, visiting

VIEWS: tuple[tuple[int, Literal["light", "dark"]], ...] = ((390, "dark"), (1280, "light"))
"""Both widths and both colour schemes: no colour depends on the width."""
REFUSED = "Failed to load resource: the server responded with a status of 4"
"""What Chromium says of a page that tells of a refusal."""
PICTURES = os.environ.get("HUB_TEST_PICTURES", "")
NO_PAGES = {
    "/docs": "Swagger UI's own",
    "/docs/oauth2-redirect": "closes itself",
    "/redoc": "ReDoc's own",
    "/.well-known/oauth-authorization-server": "for programs",
    "/.well-known/openid-configuration": "for programs",
    "/oauth/register/{client_id}": "for programs",
    "/oauth/userinfo": "for programs",
    "/openapi.json": "for programs",
    "/robots.txt": "for programs",
    "/sign-in/with/{slug}/callback": "redirects; its refusals are looked at",
}
"""What the app answers a GET with, beside pages."""
PATIENCE = 30_000
"""Milliseconds that a page may take on a busy machine."""


def page_routes(app: FastAPI) -> dict[str, re.Pattern[str]]:
    """The paths of all pages, and what finds them in an address; fixed ones first."""
    paths = {
        str(context.path)
        for context in iter_route_contexts(app.routes)
        if "GET" in (context.methods or ())
        and not getattr(context, "include_in_schema", True)
        and context.path not in NO_PAGES
    }
    return {path: compile_path(path)[0] for path in sorted(paths, key=lambda path: "{" in path)}


@dataclass
class Walk:
    """A browser that looks at pages, and what it saw."""

    visit: Visit
    axe: str
    routes: dict[str, re.Pattern[str]]
    seen: set[str] = field(default_factory=set)
    looks: int = 0

    @property
    def page(self) -> Page:
        return self.visit.page

    async def look(self, name: str, heading: str | re.Pattern[str]) -> None:
        """At the page as it is, in the state `name`."""
        await expect(self.page.locator("h1")).to_have_text(heading)
        path = urlsplit(self.page.url).path
        self.seen |= {next((known for known, at in self.routes.items() if at.match(path)), path)}
        self.looks += 1
        for width, scheme in VIEWS:
            await self.page.set_viewport_size({"width": width, "height": 900})
            await self.page.emulate_media(color_scheme=scheme)
            where = f"{self.looks:02}-{name}-{width}-{scheme}"
            if PICTURES:
                await self.page.screenshot(path=Path(PICTURES) / f"{where}.png", full_page=True)
            wide = await self.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, where
            assert await self._barriers() == [], where

    async def _barriers(self) -> list[Any]:
        if not await self.page.evaluate("typeof axe === 'object'"):
            await self.page.evaluate(self.axe)
        found = await self.page.evaluate("axe.run({resultTypes: ['violations']})")
        assert len(found["passes"]) > 10
        return [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]]

    async def at(
        self, path: str, name: str, heading: str | re.Pattern[str], status: int = 200
    ) -> None:
        """Go there and look."""
        answer = await self.page.goto(self.visit.url + path)
        assert answer is not None
        assert (answer.status, "html" in answer.headers["content-type"]) == (status, True), path
        await self.look(name, heading)

    async def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            await self.page.locator(f"#{name}").fill(value)

    async def press(self, name: str, role: Any = "button") -> None:
        await self.page.get_by_role(role, name=name, exact=True).click()
        await self.page.wait_for_load_state()


@asynccontextmanager
async def walking(browser: Browser, served: Served, app: FastAPI, axe: str) -> AsyncIterator[Walk]:
    """At a device with a passkey dialog, whose owner has no passkey yet."""
    async with visiting(browser, served) as visit:
        visit.page.set_default_timeout(PATIENCE)
        await visit.page.add_init_script(
            "delete globalThis.PublicKeyCredential?.isConditionalMediationAvailable"
        )
        cdp = await visit.page.context.new_cdp_session(visit.page)
        await cdp.send("WebAuthn.enable")
        device = {"protocol": "ctap2", "transport": "usb", "hasResidentKey": True}
        device |= {"hasUserVerification": True, "isUserVerified": True}
        await cdp.send("WebAuthn.addVirtualAuthenticator", {"options": device})
        yield Walk(visit, axe, page_routes(app))

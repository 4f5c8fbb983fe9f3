"""How a browser visits the hub, and what it complains about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Page

from tests.hub import Hub


@dataclass
class Served:
    """The hub that the browser visits, and the paths of what is in it."""

    url: str
    hub: Hub
    paths: dict[str, str]


@dataclass
class Visit:
    """A page, and what went wrong on it."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    async def go(self, path: str) -> None:
        await self.page.goto(self.url + path)

    def went_well(self) -> None:
        """No error on the console (a breach of the policy is one), and no other site asked."""
        assert self.elsewhere == []
        assert self.complaints == []


@asynccontextmanager
async def visiting(browser: Browser, served: Served, **options: Any) -> AsyncIterator[Visit]:
    """A fresh browser profile at the hub; the options are those of Playwright's new_context."""
    context = await browser.new_context(**options)
    visit = Visit(await context.new_page(), served.url)

    def note_request(url: str) -> None:
        if not url.startswith((f"{served.url}/", "data:", "blob:")):
            visit.elsewhere.append(url)

    visit.page.on("request", lambda request: note_request(request.url))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on(
        "console",
        lambda message: (
            visit.complaints.append(message.text) if message.type in {"error", "warning"} else None
        ),
    )
    try:
        yield visit
    finally:
        await context.close()

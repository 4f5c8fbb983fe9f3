"""A browser without a screen: it keeps cookies, reads forms and sends them."""

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.hub import PASSWORD, Hub

_INPUT = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@dataclass
class Surfer:
    """Somebody at a browser of their own."""

    client: httpx.AsyncClient
    headers: dict[str, str] = field(default_factory=lambda: {"Sec-Fetch-Site": "same-origin"})

    async def visit(self, path: str, **kwargs: Any) -> httpx.Response:
        return await self.client.get(path, **kwargs)

    async def send(
        self,
        page: httpx.Response,
        path: str,
        headers: dict[str, str] | None = None,
        /,
        **fields: str,
    ) -> httpx.Response:
        """Send the form of a page."""
        data = hidden_fields(page) | fields
        return await self.client.post(path, data=data, headers=headers or self.headers)

    async def sign_in(self, username: str, target: str = "/") -> httpx.Response:
        page = await self.visit("/sign-in", params={"next": target})
        return await self.send(page, "/sign-in", username=username, password=PASSWORD)


def hidden_fields(page: httpx.Response) -> dict[str, str]:
    return {name: unescape(value) for name, value in _INPUT.findall(page.text)}


def surfer_at(hub: Hub) -> Surfer:
    """A fresh browser profile at the same hub."""
    transport = hub.client._transport
    return Surfer(httpx.AsyncClient(transport=transport, base_url="http://testserver"))


def parameters(response: httpx.Response) -> dict[str, str]:
    """The query of a redirect."""
    query = parse_qs(urlsplit(response.headers["Location"]).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in query.values())
    return {name: values[0] for name, values in query.items()}

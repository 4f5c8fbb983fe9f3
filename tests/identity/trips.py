"""How people go to a provider and come back, without a screen."""

from typing import Any

import httpx

from backend_hub.users.models import Role
from tests.hub import Hub, Person
from tests.identity.doubles import CLIENT_ID, CLIENT_SECRET, Liar
from tests.oauth.browsing import Surfer

ANN: dict[str, Any] = {
    "sub": "4711",
    "name": "Ann Other",
    "preferred_username": "ann",
    "email": "ann@example.org",
    "email_verified": True,
}


async def admin_of(hub: Hub) -> Person:
    return await hub.person("the-admin", Role.admin)


async def offer(admin: Person, issuer: str, slug: str = "liar", **form: Any) -> dict[str, Any]:
    """An admin adds a provider while the hub runs."""
    fields = {
        "slug": slug,
        "name": slug.title(),
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "trusts_email": True,
    }
    return await admin.create("/identity-providers", fields | form)


async def leave(browser: Surfer, slug: str = "liar", target: str = "/") -> str:
    """Press the button; the address at the provider."""
    page = await browser.visit("/sign-in", params={"next": target})
    assert f'formaction="/sign-in/with/{slug}"' in page.text
    return address_of(await browser.send(page, f"/sign-in/with/{slug}", next=target))


def address_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.headers["Refresh"].partition("url=")[2]


async def come_back(browser: Surfer, answer: dict[str, str], slug: str = "liar") -> httpx.Response:
    return await browser.visit(f"/sign-in/with/{slug}/callback", params=answer)


async def go_and_return(
    browser: Surfer, liar: Liar, slug: str = "liar", target: str = "/", **person: Any
) -> httpx.Response:
    """The whole trip of somebody whom the liar knows."""
    url = await leave(browser, slug, target)
    return await come_back(browser, liar.authorize(url, ANN | person), slug)


async def join(
    browser: Surfer, liar: Liar, username: str = "", slug: str = "liar", **person: Any
) -> httpx.Response:
    """The whole trip of somebody who is new here, with a name of their choice."""
    answer = await go_and_return(browser, liar, slug, **person)
    assert answer.status_code == 303, answer.text
    path = answer.headers["Location"]
    assert path.startswith("/sign-up/with/")
    page = await browser.visit(path)
    return await browser.send(page, path, username=username or "ann")


async def who(browser: Surfer) -> str | None:
    """The account that this browser is signed in to."""
    page = await browser.visit("/account")
    if page.status_code == 303:
        return None
    return page.text.partition("<dt>Name</dt><dd>")[2].partition("<")[0]

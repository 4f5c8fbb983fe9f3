"""Which pages may read the hub's answers. Numbers are those of the promises in docs/identity.md."""

from typing import Any

import pytest
from fastapi import FastAPI

from backend_hub.app import create_app, lifespan
from backend_hub.http.cors import origin_of
from backend_hub.settings import Settings
from tests.conftest import http_client
from tests.hub import Hub, Person
from tests.oauth.apps import SCOPES, App, register, scene, verify

ALLOWED = "Access-Control-Allow-Origin"


async def allowed(hub: Hub, origin: str, path: str = "/api/v1/topics", method: str = "GET") -> Any:
    """What a page of the origin is told; a POST is asked for beforehand."""
    headers = {"Origin": origin}
    if method == "POST":
        headers["Access-Control-Request-Method"] = "POST"
        headers["Access-Control-Request-Headers"] = "authorization, dpop"
        method = "OPTIONS"
    answer = await hub.client.request(method, path, headers=headers)
    assert "Access-Control-Allow-Credentials" not in answer.headers
    return answer.headers.get(ALLOWED)


def look_again(*apps: FastAPI) -> None:
    """As if the seconds had passed after which origins are looked up again."""
    for app in apps:
        app.state.origins.looked = float("-inf")


async def spa(hub: Hub, owner: str, origin: str) -> App:
    return await register(hub, await hub.person(owner), redirect_uris=[f"{origin}/callback"])


async def test_69_cors_is_for_registered_origins_only(hub: Hub, app: FastAPI) -> None:
    origin, other = "https://registered.example", "https://other.example"
    look_again(app)
    assert await allowed(hub, origin) is None
    await spa(hub, "olga", origin)
    look_again(app)
    for path in ("/api/v1/topics", "/oauth/userinfo"):
        assert await allowed(hub, origin, path) == origin
        assert await allowed(hub, other, path) is None
    for path in ("/api/v1/questions", "/oauth/token", "/oauth/revoke"):
        assert await allowed(hub, origin, path, "POST") == origin
        assert await allowed(hub, other, path, "POST") is None
    for near in (f"{origin}:8443", "http://registered.example", f"{origin}.evil.example", "null"):
        assert await allowed(hub, near) is None


async def test_69_metadata_and_keys_are_for_every_page(hub: Hub) -> None:
    for name in ("openid-configuration", "oauth-authorization-server", "jwks.json"):
        assert await allowed(hub, "https://anybody.example", f"/.well-known/{name}") == "*"


@pytest.mark.parametrize("path", ["/", "/sign-in", "/oauth/authorize", "/oauth/consent", "/docs"])
async def test_69_pages_and_what_goes_by_cookie_are_for_no_other_page(
    hub: Hub, app: FastAPI, path: str
) -> None:
    origin = "https://registered.example"
    await spa(hub, "olga", origin)
    look_again(app)
    assert await allowed(hub, origin) == origin
    assert await allowed(hub, origin, path) is None
    assert await allowed(hub, origin, path, "POST") is None


async def test_69_every_worker_takes_up_a_new_app_and_lets_go_of_a_removed_one(
    live: Hub, live_app: FastAPI, settings: Settings, database_url: str
) -> None:
    second = create_app(settings.model_copy(update={"database_url": database_url}))
    origin = "https://several-workers.example"
    async with lifespan(second), http_client(second) as client:
        workers = [live, Hub(client, second.state.database)]
        look_again(live_app, second)
        assert [await allowed(hub, origin) for hub in workers] == [None, None]
        app = await spa(live, "olga", origin)
        look_again(live_app, second)
        assert [await allowed(hub, origin) for hub in workers] == [origin, origin]
        await (await live.sign_in("olga")).delete(f"/oauth/clients/{app.id}")
        look_again(live_app, second)
        assert [await allowed(hub, origin) for hub in workers] == [None, None]


async def test_unknown_origins_do_not_ask_the_database_each_time(hub: Hub, app: FastAPI) -> None:
    asked, read = 0, app.state.origins.read

    async def count(database: Any) -> frozenset[str]:
        nonlocal asked
        asked += 1
        found: frozenset[str] = await read(database)
        return found

    look_again(app)
    app.state.origins.read = count
    try:
        for number in range(20):
            await allowed(hub, f"https://invented-{number}.example")
    finally:
        app.state.origins.read = read
    assert asked == 1


async def test_origins_follow_the_redirect_uris_of_an_spa_until_it_names_its_own(hub: Hub) -> None:
    olga = await hub.person("olga")
    uris = ["https://a.example/cb", "https://a.example/two", "http://localhost:5173/cb"]
    made = await olga.create("/oauth/clients", _form(redirect_uris=uris))
    assert made["allowed_origins"] == ["https://a.example", "http://localhost:5173"]
    path = f"/oauth/clients/{made['id']}"
    moved = await olga.patch(path, {"redirect_uris": ["https://b.example:8443/cb"]})
    assert moved.json()["allowed_origins"] == ["https://b.example:8443"]
    named = await olga.patch(path, {"allowed_origins": ["https://c.example"]})
    assert named.json()["allowed_origins"] == ["https://c.example"]
    moved = await olga.patch(path, {"redirect_uris": ["https://a.example/cb"]})
    assert moved.json()["allowed_origins"] == ["https://c.example"]
    web = await olga.create("/oauth/clients", _form(type="web", redirect_uris=uris))
    assert web["allowed_origins"] == []


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://a.example", 201),
        ("https://a.example:8443", 201),
        ("http://localhost:5173", 201),
        ("http://[::1]:5173", 201),
        ("https://a.example/", 422),
        ("https://a.example:443", 422),
        ("https://A.example", 422),
        ("https://*.example", 422),
        ("https://ann@a.example", 422),
        ("http://a.example", 422),
        ("a.example", 422),
        ("null", 422),
        ("*", 422),
        ("https://a.example,https://b.example", 422),
        ("com.example.app:", 422),
    ],
)
async def test_an_origin_is_named_as_browsers_send_it(hub: Hub, origin: str, status: int) -> None:
    olga = await hub.person("olga")
    answer = await olga.post("/oauth/clients", _form(allowed_origins=[origin]))
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://A.example:443/x?y", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://[::1]:3000/", "http://[::1]:3000"),
        ("https://ann@a.example/", "https://a.example"),
        ("https://a.example:", "https://a.example"),
        ("https://a.example:x/", None),
        ("https:///x", None),
        ("com.example.app:/cb", None),
        ("https://a.example:99999/", None),
    ],
)
def test_the_origin_of_a_url(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin


LOGO = "https://cdn.example/logo.svg"


async def test_a_logo_is_shown_once_an_admin_verified_the_app(hub: Hub) -> None:
    """And from its own origin only; unverified apps could look like any other with it."""
    app, browser, _ = await scene(hub, logo_url=LOGO)
    for verified in (False, True):
        page = await browser.visit(app.asks(prompt="consent"))
        policy = page.headers["Content-Security-Policy"]
        assert (LOGO in page.text) == verified
        assert ("img-src 'self' data: https://cdn.example;" in policy) == verified
        await verify(hub, app)
    olga: Person = await hub.sign_in("olga")
    path = f"/oauth/clients/{app.id}"
    changed = await olga.patch(path, {"logo_url": "https://cdn.example/another.svg"})
    assert changed.json()["verified"] is False
    assert "https://cdn.example" not in (await browser.visit(app.asks())).text


@pytest.mark.parametrize(
    "logo",
    [
        *("http://cdn.example/logo.svg", "javascript:alert(1)", "data:image/svg+xml,x"),
        *("https://cdn.example; script-src *", "https://ann@cdn.example/x", "https://cdn.example"),
    ],
)
async def test_a_logo_is_an_https_url(hub: Hub, logo: str) -> None:
    olga = await hub.person("olga")
    assert (await olga.post("/oauth/clients", _form(logo_url=logo))).status_code == 422
    assert (await olga.post("/oauth/clients", _form(logo_url=LOGO))).status_code == 201


def _form(**changes: Any) -> dict[str, Any]:
    uris = ["https://a.example/cb"]
    return {"name": "A", "type": "spa", "redirect_uris": uris, "scopes": SCOPES} | changes

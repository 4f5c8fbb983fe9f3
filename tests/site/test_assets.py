"""The files of the pages, and the policies (CSP) that pages are under."""

import base64
import hashlib
import re

import pytest

from backend_hub.site.assets import REDOC_LOGO, VENDOR, release
from tests.hub import Hub

PAGES = ["/", "/docs", "/redoc", "/docs/oauth2-redirect", "/robots.txt"]


def directives(policy: str) -> dict[str, list[str]]:
    parts = (part.split() for part in policy.split(";"))
    return {name: values for name, *values in parts}


@pytest.mark.parametrize("path", PAGES)
async def test_no_policy_lets_a_script_stand_in_a_page_or_come_from_elsewhere(
    hub: Hub, path: str
) -> None:
    policy = directives((await hub.client.get(path)).headers["content-security-policy"])
    assert policy["default-src"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'none'"]
    scripts = policy.get("script-src", [])
    assert all(source == "'self'" or source.startswith("'sha256-") for source in scripts)
    sources = {source for values in policy.values() for source in values}
    assert not [source for source in sources if "*" in source or "://" in source]
    assert "'unsafe-eval'" not in sources


async def test_pages_for_readers_are_under_the_strictest_policy(hub: Hub) -> None:
    missing = await hub.client.get("/nowhere", headers={"Accept": "text/html"})
    for response in (await hub.client.get("/"), missing):
        policy = directives(response.headers["content-security-policy"])
        assert policy["style-src"] == ["'self'"]
        assert "script-src" not in policy
        assert "<script" not in response.text
        assert " style=" not in response.text


async def test_the_sign_in_page_of_swagger_ui_runs_its_one_script_by_its_hash(hub: Hub) -> None:
    response = await hub.client.get("/docs/oauth2-redirect")
    [script] = re.findall(r"<script[^>]*>(.*?)</script>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = directives(response.headers["content-security-policy"])
    assert policy["script-src"] == [f"'sha256-{digest}'"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_scripts_of_the_reference_are_files_of_this_origin(hub: Hub, path: str) -> None:
    html = (await hub.client.get(path)).text
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL)
    assert scripts
    for attributes, body in scripts:
        assert attributes.startswith(' src="/static/')
        assert body == ""


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc"])
async def test_every_file_of_a_page_is_there_and_may_be_kept_for_a_year(
    hub: Hub, path: str
) -> None:
    html = (await hub.client.get(path)).text
    urls = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html))
    assert len(urls) >= 2
    for url in urls:
        response = await hub.client.get(url)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("site.css", "text/css"),
        ("favicon.svg", "image/svg+xml"),
        ("swagger.js", "text/javascript"),
        ("redoc.js", "text/javascript"),
        ("vendor/swagger-ui.css", "text/css"),
        ("vendor/swagger-ui-bundle.js", "text/javascript"),
        ("vendor/redoc.standalone.js", "text/javascript"),
    ],
)
async def test_a_file_has_its_type_and_a_tag(hub: Hub, path: str, media_type: str) -> None:
    response = await hub.client.get(f"/static/{path}")
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == media_type
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-cache"
    tag = {"If-None-Match": response.headers["etag"]}
    assert (await hub.client.get(f"/static/{path}", headers=tag)).status_code == 304
    other = await hub.client.get(f"/static/{path}", params={"v": "other"})
    assert other.headers["cache-control"] == "no-cache"
    assert len(release()) == 12


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/vendor/",
        "/static/../router.py",
        "/static/..%2frouter.py",
        "/static/%2e%2e/router.py",
        "/static/....//router.py",
        "/static/..%5crouter.py",
        "/static/%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/static/vendor/..%2fcore.py",
        "/static/vendor/%2e%2e%2f__init__.py",
        "/static/site.css%00.js",
    ],
)
async def test_nothing_outside_the_folder_is_served(hub: Hub, path: str) -> None:
    response = await hub.client.get(path)
    assert response.status_code == 404, response.text
    assert (await hub.client.get("/static/site.css")).status_code == 200


async def test_redoc_asks_nobody_for_its_logo(hub: Hub) -> None:
    assert REDOC_LOGO in (VENDOR / "redoc.standalone.js").read_text()
    served = (await hub.client.get("/static/vendor/redoc.standalone.js")).text
    assert "redoc.ly/" not in served
    assert "fonts.googleapis" not in served


async def test_swagger_ui_tells_no_validator_about_the_document(hub: Hub) -> None:
    assert "validatorUrl: null" in (await hub.client.get("/static/swagger.js")).text


async def test_robots_may_read_pages_and_not_the_api(hub: Hub) -> None:
    response = await hub.client.get("/robots.txt")
    assert response.headers["content-type"].startswith("text/plain")
    assert "Disallow: /api/" in response.text
    assert "Disallow: /\n" not in response.text

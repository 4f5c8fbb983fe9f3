"""The mails of a development hub, as a page."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from backend_hub.app import create_app
from backend_hub.mail.delivery import deliver_due
from backend_hub.settings import Settings
from tests.conftest import http_client
from tests.hub import Hub


@pytest.fixture
def local(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"data_dir": tmp_path})


@pytest.fixture
def local_app(app: FastAPI, local: Settings, test_database: Any) -> FastAPI:
    other = create_app(local, test_database)
    other.state.tokens = app.state.tokens
    return other


async def test_a_mail_is_listed_and_shown_with_its_link(
    hub: Hub, local: Settings, local_app: FastAPI
) -> None:
    async with http_client(local_app) as client:
        assert "None yet" in (await client.get("/dev/mail")).text
        await hub.person("ann")
        assert await deliver_due(hub.database, local) == 1
        listed = (await client.get("/dev/mail")).text
        assert "ann@example.org" in listed
        path = "/dev/mail/" + listed.partition('href="/dev/mail/')[2].partition('"')[0]
        shown = await client.get(path)
        assert shown.status_code == 200
        assert '<a href="http://testserver/verify?token=' in shown.text
        assert shown.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/dev/mail/01990000-0000-7000-8000-000000000001",
        "/dev/mail/..%2f..%2fsecret",
        "/dev/mail/nothing",
    ],
)
async def test_what_is_no_mail_is_not_there(hub: Hub, local_app: FastAPI, path: str) -> None:
    async with http_client(local_app) as client:
        assert (await client.get(path, headers={"Accept": "text/html"})).status_code == 404


async def test_another_sites_script_does_not_read_mails(hub: Hub, local_app: FastAPI) -> None:
    async with http_client(local_app) as client:
        foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
        assert (await client.get("/dev/mail", headers=foreign)).status_code == 404
        clicked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert (await client.get("/dev/mail", headers=clicked)).status_code == 200


async def test_a_real_hub_has_no_such_page(hub: Hub, local: Settings, local_app: FastAPI) -> None:
    local_app.state.settings = local.model_copy(update={"environment": "production"})
    async with http_client(local_app) as client:
        assert (await client.get("/dev/mail")).status_code == 404

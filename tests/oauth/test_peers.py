"""Clients that other people wrote sign in through the hub, with their own defaults."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE
from authlib.oidc.discovery import OpenIDProviderMetadata
from requests_oauthlib import OAuth2Session

from tests.hub import PASSWORD, Hub
from tests.oauth.apps import CALLBACK, allow, register, scene
from tests.oauth.browsing import Surfer
from tests.oauth.test_devices import ask, decide
from tests.oauth.test_pushed_requests import pushed

HERE = Path(__file__).parent / "peers"
GOODBYE = "https://app.example/bye"


async def test_the_metadata_is_what_the_standards_say(hub: Hub) -> None:
    """RFC 8414 and OpenID Connect Discovery, by Authlib's reading of them.

    Authlib wants https; the names are those of a development hub otherwise.
    """
    for path, reading in (
        ("/.well-known/oauth-authorization-server", AuthorizationServerMetadata),
        ("/.well-known/openid-configuration", OpenIDProviderMetadata),
    ):
        answer = await hub.client.get(path)
        assert "public" in answer.headers["Cache-Control"]
        text = answer.text.replace("http://testserver", "https://testserver")
        reading(json.loads(text)).validate()


@pytest.mark.parametrize("client_type", ["spa", "web"])
async def test_authlibs_client(hub: Hub, client_type: str) -> None:
    app, browser, _ = await scene(hub, type=client_type)
    metadata = (await hub.client.get("/.well-known/openid-configuration")).json()
    options: dict[str, Any] = {} if app.secret else {"token_endpoint_auth_method": "none"}
    async with AsyncOAuth2Client(
        app.id,
        app.secret,
        scope="openid profile",
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        transport=hub.client._transport,
        **options,
    ) as client:
        address, state = client.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier=app.verifier
        )
        answer = await allow(browser, address)
        token = await client.fetch_token(
            metadata["token_endpoint"],
            authorization_response=answer.headers["Location"],
            code_verifier=app.verifier,
            state=state,
        )
        told = await client.get(metadata["userinfo_endpoint"])
        assert told.json()["preferred_username"] == "ann"
        renewed = await client.refresh_token(metadata["token_endpoint"])
        assert renewed["refresh_token"] != token["refresh_token"]
        gone = await client.revoke_token(
            metadata["revocation_endpoint"], token=renewed["refresh_token"]
        )
        assert gone.status_code == 200
        assert (await client.get(metadata["userinfo_endpoint"])).status_code == 401


async def test_authlibs_client_on_a_device_and_with_a_pushed_request(hub: Hub) -> None:
    """It redeems the codes of both; the first step of either is not its own."""
    app, browser, _ = await scene(hub, type="native")
    metadata = (await hub.client.get("/.well-known/openid-configuration")).json()
    options: dict[str, Any] = {"token_endpoint_auth_method": "none"}
    transport = hub.client._transport
    async with AsyncOAuth2Client(
        app.id, redirect_uri=CALLBACK, transport=transport, **options
    ) as client:
        asked = (await ask(app, scope="openid profile")).json()
        await decide(browser, asked["user_code"])
        await client.fetch_token(
            metadata["token_endpoint"],
            grant_type=DEVICE_CODE_GRANT_TYPE,
            device_code=asked["device_code"],
        )
        told = await client.get(metadata["userinfo_endpoint"])
        assert told.json()["preferred_username"] == "ann"
        answer = await allow(browser, await pushed(app))
        token = await client.fetch_token(
            metadata["token_endpoint"],
            authorization_response=answer.headers["Location"],
            code_verifier=app.verifier,
        )
        assert token["scope"] == "openid posts:write"


async def test_authlibs_machine(hub: Hub) -> None:
    olga = await hub.person("olga")
    app = await register(hub, olga, type="machine", redirect_uris=[], scopes=["posts:write"])
    transport = hub.client._transport
    async with AsyncOAuth2Client(app.id, app.secret, transport=transport) as client:
        await client.fetch_token("http://testserver/oauth/token")
        me = await client.get("http://testserver/api/v1/users/me")
        assert me.json()["username"] == "olga"


@pytest.fixture
async def visitor(served_hub: Hub) -> AsyncIterator[Surfer]:
    """A browser at the started hub."""
    async with httpx.AsyncClient(base_url=served_hub.client.base_url, timeout=30) as client:
        yield Surfer(client)


async def test_requests_oauthlib(
    served_hub: Hub, visitor: Surfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses http unless told so, as a development hub is reached."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    base = str(served_hub.client.base_url).rstrip("/")
    app = await register(served_hub, await served_hub.person("rita"), type="web")
    await served_hub.person("rob")
    await visitor.sign_in("rob")
    scopes = ["openid", "profile"]
    client = OAuth2Session(app.id, scope=scopes, redirect_uri=CALLBACK, pkce="S256")
    address, _state = client.authorization_url(f"{base}/oauth/authorize")
    answer = await allow(visitor, address)
    token = await asyncio.to_thread(
        client.fetch_token,
        f"{base}/oauth/token",
        authorization_response=answer.headers["Location"],
        client_secret=app.secret,
    )
    assert set(token["scope"]) == set(scopes)
    told = await asyncio.to_thread(client.get, f"{base}/oauth/userinfo")
    assert told.json()["preferred_username"] == "rob"
    client.close()


SCRIPTS = ["oauth4webapi", "openid-client", "oauth4webapi-dpop", "openid-client-dpop"]


@pytest.mark.parametrize("name", SCRIPTS)
async def test_npm_clients(served_hub: Hub, peers: Path, name: str) -> None:
    """They discover, ask, redeem, check the ID token, read userinfo, refresh and revoke."""
    await run_script(served_hub, peers, f"{name}.mjs")


async def test_openid_client_pushes_runs_on_a_device_and_signs_out(
    served_hub: Hub, peers: Path
) -> None:
    uris = {"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [GOODBYE]}
    await run_script(served_hub, peers, "flows.mjs", type="native", **uris)


async def run_script(hub: Hub, peers: Path, script: str, **form: Any) -> None:
    """Node.js runs it for an app of that form; it ends by printing who signed in."""
    for file in (script, "browser.mjs"):
        shutil.copy(HERE / file, peers / file)
    name = script.partition(".")[0]
    app = await register(hub, await hub.person(f"owner-of-{name}"), **form)
    await hub.person(f"user-{name}")
    environment = os.environ | {
        "HUB": str(hub.client.base_url).rstrip("/"),
        "CLIENT_ID": app.id,
        "CALLBACK": CALLBACK,
        "GOODBYE": GOODBYE,
        "USERNAME": f"user-{name}",
        "PASSWORD": PASSWORD,
    }
    node = await asyncio.create_subprocess_exec(
        "node",
        script,
        cwd=peers,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(node.communicate(), 60)
    assert node.returncode == 0, output.decode()
    assert output.decode().strip().endswith(f"user-{name}")

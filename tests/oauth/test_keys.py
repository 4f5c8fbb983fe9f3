"""Rotating the signing keys. Numbers are those of the promises in docs/identity.md."""

import time
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from jose import jwt

from backend_hub.auth.keys import list_keys, retire_key, rotate_key
from backend_hub.auth.tokens import TokenService
from backend_hub.errors import Conflict, NotFound
from tests.conftest import SECRET
from tests.hub import Hub
from tests.oauth.apps import scene, works


@pytest.fixture
async def tokens(app: FastAPI) -> AsyncIterator[TokenService]:
    """The service of this process, which has the ring of before again after the test."""
    service: TokenService = app.state.tokens
    ring = service.keys
    yield service
    service.replace_keys(ring)


async def test_38_rotation_signs_nobody_out_and_a_retired_key_fails(
    hub: Hub, tokens: TokenService
) -> None:
    app, browser, ann = await scene(hub)
    before = tokens.keys.signing_kid
    async with hub.database.transaction() as session:
        new = (await rotate_key(session, SECRET)).kid
    tokens.keys_read -= 61
    published = (await hub.client.get("/.well-known/jwks.json")).json()["keys"]
    assert {key["kid"] for key in published} == {before, new}
    later = await app.tokens(browser)
    assert jwt.get_unverified_header(later["access_token"])["kid"] == new
    assert jwt.get_unverified_header(later["id_token"])["kid"] == new
    assert await works(hub, ann.access_token)
    assert await works(hub, later["access_token"])
    async with hub.database.transaction() as session:
        await retire_key(session, before)
    tokens.keys_read -= 61
    assert not await works(hub, ann.access_token)
    assert await works(hub, later["access_token"])
    published = (await hub.client.get("/.well-known/jwks.json")).json()["keys"]
    assert [key["kid"] for key in published] == [new]


async def test_38_a_worker_looks_for_a_key_it_does_not_know_but_not_each_time(
    hub: Hub, tokens: TokenService
) -> None:
    ann = await hub.person("ann")
    old_ring = tokens.keys
    async with hub.database.transaction() as session:
        await rotate_key(session, SECRET)
    tokens.keys_read -= 61
    later = await hub.sign_in("ann")
    assert tokens.keys is not old_ring
    tokens.replace_keys(old_ring)  # as another worker has it
    assert not await works(hub, later.access_token)
    tokens.keys_read = time.monotonic() - 3
    assert await works(hub, later.access_token)
    assert await works(hub, ann.access_token)


async def test_the_key_that_signs_cannot_be_retired(hub: Hub) -> None:
    async with hub.database.transaction() as session:
        kid = next(key.kid for key in await list_keys(session) if key.retired_at is None)
        with pytest.raises(Conflict, match="rotate first"):
            await retire_key(session, kid)
        with pytest.raises(NotFound):
            await retire_key(session, "none")

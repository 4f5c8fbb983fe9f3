"""Refresh tokens: rotation, the grace, theft, and the end of a sign-in."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col

from backend_hub.auth.models import RefreshToken, TokenFamily
from backend_hub.db import utcnow
from backend_hub.users.models import Role, User
from tests.hub import Hub, Person


async def refresh(hub: Hub, token: str, **form: str) -> httpx.Response:
    data = {"grant_type": "refresh_token", "refresh_token": token, **form}
    return await hub.visitor.request("POST", "/auth/token", data=data)


async def works(hub: Hub, access_token: str) -> bool:
    headers = {"Authorization": f"Bearer {access_token}"}
    status = (await hub.visitor.get("/users/me", headers=headers)).status_code
    assert status in {200, 401}
    return status == 200


async def age_rotations(hub: Hub, seconds: int) -> None:
    async with hub.database.transaction() as session:
        rotated = col(RefreshToken.rotated_at)
        older = update(RefreshToken).where(rotated.is_not(None))
        await session.execute(older.values(rotated_at=rotated - timedelta(seconds=seconds)))


async def test_a_refresh_token_gives_a_new_pair(hub: Hub) -> None:
    ann = await hub.person("ann")
    first = await refresh(hub, ann.refresh_token)
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "no-store"
    tokens = first.json()
    assert tokens["refresh_token"] != ann.refresh_token
    assert await works(hub, tokens["access_token"])
    assert (await refresh(hub, tokens["refresh_token"])).status_code == 200


async def test_five_tabs_inside_the_grace_all_succeed(live: Hub) -> None:
    ann = await live.person("ann")
    tabs = await asyncio.gather(*(refresh(live, ann.refresh_token) for _ in range(5)))
    assert [tab.status_code for tab in tabs] == [200] * 5
    assert len({tab.json()["refresh_token"] for tab in tabs}) == 5
    assert await works(live, tabs[4].json()["access_token"])


async def test_a_token_used_after_the_grace_ends_the_whole_sign_in(hub: Hub) -> None:
    ann = await hub.person("ann")
    other = await hub.sign_in("ann")
    child = (await refresh(hub, ann.refresh_token)).json()
    await age_rotations(hub, 29)
    assert (await refresh(hub, ann.refresh_token)).status_code == 200
    await age_rotations(hub, 2)
    reused = await refresh(hub, ann.refresh_token)
    assert (reused.status_code, reused.json()["error"]) == (401, "invalid_grant")
    assert (await refresh(hub, child["refresh_token"])).status_code == 401
    assert not await works(hub, child["access_token"])
    assert not await works(hub, ann.access_token)
    assert await works(hub, other.access_token)


async def test_a_grandparent_ends_the_sign_in_even_inside_the_grace(hub: Hub) -> None:
    ann = await hub.person("ann")
    child = (await refresh(hub, ann.refresh_token)).json()
    grandchild = (await refresh(hub, child["refresh_token"])).json()
    assert await works(hub, grandchild["access_token"])
    assert (await refresh(hub, ann.refresh_token)).status_code == 401
    assert (await refresh(hub, grandchild["refresh_token"])).status_code == 401
    assert not await works(hub, grandchild["access_token"])


async def test_a_sign_in_ends_at_its_time_however_often_it_was_rotated(hub: Hub) -> None:
    ann = await hub.person("ann")
    child = (await refresh(hub, ann.refresh_token)).json()
    assert await works(hub, child["access_token"])
    async with hub.database.transaction() as session:
        await session.execute(update(TokenFamily).values(expires_at=utcnow()))
    assert (await refresh(hub, child["refresh_token"])).status_code == 401
    assert not await works(hub, child["access_token"])


async def test_signing_out_ends_this_sign_in_at_once_and_no_other(hub: Hub) -> None:
    ann = await hub.person("ann")
    other = await hub.sign_in("ann")
    child = (await refresh(hub, ann.refresh_token)).json()
    assert (await ann.post("/auth/sign-out")).status_code == 204
    assert not await works(hub, ann.access_token)
    assert not await works(hub, child["access_token"])
    for token in (ann.refresh_token, child["refresh_token"]):
        assert (await refresh(hub, token)).status_code == 401
    assert (await ann.post("/auth/sign-out")).status_code == 401
    assert await works(hub, other.access_token)
    assert (await refresh(hub, other.refresh_token)).status_code == 200


async def set_account(hub: Hub, user_id: str, **change: Any) -> None:
    admin = await hub.person(f"root-{len(change)}-{utcnow():%f}", Role.admin)
    answer = await admin.patch(f"/accounts/{user_id}", change)
    assert answer.status_code == 200, answer.text


async def test_a_disabled_account_is_out_at_once_and_for_good(hub: Hub) -> None:
    ann = await hub.person("ann")
    assert await works(hub, ann.access_token)
    await set_account(hub, ann.id, disabled=True)
    assert not await works(hub, ann.access_token)
    assert (await refresh(hub, ann.refresh_token)).status_code == 401
    await set_account(hub, ann.id, disabled=False)
    assert not await works(hub, ann.access_token)
    assert (await refresh(hub, ann.refresh_token)).status_code == 401
    assert await works(hub, (await hub.sign_in("ann")).access_token)


async def test_a_lower_role_takes_its_scopes_along_at_once(hub: Hub) -> None:
    ann = await hub.person("ann", Role.admin)
    assert (await ann.get("/accounts")).status_code == 200
    await set_account(hub, ann.id, role="member")
    assert (await ann.get("/accounts")).status_code == 403
    assert "users:admin" not in (await ann.read("/users/me"))["scopes"]
    refreshed = (await refresh(hub, ann.refresh_token)).json()
    assert "users:admin" not in refreshed["scope"].split()
    assert "posts:write" in refreshed["scope"].split()


async def test_refreshing_cannot_widen_the_scope(hub: Hub) -> None:
    await hub.person("ann", Role.admin)
    form = {"username": "ann", "password": "seven calm otters swim", "scope": "posts:write"}
    narrow = (await hub.visitor.request("POST", "/auth/token", data=form)).json()
    wide = await refresh(hub, narrow["refresh_token"], scope="posts:write users:admin")
    assert wide.json()["scope"] == "posts:write"


@pytest.mark.parametrize("token", ["", "x", "\x00", "a" * 200, "\N{OTTER}", "' OR 1=1 --"])
async def test_a_token_that_never_was_is_refused(hub: Hub, token: str) -> None:
    refused = await refresh(hub, token)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_grant")


async def test_rotations_in_parallel_with_a_sign_out_leave_nothing_alive(live: Hub) -> None:
    ann: Person = await live.person("ann")
    answers = await asyncio.gather(
        *(refresh(live, ann.refresh_token) for _ in range(4)), ann.post("/auth/sign-out")
    )
    assert answers[4].status_code == 204
    for answer in answers[:4]:
        if answer.status_code == 200:
            assert not await works(live, answer.json()["access_token"])
            assert (await refresh(live, answer.json()["refresh_token"])).status_code == 401
    async with live.database.reading() as session:
        assert await session.get(User, ann.id) is not None

"""Profiles, and what admins do to accounts."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from backend_hub.users.models import Role, User
from tests.hub import Hub, link


async def test_a_profile_shows_what_is_public(hub: Hub) -> None:
    ann = await hub.person("Ann")
    await ann.create("/resources", link())
    profile = await hub.visitor.read("/users/aNN")
    assert profile["username"] == "Ann"
    assert profile["resource_count"] == 1
    assert "email" not in profile
    assert (await hub.visitor.get("/users/nobody")).status_code == 404


async def test_people_change_their_own_profile(hub: Hub) -> None:
    ann = await hub.person("ann")
    before = await ann.get("/users/me")
    assert before.json()["email"] == "ann@example.org"
    change = {"display_name": "Ann Otter", "bio": "Likes rivers."}
    changed = await ann.patch("/users/me", change, before.headers["ETag"])
    assert {**before.json(), **change, "version": 2} == changed.json()
    assert (await hub.visitor.read("/users/ann"))["display_name"] == "Ann Otter"
    assert (await ann.patch("/users/me", change, before.headers["ETag"])).status_code == 412


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"display_name": None},
        {"display_name": ""},
        {"display_name": "  "},
        {"display_name": "x" * 81},
        {"bio": "a\x00b"},
        {"bio": "x" * 1_001},
        {"role": "admin"},
        {"username": "root"},
        {"email_verified": True},
        {"version": 7},
        [],
        "text",
        None,
    ],
)
async def test_a_profile_refuses_what_is_not_its_owner_s_to_set(hub: Hub, change: Any) -> None:
    ann = await hub.person("ann")
    assert (await ann.patch("/users/me", change)).status_code == 422
    assert (await ann.read("/users/me"))["version"] == 1


async def test_only_admins_see_and_change_accounts(hub: Hub) -> None:
    ann, root = await hub.person("ann"), await hub.person("root-of-all", Role.admin)
    for role in (Role.member, Role.reviewer, Role.moderator):
        person = await hub.person(f"a-{role}", role)
        for path in ("/accounts", f"/accounts/{ann.id}"):
            answer = await person.get(path)
            assert answer.status_code == 403
            assert 'scope="users:admin"' in answer.headers["WWW-Authenticate"]
        assert (await person.patch(f"/accounts/{ann.id}", {"role": "admin"})).status_code == 403
    assert (await hub.visitor.get("/accounts")).status_code == 401
    read = await root.get(f"/accounts/{ann.id}")
    changed = await root.patch(f"/accounts/{ann.id}", {"role": "reviewer"}, read.headers["ETag"])
    assert (changed.status_code, changed.json()["role"]) == (200, "reviewer")
    assert (await root.get(f"/accounts/{ann.id}")).headers["ETag"] == changed.headers["ETag"]
    stale = await root.patch(f"/accounts/{ann.id}", {"disabled": True}, read.headers["ETag"])
    assert stale.status_code == 412
    assert (await ann.get("/users/me")).status_code == 200


async def test_admins_cannot_demote_or_disable_themselves(hub: Hub) -> None:
    root, other = [await hub.person(name, Role.admin) for name in ("root-1", "root-2")]
    for change in ({"role": "member"}, {"disabled": True}):
        refused = await root.patch(f"/accounts/{root.id}", change)
        assert (refused.status_code, refused.json()["code"]) == (409, "own_account")
    assert (await root.patch(f"/accounts/{other.id}", {"role": "member"})).status_code == 200


@pytest.mark.parametrize(
    "change", [{}, {"role": "root"}, {"role": None}, {"disabled": None}, {"email": "a@b.example"}]
)
async def test_an_account_refuses_other_changes(hub: Hub, change: dict[str, Any]) -> None:
    ann, root = await hub.person("ann"), await hub.person("root-of-all", Role.admin)
    assert (await root.patch(f"/accounts/{ann.id}", change)).status_code == 422
    missing = "/accounts/01900000-0000-7000-8000-000000000000"
    assert (await root.patch(missing, {"disabled": True})).status_code == 404


async def test_of_two_admins_who_demote_each_other_at_once_one_stays(live: Hub) -> None:
    hub = live
    first, second = [await hub.person(name, Role.admin) for name in ("first", "second")]
    for change in ({"role": "member"}, {"disabled": True}):
        for _ in range(5):
            async with hub.database.transaction() as session:
                admins = update(User).values(role=Role.admin, disabled_at=None)
                await session.execute(admins)
            people = [await hub.sign_in(person.username, person.id) for person in (first, second)]
            one, other = people
            answers = await asyncio.gather(
                one.patch(f"/accounts/{other.id}", change),
                other.patch(f"/accounts/{one.id}", change),
            )
            statuses = sorted(answer.status_code for answer in answers)
            assert statuses in ([200, 401], [200, 403]), [answer.text for answer in answers]
            async with hub.database.reading() as session:
                left = select(func.count()).select_from(User)
                left = left.where(col(User.role) == Role.admin, col(User.disabled_at).is_(None))
                assert await session.scalar(left) == 1


async def test_of_two_admins_who_leave_at_once_one_stays(live: Hub) -> None:
    admins = [await live.person(name, Role.admin) for name in ("first", "second")]
    forms = [{"username": person.username, "content": "keep"} for person in admins]
    answers = await asyncio.gather(
        *(p.post("/users/me/deletion", f) for p, f in zip(admins, forms, strict=True))
    )
    assert sorted(answer.status_code for answer in answers) == [204, 409]

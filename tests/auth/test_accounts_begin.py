"""Registering and signing in."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from backend_hub.db import utcnow
from backend_hub.users.models import Role, User
from tests.conftest import REAL_HASHER
from tests.hub import PASSWORD, Hub

FORM = {"username": "ann", "email": "ann@example.org", "password": PASSWORD}


async def sign_in(hub: Hub, username: str, password: str, **form: str) -> httpx.Response:
    form = {"username": username, "password": password, **form}
    return await hub.visitor.request("POST", "/auth/token", data=form)


@pytest.mark.parametrize(
    "password",
    [
        "fourteen chars",
        "a" * 40,
        "abababababababab",
        "               ",
        "passwordpassword",
        "PassWordPassWord",
        "correct horse battery staple",
        "1234567890123456",
        "abcdefghijklmnop",
        "qwertyuiopasdfgh",
        "ann-of-greene-gables"[:0] + "longusernameofann1",
        "x" * 257,
    ],
)
async def test_a_weak_password_is_refused(hub: Hub, password: str) -> None:
    form = {**FORM, "username": "longusernameofann", "password": password}
    refused = await hub.visitor.post("/auth/register", form)
    assert refused.status_code == 422, refused.text
    assert password.strip() == "" or password not in refused.text
    accepted = await hub.visitor.post("/auth/register", {**form, "password": PASSWORD})
    assert accepted.status_code == 201


@pytest.mark.parametrize(
    "password",
    ["seven calm otters", "\N{OTTER}" * 3 + "twelve otters", "k9#Vq!x2Lp@7Rm$", "abcde fgh " * 25],
)
async def test_any_long_password_is_taken_whole(hub: Hub, password: str) -> None:
    await hub.visitor.create("/auth/register", {**FORM, "password": password})
    assert (await sign_in(hub, "ann", password)).status_code == 200
    assert (await sign_in(hub, "ann", password[:-1])).status_code == 401
    assert (await sign_in(hub, "ann", password.swapcase())).status_code == 401 or (
        password.swapcase() == password
    )


def test_a_password_is_hashed_as_owasp_says() -> None:
    """The one parameter that the other tests do not have as it is in life."""
    assert REAL_HASHER.hash(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_password_may_be_typed_on_another_keyboard(hub: Hub) -> None:
    """Composed or decomposed, it is the same text (NFKC)."""
    await hub.visitor.create("/auth/register", {**FORM, "password": "caf\u00e9 au lait chaud"})
    assert (await sign_in(hub, "ann", "cafe\u0301 au lait chaud")).status_code == 200
    assert (await sign_in(hub, "ann", "cafe au lait chaud")).status_code == 401


@pytest.mark.parametrize("name", ["ann", "ANN", "Ann"])
async def test_a_name_is_taken_whatever_its_case(hub: Hub, name: str) -> None:
    await hub.visitor.create("/auth/register", FORM)
    refused = await hub.visitor.post("/auth/register", {**FORM, "username": name})
    assert (refused.status_code, refused.json()["code"]) == (409, "username_taken")
    assert (await sign_in(hub, name, PASSWORD)).status_code == 200


@pytest.mark.parametrize("name", ["me", "Admin", "support", "a b", "-ab", "\u00e4nn", "a" * 31, ""])
async def test_a_name_that_is_reserved_or_no_name_is_refused(hub: Hub, name: str) -> None:
    refused = await hub.visitor.post("/auth/register", {**FORM, "username": name})
    assert refused.status_code == 422


async def test_registering_does_not_tell_whose_address_it_is(hub: Hub) -> None:
    await hub.visitor.create("/auth/register", FORM)
    async with hub.database.transaction() as session:
        await session.execute(update(User).values(email_verified_at=utcnow()))
    again = await hub.visitor.post("/auth/register", {**FORM, "username": "bob"})
    other = {"username": "cat", "email": "cat@example.org", "password": PASSWORD}
    fresh = await hub.visitor.post("/auth/register", other)
    assert again.status_code == fresh.status_code == 201
    assert set(again.json()) == set(fresh.json())
    assert "example.org" not in again.text


async def test_an_address_signs_in_only_when_it_was_verified(hub: Hub) -> None:
    await hub.visitor.create("/auth/register", FORM)
    await hub.visitor.create("/auth/register", {**FORM, "username": "imp"})
    assert (await sign_in(hub, "ann@example.org", PASSWORD)).status_code == 401
    async with hub.database.transaction() as session:
        verified = update(User).where(User.username == "ann")  # type: ignore[arg-type]
        await session.execute(verified.values(email_verified_at=utcnow()))
    answer = await sign_in(hub, "ANN@example.org", PASSWORD)
    assert answer.status_code == 200
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await hub.visitor.get("/users/me", headers=headers)).json()["username"] == "ann"


async def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(hub: Hub) -> None:
    await hub.person("ann")
    await hub.person("off")
    async with hub.database.transaction() as session:
        disabled = update(User).where(User.username == "off")  # type: ignore[arg-type]
        await session.execute(disabled.values(disabled_at=utcnow()))
    answers = [
        await sign_in(hub, "ann", "a wrong password"),
        await sign_in(hub, "nobody", PASSWORD),
        await sign_in(hub, "off", PASSWORD),
    ]
    bodies: list[dict[str, Any]] = []
    for answer in answers:
        assert answer.status_code == 401
        body = answer.json()
        body.pop("request_id")
        bodies.append(body)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.headers["Cache-Control"] == "no-store"
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "body",
    [
        b"username=a%00nn&password=x",
        b"username=ann&password=a%00b",
        b"username=%ED%A0%80&password=%ED%A0%80",
        b"username=" + b"a" * 255 + b"&password=x",
        b"username=ann&password=" + b"a" * 1001,
        b"grant_type=client_credentials",
        b"grant_type=refresh_token&refresh_token=%00",
        b"grant_type=refresh_token",
        b"username=ann",
        b"",
        b"%",
    ],
)
async def test_a_sign_in_that_makes_no_sense_is_refused(hub: Hub, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await hub.visitor.request("POST", "/auth/token", content=body, headers=headers)
    assert answer.status_code in {401, 422}, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_an_operator_can_close_registration_and_passwords(hub: Hub, app: FastAPI) -> None:
    await hub.person("ann")
    settings = app.state.settings
    closed = {"registration_open": False, "password_sign_in": False}
    try:
        app.state.settings = settings.model_copy(update=closed)
        refused = await hub.visitor.post("/auth/register", {**FORM, "username": "bob"})
        assert (refused.status_code, (await sign_in(hub, "ann", PASSWORD)).status_code) == (
            403,
            403,
        )
    finally:
        app.state.settings = settings
    assert (await sign_in(hub, "ann", PASSWORD)).status_code == 200


async def test_a_token_may_do_what_was_asked_for_and_the_role_holds(hub: Hub) -> None:
    await hub.person("ann")
    answer = await sign_in(hub, "ann", PASSWORD, scope="posts:write users:admin nonsense")
    assert answer.json()["scope"] == "posts:write"
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    change = {"display_name": "Ann"}
    me = {**headers, "If-Match": "*"}
    refused = await hub.visitor.request("PATCH", "/users/me", json=change, headers=me)
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert 'scope="users:write"' in refused.headers["WWW-Authenticate"]
    whole = await sign_in(hub, "ann", PASSWORD)
    me["Authorization"] = f"Bearer {whole.json()['access_token']}"
    allowed = await hub.visitor.request("PATCH", "/users/me", json=change, headers=me)
    assert allowed.status_code == 200
    await hub.person("rita", Role.admin)

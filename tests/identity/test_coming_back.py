"""Coming back from a provider. Numbers are those of the promises in docs/identity.md."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col
from starlette.responses import JSONResponse, RedirectResponse, Response

from backend_hub.identity.flow import LIVES
from backend_hub.identity.models import LinkedAccount, LoginTransaction
from backend_hub.users.models import User
from tests.hub import Hub
from tests.identity.doubles import (
    CLIENT_ID,
    CLIENT_SECRET,
    Liar,
    query_of,
    signed_with_secret,
    unsigned,
)
from tests.identity.trips import (
    ANN,
    address_of,
    admin_of,
    come_back,
    go_and_return,
    join,
    leave,
    offer,
    who,
)
from tests.oauth.browsing import Surfer, surfer_at


async def known(hub: Hub, liar: Liar) -> Surfer:
    """Ann, who signed in with the liar before and uses another browser now."""
    await offer(await admin_of(hub), liar.issuer())
    assert (await join(surfer_at(hub), liar)).status_code == 303
    return surfer_at(hub)


async def refused(browser: Surfer, answer: dict[str, str], status: int = 400) -> None:
    page = await come_back(browser, answer)
    assert (page.status_code, "That did not work" in page.text) == (status, True)
    assert await who(browser) is None


async def test_signing_in_leads_where_it_was_to_lead(hub: Hub, liar: Liar) -> None:
    browser = await known(hub, liar)
    answer = await go_and_return(browser, liar, target="/topics/none?a=1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/topics/none?a=1")
    assert await who(browser) == "ann"


async def test_68_next_never_leads_to_another_host(hub: Hub, liar: Liar) -> None:
    browser = await known(hub, liar)
    answer = await go_and_return(browser, liar, target="//evil.example/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


@pytest.mark.parametrize("state", [None, "", "foreign", "x" * 5_000])
async def test_47_a_missing_or_foreign_state_makes_no_session(
    hub: Hub, liar: Liar, state: str | None
) -> None:
    browser = await known(hub, liar)
    answer = liar.authorize(await leave(browser), ANN)
    changed = {k: v for k, v in (answer | {"state": state}).items() if v is not None}
    await refused(browser, changed)
    assert (await come_back(browser, answer)).status_code == 303
    assert await who(browser) == "ann"


async def test_47_a_state_works_once_even_when_the_trip_failed(hub: Hub, liar: Liar) -> None:
    browser = await known(hub, liar)
    answer = liar.authorize(await leave(browser), ANN)
    assert (await come_back(browser, answer)).status_code == 303
    browser.client.cookies.clear()
    await refused(browser, answer)
    answer = liar.authorize(await leave(browser), ANN)
    await refused(browser, {"state": answer["state"], "error": "access_denied"})
    await refused(browser, answer)


async def test_47_a_parameter_that_comes_twice_is_refused(hub: Hub, liar: Liar) -> None:
    browser = await known(hub, liar)
    answer = liar.authorize(await leave(browser), ANN)
    path = "/sign-in/with/liar/callback"
    twice = [*answer.items(), ("code", "another")]
    assert (await browser.visit(path, params=twice)).status_code == 400
    assert await who(browser) is None


async def test_47_a_trip_that_took_too_long_is_refused(hub: Hub, liar: Liar) -> None:
    browser = await known(hub, liar)
    answer = liar.authorize(await leave(browser), ANN)
    async with hub.database.transaction() as session:
        moment = col(LoginTransaction.created_at)
        earlier = moment - LIVES - timedelta(seconds=1)
        await session.execute(update(LoginTransaction).values(created_at=earlier))
    await refused(browser, answer)


async def test_47_leaving_needs_a_form_of_this_browser(hub: Hub, liar: Liar) -> None:
    browser, other = await known(hub, liar), surfer_at(hub)
    page, foreign = await browser.visit("/sign-in"), await other.visit("/sign-in")
    assert (await browser.send(foreign, "/sign-in/with/liar")).status_code == 403
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert (await browser.send(page, "/sign-in/with/liar", cross)).status_code == 403
    assert (await browser.visit("/sign-in/with/liar")).status_code == 405
    assert address_of(await browser.send(page, "/sign-in/with/liar")).startswith(liar.base)


async def test_48_coming_back_in_another_browser_is_refused(hub: Hub, liar: Liar) -> None:
    browser, other = await known(hub, liar), surfer_at(hub)
    answer = liar.authorize(await leave(browser), ANN)
    await refused(other, answer)  # without a cookie
    await other.visit("/sign-in")
    await refused(other, answer)
    assert (await come_back(browser, answer)).status_code == 303
    assert await who(browser) == "ann"


async def test_48_coming_back_as_from_another_provider_is_refused(hub: Hub, liar: Liar) -> None:
    browser = await known(hub, liar)
    admin = await hub.sign_in("the-admin")
    await offer(admin, liar.issuer("b"), slug="other")
    answer = liar.authorize(await leave(browser), ANN)
    assert (await come_back(browser, answer, "other")).status_code == 400
    assert await who(browser) is None


@pytest.mark.parametrize("advertised", [True, False])
async def test_49_a_wrong_iss_is_refused_and_an_absent_one_where_it_was_promised(
    hub: Hub, liar: Liar, advertised: bool
) -> None:
    if advertised:
        liar.metadata["authorization_response_iss_parameter_supported"] = True
    browser = await known(hub, liar)
    answer = liar.authorize(await leave(browser), ANN)
    await refused(browser, answer | {"iss": liar.issuer("b")})
    answer = liar.authorize(await leave(browser), ANN)
    del answer["iss"]
    if advertised:
        await refused(browser, answer)
    else:
        assert (await come_back(browser, answer)).status_code == 303
    assert "token" in liar.asked
    answer = liar.authorize(await leave(browser), ANN)
    assert (await come_back(browser, answer)).status_code == 303


LATER = 4_000_000_000
BAD_CLAIMS: list[dict[str, Any]] = [
    {"nonce": "another"},
    {"nonce": None},
    {"nonce": ["a"]},
    {"aud": "another"},
    {"aud": None},
    {"aud": [CLIENT_ID, "another"]},  # without azp
    {"aud": [CLIENT_ID, "another"], "azp": "another"},
    {"azp": "another"},
    {"iss": "https://accounts.example.org"},
    {"iss": None},
    {"exp": 1},
    {"exp": None},
    {"exp": "later"},
    {"iat": LATER},
    {"iat": None},
    {"nbf": LATER},
    {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    {"at_hash": 7},
    {"sub": None},
    {"sub": ""},
    {"sub": 4711},
    {"sub": "x" * 256},
]


@pytest.mark.parametrize("claims", BAD_CLAIMS, ids=str)
async def test_50_an_id_token_with_bad_claims_is_refused(
    hub: Hub, liar: Liar, claims: dict[str, Any]
) -> None:
    browser = await known(hub, liar)
    liar.claims = claims
    await refused(browser, liar.authorize(await leave(browser), ANN))
    liar.claims = {}
    assert (await go_and_return(browser, liar)).status_code == 303
    assert await who(browser) == "ann"


def no_text(claims: dict[str, Any]) -> Any:
    return 7


FORGERIES: dict[str, Callable[[Liar], Callable[[dict[str, Any]], str]]] = {
    "unsigned": lambda liar: unsigned,
    "signed with the secret": lambda liar: signed_with_secret,
    "by a stranger": lambda liar: lambda claims: Liar().signed(claims, kid=next(iter(liar.keys))),
    "by an unknown key": lambda liar: Liar().signed,
    "of another algorithm": lambda liar: lambda claims: liar.signed(claims, alg="PS256"),
    "critical": lambda liar: lambda claims: liar.signed(claims, crit=["b64"], b64=True),
    "with its signature cut": lambda liar: lambda claims: liar.signed(claims)[:-4],
    "too long": lambda liar: lambda claims: liar.signed(claims | {"x": "x" * 40_000}),
    "deeply nested": lambda liar: lambda claims: f"{'W1' * 2_000}.{'W1' * 2_000}.AA",
    "not a token": lambda liar: lambda claims: "a.b",
    "no text": lambda liar: no_text,
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_50_a_forged_id_token_is_refused(hub: Hub, liar: Liar, name: str) -> None:
    browser = await known(hub, liar)
    liar.sign = FORGERIES[name](liar)
    await refused(browser, liar.authorize(await leave(browser), ANN))
    liar.sign = None
    assert (await go_and_return(browser, liar)).status_code == 303


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_algorithms_that_providers_sign_with(hub: Hub, liar: Liar, alg: str) -> None:
    liar.alg = alg
    liar.rotate()
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    assert (await join(browser, liar)).status_code == 303
    assert await who(browser) == "ann"


async def test_50_an_algorithm_that_the_provider_does_not_name_is_refused(
    hub: Hub, liar: Liar
) -> None:
    liar.metadata["id_token_signing_alg_values_supported"] = ["ES256"]
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    await refused(browser, liar.authorize(await leave(browser), ANN))


async def test_a_key_that_is_new_is_looked_for_once(hub: Hub, liar: Liar) -> None:
    browser = await known(hub, liar)
    liar.rotate()
    liar.asked.clear()
    assert (await go_and_return(browser, liar)).status_code == 303
    assert liar.asked.count("keys") == 1
    liar.asked.clear()
    liar.sign = Liar().signed
    await refused(surfer_at(hub), {})
    other = surfer_at(hub)
    await refused(other, liar.authorize(await leave(other), ANN))
    assert liar.asked.count("keys") == 1


async def test_51_metadata_that_names_another_issuer_is_refused(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    for issuer in (liar.issuer("b"), f"{liar.issuer()}/", "https://accounts.example.org", None):
        liar.metadata["issuer"] = issuer
        page = await browser.visit("/sign-in")
        answer = await browser.send(page, "/sign-in/with/liar")
        assert (answer.status_code, "Refresh" in answer.headers) == (400, False)
    del liar.metadata["issuer"]
    assert (await join(browser, liar)).status_code == 303


@pytest.mark.parametrize(
    "endpoint",
    ["javascript:alert(1)", "http://10.0.0.1/authorize", "https://a@b.example/", 7, None],
)
async def test_an_endpoint_that_is_not_to_be_asked_is_refused(
    hub: Hub, liar: Liar, endpoint: Any
) -> None:
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    liar.metadata["authorization_endpoint"] = endpoint
    page = await browser.visit("/sign-in")
    answer = await browser.send(page, "/sign-in/with/liar")
    assert (answer.status_code, "Refresh" in answer.headers) == (502, False)


async def test_52_two_tabs_can_both_finish(hub: Hub, liar: Liar) -> None:
    browser = await known(hub, liar)
    first, second = await leave(browser, target="/one"), await leave(browser, target="/two")
    assert query_of(first)["state"] != query_of(second)["state"]
    for url, target in ((second, "/two"), (first, "/one")):
        answer = await come_back(browser, liar.authorize(url, ANN))
        assert (answer.status_code, answer.headers["Location"]) == (303, target)
        assert await who(browser) == "ann"


async def test_52_a_tab_can_finish_after_a_password_was_used_in_another(
    hub: Hub, liar: Liar
) -> None:
    browser = await known(hub, liar)
    url = await leave(browser)
    await browser.sign_in("the-admin")
    assert (await come_back(browser, liar.authorize(url, ANN))).status_code == 303
    assert await who(browser) == "ann"


async def test_58_the_session_id_changes_when_coming_back(hub: Hub, liar: Liar) -> None:
    browser = await known(hub, liar)
    url = await leave(browser)
    before = browser.client.cookies["hub_session"]
    await come_back(browser, liar.authorize(url, ANN))
    assert browser.client.cookies["hub_session"] != before


async def test_24_the_database_holds_nothing_that_finishes_a_trip(hub: Hub, liar: Liar) -> None:
    browser = await known(hub, liar)
    query = query_of(await leave(browser))
    async with hub.database.transaction() as session:
        row = (await session.execute(select(LoginTransaction))).scalars().one()
    stored = repr(row.model_dump())
    assert query["state"] not in stored
    assert browser.client.cookies["hub_session"] not in stored


async def test_25_debug_logs_hold_nothing_that_signs_in(
    hub: Hub, liar: Liar, caplog: pytest.LogCaptureFixture
) -> None:
    browser = await known(hub, liar)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("probe").debug("a line")
        url = await leave(browser)
        answer = liar.authorize(url, ANN)
        assert (await come_back(browser, answer)).status_code == 303
        refusal = liar.authorize(await leave(browser), ANN)
        assert (await come_back(browser, refusal | {"code": "wrong"})).status_code == 400
    found = [answer["code"], answer["state"], refusal["state"], CLIENT_SECRET, *liar.issued]
    assert len(found) == 8
    assert "a line" in caplog.text
    assert [secret for secret in found if secret in caplog.text] == []


async def no_account(hub: Hub) -> bool:
    async with hub.database.transaction() as session:
        people = (await session.execute(select(col(User.username)))).scalars().all()
        links = (await session.execute(select(LinkedAccount))).scalars().all()
    return [name for name in people if name != "the-admin"] == [] and not links


def redirecting(liar: Liar) -> Response:
    return RedirectResponse(f"{liar.base}/b/.well-known/openid-configuration")


TROUBLE: dict[str, Callable[[Liar], Response]] = {
    "an error": lambda liar: JSONResponse({"error": "server_error"}, 500),
    "a page": lambda liar: Response("<h1>Maintenance</h1>", media_type="text/html"),
    "a list": lambda liar: JSONResponse([]),
    "too much": lambda liar: Response(b'"' + b"x" * 600_000 + b'"'),
    "something compressed": lambda liar: Response(
        b"\x1f\x8b", headers={"Content-Encoding": "gzip"}
    ),
    "a redirect": redirecting,
}


@pytest.mark.parametrize("name", TROUBLE)
@pytest.mark.parametrize("where", ["discovery", "token"])
async def test_57_trouble_at_the_provider_is_a_clean_page_and_makes_nothing(
    hub: Hub, liar: Liar, name: str, where: str
) -> None:
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    setattr(liar, where, lambda: TROUBLE[name](liar))
    if where == "discovery":
        page = await browser.send(await browser.visit("/sign-in"), "/sign-in/with/liar")
    else:
        page = await come_back(browser, liar.authorize(await leave(browser), ANN))
    assert (page.status_code, "does not answer as it should" in page.text) == (502, True)
    assert await no_account(hub)
    setattr(liar, where, None)
    assert (await join(browser, liar)).status_code == 303


async def test_57_a_dead_provider_is_a_clean_page(hub: Hub, liar: Liar) -> None:
    dead = "http://127.0.0.1:9/none"
    await offer(await admin_of(hub), dead)
    browser = surfer_at(hub)
    page = await browser.send(await browser.visit("/sign-in"), "/sign-in/with/liar")
    assert page.status_code == 502
    assert await no_account(hub)


async def test_a_refusal_there_is_a_page_with_a_way_back(hub: Hub, liar: Liar) -> None:
    await offer(await admin_of(hub), liar.issuer())
    browser = surfer_at(hub)
    answer = liar.authorize(await leave(browser, target="/docs"), ANN)
    page = await come_back(browser, {"state": answer["state"], "error": "access_denied"})
    assert (page.status_code, "/sign-in?next=/docs" in page.text) == (400, True)
    assert await no_account(hub)

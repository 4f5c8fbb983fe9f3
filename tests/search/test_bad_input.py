"""Whatever is typed or forged: an answer, never an error of the hub."""

import base64

import orjson
import pytest

from tests.hub import Hub, link
from tests.search.factory import ask, search

GARBAGE = [
    *("' | & ! ( ) :*", "\\", "'", "a' OR 1=1; --", "%", "_", ":*", "a:*", "foo & bar | !baz"),
    *("<->", "a <2> b", "((((", "))))", '"', '"""', "-", "--a", "or or or", "- - -", "\u0000a"[1:]),
    *("\t\n a", "\u202e", "\U0001f600", "\uffff", "e\u0301", "$1", ":q", "%(q)s", "{}", "\\x00"),
    " ".join(f"w{number}" for number in range(120))[:500],
    ("a or -b " * 70)[:500],
    "x" * 500,
    "\U0001f600" * 500,
    '"' * 500,
    "a-" * 250,
    "tag:a " * 20 + "word",
]


@pytest.mark.parametrize("q", GARBAGE)
async def test_no_text_breaks_the_search(hub: Hub, q: str) -> None:
    ann = await hub.person("ann")
    await ask(hub, ann, "A word here", "x y z")
    response = await hub.visitor.get("/search", params={"q": q})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "q",
    [
        *("", " ", "\t\n", "a\x00b", "x" * 64_000, "| & ! " * 500),
        " ".join(f"{'or' if number % 2 else '-'} w{number}" for number in range(1_000)),
    ],
)
async def test_what_is_empty_too_long_or_cannot_be_stored_is_refused(hub: Hub, q: str) -> None:
    response = await hub.visitor.get("/search", params={"q": q})
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize(
    "query",
    [
        *("q=a&limit=0", "q=a&limit=101", "q=a&sort=best", "q=a&kind=user", "q=a&topic=A_b"),
        *("q=a&unknown=1", "q=%ED%A0%80%00", "", "q=a&cursor=!", "q=a&cursor=e30", "q=a&cursor=x"),
    ],
)
async def test_bad_parameters_are_refused(hub: Hub, query: str) -> None:
    assert (await hub.visitor.get(f"/search?{query}")).status_code == 422


def _forged(cursor: str, *values: object) -> str:
    name = orjson.loads(base64.urlsafe_b64decode(cursor + "=="))[0]
    return base64.urlsafe_b64encode(orjson.dumps([name, *values])).rstrip(b"=").decode()


async def test_a_cursor_belongs_to_its_search(hub: Hub) -> None:
    ann = await hub.person("ann")
    for number in range(3):
        await ann.create("/resources", link(f"Needle in haystack {number}"))
    page = await search(hub, "needle", limit=1)
    cursor, last = page["next_cursor"], page["items"][0]["id"]
    assert len((await search(hub, "needle", limit=5, cursor=cursor))["items"]) == 2
    for params in (
        {"q": "haystack"},
        {"q": "needle", "sort": "newest"},
        {"q": "needle", "kind": "link"},
        {"q": "needle tag:a"},
    ):
        response = await hub.visitor.get("/search", params={**params, "cursor": cursor})
        assert response.status_code == 422, params
        assert response.json()["errors"][0]["loc"] == ["query", "cursor"]
    bad = [[], [0.5], ["x", last], [None, last], [{}, last], [0.5, "x"], [0.5, last, 1]]
    for values in (*bad, ["nan", last], ["-inf", last]):
        forged = _forged(cursor, *values)
        response = await hub.visitor.get("/search", params={"q": "needle", "cursor": forged})
        assert response.status_code == 422, values
    for value in (0.5, -1, 2**60, 1e308, True):
        forged = _forged(cursor, value, last)
        response = await hub.visitor.get("/search", params={"q": "needle", "cursor": forged})
        assert response.status_code == 200, value

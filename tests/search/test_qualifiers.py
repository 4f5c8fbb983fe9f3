"""Each qualifier over HTTP."""

from datetime import UTC, datetime

import pytest

from backend_hub.users.models import Role
from tests.hub import Hub, code_sample, link, project
from tests.search.factory import answer, ask, change, found, search


@pytest.fixture
async def posts(hub: Hub) -> dict[str, str]:
    """Name -> id of one post of each sort."""
    ann, bob = await hub.person("ann"), await hub.person("Bob")
    await hub.topic("databases")
    await hub.topic("sql-databases", parent="databases")
    ids: dict[str, str] = {}
    forms = {
        "link": link("A needle", topic="databases", tags=["sql"], level="beginner"),
        "sample": code_sample("Needle code", tags=["sql", "c++"], language="pt-BR"),
        "project": project("Needle project", level="advanced"),
    }
    for name, form in forms.items():
        ids[name] = (await ann.create("/resources", form))["id"]
    ids["solved"] = await ask(hub, bob, "Needle?", topic="sql-databases", tags=["sql"])
    ids["accepted"] = await answer(hub, ann, ids["solved"], "The needle.", accepted=True)
    ids["other"] = await answer(hub, bob, ids["solved"], "No needle.")
    ids["closed"] = await ask(hub, bob, "Closed needle?", closed=True, language="pt")
    for name, score in {"link": 3, "sample": 10, "closed": -2}.items():
        await change(hub, ids[name], score=score)
    await change(hub, ids["project"], created_at=datetime(2020, 2, 29, 12, tzinfo=UTC))
    return ids


@pytest.mark.parametrize(
    ("q", "names"),
    [
        ("tag:sql", "link sample solved accepted other"),
        ("tag:sql tag:C++", "sample"),
        ("tag:sql -tag:c++ kind:resource", "link"),
        ("tag:nobody-uses-it", ""),
        ("kind:resource", "link sample project"),
        ("kind:link", "link"),
        ("kind:code_sample kind:project", "sample project"),
        ("kind:question", "solved closed"),
        ("-kind:answer -kind:link", "sample project solved closed"),
        ("author:ANN", "link sample project accepted"),
        ("author:bob author:ann kind:answer", "accepted other"),
        ("-author:ann", "solved other closed"),
        ("author:nobody", ""),
        ("topic:databases", "link solved accepted other"),
        ("topic:sql-databases", "solved accepted other"),
        ("-topic:databases", "sample project closed"),
        ("level:beginner", "link"),
        ("-level:beginner kind:resource", "sample project"),
        ("lang:pt", "sample closed"),
        ("language:pt-BR", "sample"),
        ("is:accepted", "solved accepted"),
        ("is:answered", "solved"),
        ("is:unanswered", "closed"),
        ("is:closed", "closed"),
        ("is:open", "solved"),
        ("kind:answer -is:accepted", "other"),
        ("score:>3", "sample"),
        ("score:>=3", "link sample"),
        ("score:<0", "closed"),
        ("score:<=-2", "closed"),
        ("score:10", "sample"),
        ("score:1..10", "link sample"),
        ("-score:0 -score:>3", "link closed"),
        ("created:2020-02-29", "project"),
        ("created:<=2020-02-29", "project"),
        ("created:<2020-02-29", ""),
        ("created:2020-01-01..2020-12-31", "project"),
        ("created:>2020-02-29 kind:resource", "link sample"),
    ],
)
@pytest.mark.parametrize("word", ["", "needle "])
async def test_a_qualifier_narrows_the_search(
    hub: Hub, posts: dict[str, str], q: str, names: str, word: str
) -> None:
    assert await found(hub, word + q) == {posts[name] for name in names.split()}


async def test_a_synonym_finds_its_tag(hub: Hub, posts: dict[str, str]) -> None:
    ada = await hub.person("ada", Role.admin)
    assert await found(hub, "tag:structured") == set()
    response = await ada.patch("/tags/sql", {"synonyms": ["structured"]})
    assert response.status_code == 200, response.text
    assert await found(hub, "tag:structured") == await found(hub, "tag:sql") != set()
    listed = await hub.visitor.read("/resources", tag="structured")
    assert {item["id"] for item in listed["items"]} == {posts["link"], posts["sample"]}


async def test_kind_and_topic_are_parameters_too(hub: Hub, posts: dict[str, str]) -> None:
    assert await found(hub, "needle", kind="link") == {posts["link"]}
    assert await found(hub, "needle", topic="sql-databases") == {
        posts[name] for name in ("solved", "accepted", "other")
    }
    assert await found(hub, "needle kind:link", kind="answer") == set()
    assert await found(hub, "needle", topic="nowhere") == set()


async def test_a_qualifier_that_does_not_exist_is_a_word(hub: Hub) -> None:
    ann = await hub.person("ann")
    vector = await ask(hub, ann, "Is std::vector contiguous?")
    assert await found(hub, "std::vector") == {vector}
    assert await found(hub, "foo:vector") == set()


@pytest.mark.parametrize(
    "q", ["score:abc", "kind:zzz", "score:>10^30", "created:2026-02-30", "is:fine", "tag:"]
)
async def test_a_bad_value_is_refused_by_name(hub: Hub, q: str) -> None:
    response = await hub.visitor.get("/search", params={"q": f"needle {q}"})
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")
    assert response.json()["errors"][0]["loc"] == ["query", "q"]
    assert response.json()["detail"].startswith(q.partition(":")[0])
    quoted = await search(hub, f'needle "{q}"')
    assert quoted["items"] == []

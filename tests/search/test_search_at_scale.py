"""Many posts: the plan uses the index, and pages are exact while others write."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import event, text

from tests.hub import Hub, Person, link
from tests.search.factory import answer, ask, search

POSTS = 20_000
# A selective word in every 2,000th post, one that nobody can call selective in all of them.
FILL = text(
    """
    INSERT INTO posts (id, kind, author_id, title, body, body_html, language, license, revision,
        version, created_at, updated_at, last_activity_at, search_config, search)
    SELECT id, 'resource', CAST(:author AS uuid), title, body, '<p>' || body || '</p>', language,
        'CC0-1.0', 1, 1, now(), now(), now(), config,
        setweight(to_tsvector(CAST(config AS regconfig), title), 'A')
        || setweight(to_tsvector(CAST(config AS regconfig), body), 'C')
    FROM (
        SELECT gen_random_uuid() AS id, 'Post ' || n AS title,
            CASE WHEN n % 2000 = 0 THEN 'A needle in ' ELSE 'Only ' END
                || repeat('haystack ' || n % 7 || ' ', n % 9 + 1) AS body,
            CASE WHEN n % 10 = 0 THEN 'de' ELSE 'en' END AS language,
            CASE WHEN n % 10 = 0 THEN 'german' ELSE 'english' END AS config
        FROM generate_series(1, :posts) AS n
    ) AS generated
    """
)


async def fill(hub: Hub, author: Person) -> None:
    async with hub.database.transaction() as session:
        await session.execute(FILL, {"author": author.id, "posts": POSTS})
        await session.execute(
            text("INSERT INTO resources (post_id, kind) SELECT id, 'project' FROM posts")
        )
        await session.execute(text("ANALYZE posts, resources"))


@pytest.fixture
async def many(hub: Hub) -> Hub:
    await fill(hub, await hub.person("ann"))
    return hub


@pytest.fixture
async def sent(hub: Hub) -> AsyncIterator[list[tuple[str, Any]]]:
    """The statements that were sent, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        statements.append((sql, parameters))

    engine = hub.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", ["/search", "/resources"])
async def test_a_selective_word_is_looked_up_in_the_index(
    many: Hub, sent: list[tuple[str, Any]], path: str
) -> None:
    found = await many.visitor.read(path, q="needle")
    assert len(found["items"]) == POSTS // 2000
    searches = [(sql, values) for sql, values in sent if "websearch" in sql]
    assert len(searches) == 1
    sql, values = searches[0]
    async with many.database.transaction() as session:
        connection = await session.connection()
        plan = (await connection.exec_driver_sql(f"EXPLAIN (ANALYZE) {sql}", values)).scalars()
        steps = "\n".join(plan)
    assert "ix_posts_search" in steps
    assert "Seq Scan on posts" not in steps, steps


async def test_facets_of_very_many_matches_are_not_exact(many: Hub) -> None:
    facets = (await search(many, "haystack", limit=1))["facets"]
    assert facets["exact"] is False
    assert facets["kind"] == [{"value": "resource", "count": 10_000}]
    assert (await search(many, "haystack", limit=1, include_total=True))["total"] == POSTS


async def pages(hub: Hub, q: str, **params: Any) -> AsyncIterator[list[str]]:
    """The ids of page after page, by the cursor and by the Link header in turns."""
    response = await hub.visitor.get("/search", params={"q": q, **params})
    while True:
        assert response.status_code == 200, response.text
        page = response.json()
        yield [hit["id"] for hit in page["items"]]
        if page["next_cursor"] is None:
            assert "Link" not in response.headers
            return
        target = response.headers["Link"].removeprefix("<").removesuffix('>; rel="next"')
        assert f"cursor={page['next_cursor']}" in target
        response = await hub.visitor.get(target)


@pytest.mark.parametrize("sort", ["relevance", "newest", "top"])
async def test_no_match_is_missed_or_repeated_while_others_write(live: Hub, sort: str) -> None:
    ann, bob = await live.person("ann"), await live.person("bob")
    bodies = [f"A needle{' and a needle' * (number % 3)}." for number in range(24)]
    question = await ask(live, ann, "Needle?")
    known = {question}
    for number, body in enumerate(bodies):
        if number % 2:
            known.add(await answer(live, ann, question, body))
        else:
            created = await ann.create("/resources", link(f"Guide {number}", body=body))
            known.add(created["id"])

    writing = True

    async def write() -> None:
        number = 0
        while writing:
            number += 1
            await bob.create("/resources", link(f"Late {number}", body=bodies[number % 24]))

    writer = asyncio.create_task(write())
    seen: list[str] = []
    async for page in pages(live, "needle", sort=sort, limit=3):
        seen += page
        await asyncio.sleep(0.02)
        writing = len(seen) < 100
    writing = False
    await writer
    assert len(seen) == len(set(seen))
    assert known <= set(seen)


async def test_an_unchanged_page_is_not_sent_again(hub: Hub) -> None:
    ann = await hub.person("ann")
    await ask(hub, ann, "Needle?")
    first = await hub.visitor.get("/search", params={"q": "needle"})
    etag = first.headers["ETag"]
    assert not etag.startswith("W/")
    again = await hub.visitor.get(
        "/search", params={"q": "needle"}, headers={"If-None-Match": etag}
    )
    assert (again.status_code, again.content) == (304, b"")
    await ask(hub, ann, "Another needle?")
    changed = await hub.visitor.get(
        "/search", params={"q": "needle"}, headers={"If-None-Match": etag}
    )
    assert changed.status_code == 200

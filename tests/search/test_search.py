"""Finding posts over HTTP: what matches, in which order, and how it is shown."""

import html
import re
from typing import Any

import pytest

from tests.hub import Hub, code_sample, link
from tests.search.factory import answer, ask, change, found, search, titles


async def test_resources_questions_and_answers_are_found_together(hub: Hub) -> None:
    ann = await hub.person("ann")
    await hub.topic("databases")
    resource = await ann.create(
        "/resources", code_sample("Deadlocks shown", topic="databases", tags=["sql", "locks"])
    )
    question = await ask(hub, ann, "Why a deadlock?", topic="databases", tags=["sql"])
    reply = await answer(hub, ann, question, "A deadlock needs two.", accepted=True)
    page = await search(hub, "deadlock")
    hits = {hit["kind"]: hit for hit in page["items"]}
    assert {kind: hit["id"] for kind, hit in hits.items()} == {
        "resource": resource["id"],
        "question": question,
        "answer": reply,
    }
    assert hits["answer"]["title"] == "Why a deadlock?"
    assert hits["answer"]["question_id"] == question
    assert hits["answer"]["tags"] == ["sql"]
    assert hits["answer"]["topic"]["slug"] == "databases"
    assert hits["resource"]["resource_kind"] == "code_sample"
    assert hits["resource"]["tags"] == ["sql", "locks"]
    assert {kind: hit["accepted"] for kind, hit in hits.items()} == {
        "resource": False,
        "question": True,
        "answer": True,
    }
    assert [hit["author"]["username"] for hit in page["items"]] == ["ann"] * 3
    assert (await hub.visitor.get(hits["resource"]["href"])).json()["title"] == "Deadlocks shown"


async def test_a_title_outranks_a_tag_and_a_tag_the_text(hub: Hub) -> None:
    ann = await hub.person("ann")
    await ask(hub, ann, "In the text only", "It is about indexes, they say.")
    await ask(hub, ann, "As a tag of it", "It is about that thing, so.", tags=["indexes"])
    await ask(hub, ann, "Indexes as title", "It is about that thing, so.")
    assert await titles(hub, "index") == ["Indexes as title", "As a tag of it", "In the text only"]
    ranks = [hit["rank"] for hit in (await search(hub, "index"))["items"]]
    assert ranks == sorted(set(ranks), reverse=True)


async def test_phrases_alternatives_and_negation(hub: Hub) -> None:
    ann = await hub.person("ann")
    for title in ("Read committed rows", "Committed to read", "A red herring"):
        await ask(hub, ann, title)
    assert await titles(hub, '"read committed"') == ["Read committed rows"]
    assert set(await titles(hub, "read committed")) == {"Read committed rows", "Committed to read"}
    assert await titles(hub, "read -rows") == ["Committed to read"]
    assert set(await titles(hub, "herring or rows")) == {"Read committed rows", "A red herring"}
    assert set(await titles(hub, "-herring")) == {"Read committed rows", "Committed to read"}
    assert await titles(hub, "herr") == []  # a prefix is no word


async def test_each_post_is_searched_in_its_own_language(hub: Hub) -> None:
    ann = await hub.person("ann")
    await ask(hub, ann, "Viele Häuser bauen", "Wie geht das?", language="de")
    await ask(hub, ann, "Indexes are running", "How does it go?", language="en-GB")
    await ask(hub, ann, "Motori di ricerca", "Come funzionano?", language="it")
    await ask(hub, ann, "The japanese title", "No stemmer has it.", language="ja")
    assert await titles(hub, "haus") == ["Viele Häuser bauen"]
    assert await titles(hub, "index run") == ["Indexes are running"]
    assert await titles(hub, "motore") == ["Motori di ricerca"]
    assert await titles(hub, "titles") == []  # `simple` does not stem
    assert await titles(hub, "title") == ["The japanese title"]
    assert "<mark>Häuser</mark>" in (await search(hub, "häuser"))["items"][0]["title_highlighted"]


async def test_words_that_a_language_skips_find_nothing(hub: Hub) -> None:
    ann = await hub.person("ann")
    await ask(hub, ann, "The one and lonely", "Is it the one?")
    for q in ("the", "the of and", "!!!", "-", '""', "or", "the kind:question"):
        page = await search(hub, q)
        assert (page["items"], page["next_cursor"]) == ([], None), q
        assert page["facets"] == {"kind": [], "topic": [], "tag": [], "exact": True}
    assert await titles(hub, "lonely") == ["The one and lonely"]


async def test_what_is_not_visible_is_not_found(hub: Hub) -> None:
    ann = await hub.person("ann")
    created = await ann.create("/resources", link("A needle guide"))
    question = await ask(hub, ann, "Where is the needle?")
    reply = await answer(hub, ann, question, "The needle is there.")
    closed = await ask(hub, ann, "Another needle?", closed=True)
    assert await found(hub, "needle") == {created["id"], question, reply, closed}
    assert await found(hub, "author:ann") == {created["id"], question, reply, closed}
    await ann.delete(f"/resources/{created['id']}")
    await change(hub, question, draft=True)
    await change(hub, reply, parent_deleted=True)
    for q in ("needle", "author:ann"):
        assert await found(hub, q) == {closed}
        assert (await search(hub, q))["facets"]["kind"] == [{"value": "question", "count": 1}]
    mine = await ann.read("/search", q="needle")
    assert {hit["id"] for hit in mine["items"]} == {question, closed}
    await change(hub, closed, kind="contribution")
    assert await found(hub, "needle") == set()


async def test_snippets_show_the_words_that_match(hub: Hub) -> None:
    ann = await hub.person("ann")
    filler = "Some sentences come before it. " * 40
    body = f"{filler}\n\nThen an **index** speeds `queries` up.\n\n{filler}"
    await ask(hub, ann, "About speed", body)
    hit = (await search(hub, "queries index"))["items"][0]
    assert "an <mark>index</mark> speeds <mark>queries</mark> up" in hit["snippet"]
    assert len(hit["snippet"]) < 500
    plain = (await search(hub, "author:ann"))["items"][0]
    assert plain["snippet"].startswith("Some sentences come before it.")
    assert (plain["rank"], plain["title_highlighted"]) == (0.0, "About speed")


HOSTILE = [
    "<script>alert('needle')</script> needle",
    'needle <img src=x onerror="alert(1)"> & "quotes"',
    "&lt;b&gt;needle&lt;/b&gt; <mark>needle</mark>",
    "\ue001needle\ue000\ue001 needle",
    "`<b>needle</b>` &amp;lt; [x](javascript:needle)",
    "needle <a href='" + "x" * 30,
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_nothing_that_was_written_is_html_in_a_snippet(hub: Hub, text: str) -> None:
    ann = await hub.person("ann")
    await ask(hub, ann, text, text)
    for q in ("needle", "author:ann"):
        hit = (await search(hub, q))["items"][0]
        for shown in (hit["title_highlighted"], hit["snippet"]):
            assert set(re.findall(r"<[^>]*>?", shown)) <= {"<mark>", "</mark>"}
            assert shown.count("<mark>") == shown.count("</mark>")
            assert not re.search(r"&(?!(amp|lt|gt|quot|#x27);)", shown)
        unmarked = re.sub("</?mark>", "", hit["title_highlighted"])
        assert html.unescape(unmarked) == re.sub("[\ue000\ue001]", "", hit["title"])
        assert ("<mark>needle</mark>" in hit["title_highlighted"]) == (q == "needle")


async def test_a_snippet_is_one_line_and_cuts_no_character(hub: Hub) -> None:
    ann = await hub.person("ann")
    body = f"{'x' * 231} 'a'\u00a0\"b\"\n& so on, with a needle"
    await ask(hub, ann, "A line", body)
    shown = f"{'x' * 231} &#x27;a&#x27;\u00a0&quot;b&quot;"
    cut = (await search(hub, "author:ann"))["items"][0]["snippet"]
    assert cut == shown.removesuffix("\u00a0&quot;b&quot;")  # `&nbsp;` would end at 241
    found = (await search(hub, "needle"))["items"][0]["snippet"]
    assert found == f"{shown} &amp; so on, with a <mark>needle</mark>"


async def test_facets_count_the_matches(hub: Hub) -> None:
    ann = await hub.person("ann")
    await hub.topic("databases")
    await hub.topic("postgresql", parent="databases")
    await ann.create("/resources", link("Needle one", topic="databases", tags=["sql"]))
    question = await ask(hub, ann, "Needle two", topic="postgresql", tags=["sql", "locks"])
    await answer(hub, ann, question, "A needle.")
    await answer(hub, ann, question, "Another needle.")
    await ask(hub, ann, "Something else", topic="databases", tags=["sql"])
    page = await search(hub, "needle", limit=1)
    expected: dict[str, Any] = {
        "kind": [("answer", 2), ("question", 1), ("resource", 1)],
        "topic": [("postgresql", 3), ("databases", 1)],
        "tag": [("sql", 4), ("locks", 3)],
        "exact": True,
    }
    shown = {
        name: [(entry["value"], entry["count"]) for entry in values] if name != "exact" else values
        for name, values in page["facets"].items()
    }
    assert shown == expected
    second = await search(hub, "needle", limit=1, cursor=page["next_cursor"])
    assert second["facets"] is None
    assert page["total"] is None
    assert (await search(hub, "needle", limit=1, include_total=True))["total"] == 4
    unasked = await search(hub, "needle", limit=1, facets="false")
    assert unasked == {**page, "facets": None}


async def test_results_come_by_relevance_by_date_or_by_score(hub: Hub) -> None:
    ann = await hub.person("ann")
    best = await ask(hub, ann, "Needle needle needle")
    middle = await ask(hub, ann, "A needle", "A haystack.")
    last = await ask(hub, ann, "Haystack", "With a needle, and so much more around it.")
    await change(hub, middle, score=5)
    await change(hub, last, score=-1)

    async def ids(**params: Any) -> list[str]:
        return [hit["id"] for hit in (await search(hub, "needle", **params))["items"]]

    assert await ids() == [best, middle, last]
    assert await ids(sort="newest") == [last, middle, best]
    assert await ids(sort="top") == [middle, best, last]
    newest = (await search(hub, "kind:question"))["items"]
    assert [hit["id"] for hit in newest] == [last, middle, best]

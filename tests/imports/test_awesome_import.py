"""Importing awesome lists, seen over HTTP."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select
from sqlmodel import col

from backend_hub.errors import NotFound
from backend_hub.events.models import Event
from backend_hub.imports.awesome_import import (
    MAX_BYTES,
    ImportReport,
    UnreadableList,
    decode_list,
    import_awesome,
    read_list,
)
from backend_hub.imports.awesome_links import link_type
from backend_hub.posts.models import Post, Revision
from backend_hub.resources.models import Resource
from backend_hub.resources.schemas import LinkContent
from backend_hub.resources.service import add_resource
from backend_hub.tables import metadata
from backend_hub.topics.service import MAX_DEPTH
from backend_hub.users.models import Role
from tests.hub import Hub, link

LIST = """# Awesome Gardens

> Everything for the garden.

## Tools

- [Spade](https://spade.example/) - Digs *deep*.
- [Rake](https://rake.example) - Rakes; see the [manual](https://rake.example/manual).
  - [Rake for children](https://small.example) - Smaller.

## Reading

### Books

- [Mulch](https://books.example/mulch)
- [Go](https://books.example/go) - A game.
- [Spade again](http://www.spade.example) - The same page.
- [Broken](https://user:password@books.example/) - Not for a hub.
- [Chat](irc://irc.example/garden) - No page.
"""


async def run(hub: Hub, text: str = LIST, **options: Any) -> ImportReport:
    async with hub.database.transaction() as session:
        return await import_awesome(session, text, **options)


async def rows(hub: Hub) -> dict[str, int]:
    """How many rows each table has."""
    async with hub.database.reading() as session:
        return {
            table.name: (
                await session.execute(select(func.count()).select_from(table))
            ).scalar_one()
            for table in metadata.sorted_tables
        }


async def links(hub: Hub) -> dict[str, dict[str, Any]]:
    """Every link in full, by title."""
    items = (await hub.visitor.read("/resources", limit=100))["items"]
    return {item["title"]: await hub.visitor.read(f"/resources/{item['id']}") for item in items}


async def tree(hub: Hub) -> dict[str, tuple[str, str | None]]:
    items = (await hub.visitor.read("/topics", limit=100))["items"]
    return {item["slug"]: (item["name"], item["parent"]) for item in items}


# --- what an import makes


async def test_headings_become_topics_and_items_links(hub: Hub) -> None:
    report = await run(hub)
    assert (report.title, report.new, report.existing) == ("Awesome Gardens", 5, ())
    assert await tree(hub) == {
        "awesome-gardens": ("Awesome Gardens", None),
        "awesome-gardens-tools": ("Tools", "awesome-gardens"),
        "awesome-gardens-reading": ("Reading", "awesome-gardens"),
        "awesome-gardens-reading-books": ("Books", "awesome-gardens-reading"),
    }
    found = await links(hub)
    assert set(found) == {
        "Spade",
        "Rake",
        "Rake for children",
        "Mulch",
        "Go (books.example)",
    }
    spade = found["Spade"]
    assert spade["url"] == "https://spade.example/"
    assert spade["body_html"] == "<p>Digs <em>deep</em>.</p>\n"
    assert spade["topic"]["slug"] == "awesome-gardens-tools"
    assert spade["author"]["username"] == "backend-hub"
    assert spade["source"] == {"name": "Awesome Gardens", "line": 7, "path": ["Tools"]}
    assert found["Mulch"]["source"]["path"] == ["Reading", "Books"]
    assert found["Mulch"]["body"] == "Mulch"


async def test_a_parent_and_further_links_stay_in_the_text(hub: Hub) -> None:
    await run(hub)
    found = await links(hub)
    assert "https://rake.example/manual" in found["Rake"]["body"]
    assert found["Rake for children"]["body"] == "Smaller.\n\nListed with Rake."


async def test_what_was_left_out_is_reported_with_its_line_and_reason(hub: Hub) -> None:
    report = await run(hub)
    assert [(skip.line, skip.reason) for skip in report.skipped] == [
        (17, "duplicate of line 7"),
        (18, "url must not contain a user name or a password"),
        (19, "unsupported URL: irc"),
    ]
    assert [(t.slug, t.depth, t.created, t.new) for t in report.topics] == [
        ("awesome-gardens", 0, True, 0),
        ("awesome-gardens-tools", 1, True, 3),
        ("awesome-gardens-reading", 1, True, 0),
        ("awesome-gardens-reading-books", 2, True, 2),
    ]


async def test_a_second_import_adds_nothing_and_names_what_is_there(hub: Hub) -> None:
    await run(hub)
    before = await rows(hub)
    report = await run(hub)
    assert (report.new, len(report.existing)) == (0, 5)
    assert await rows(hub) == before
    spade = report.existing[0]
    assert (spade.line, spade.title) == (7, "Spade")
    assert (await hub.visitor.read(f"/resources/{spade.post_id}"))["title"] == "Spade"
    assert not any(topic.created for topic in report.topics)
    assert [topic.existing for topic in report.topics] == [0, 3, 0, 2]


async def test_a_longer_list_adds_only_what_is_new(hub: Hub) -> None:
    await run(hub)
    longer = LIST.replace("## Reading", "- [Hoe](https://hoe.example)\n\n## Reading")
    report = await run(hub, longer)
    assert (report.new, len(report.existing)) == (1, 5)
    assert (await links(hub))["Hoe"]["topic"]["slug"] == "awesome-gardens-tools"
    assert len(await tree(hub)) == 4


async def test_a_dry_run_says_the_same_and_writes_nothing(hub: Hub) -> None:
    before = await rows(hub)
    dry = await run(hub, dry_run=True)
    assert await rows(hub) == before
    real = await run(hub)
    assert (dry.dry_run, real.dry_run) == (True, False)
    assert (dry.new, dry.skipped, dry.topics) == (real.new, real.skipped, real.topics)
    assert await rows(hub) != before


async def test_progress_counts_to_the_end(hub: Hub) -> None:
    many = "# Many\n\n" + "".join(f"- [Page {n}](https://many.example/{n})\n" for n in range(700))
    seen: list[tuple[int, int]] = []
    report = await run(hub, many, progress=lambda *done: seen.append(done))
    assert (report.new, seen) == (700, [(500, 700), (700, 700)])


async def test_a_link_that_a_member_has_is_left_alone(hub: Hub) -> None:
    ann = await hub.person("ann")
    await ann.create("/resources", link("My spade", url="https://www.spade.example"))
    report = await run(hub)
    assert [existing.title for existing in report.existing] == ["Spade"]
    found = await links(hub)
    assert found["My spade"]["author"]["username"] == "ann"
    assert "Spade" not in found


async def test_an_imported_link_that_was_deleted_does_not_come_back(hub: Hub) -> None:
    mod = await hub.person("mod", Role.moderator)
    await run(hub)
    spade = (await links(hub))["Spade"]
    assert (await mod.delete(f"/resources/{spade['id']}")).status_code == 204
    report = await run(hub)
    assert (report.new, len(report.existing)) == (0, 4)
    assert (7, "was deleted in the hub") in [(skip.line, skip.reason) for skip in report.skipped]
    assert "Spade" not in await links(hub)


# --- where topics go


async def test_headings_go_under_a_topic_that_is_there(hub: Hub) -> None:
    await hub.topic("hobbies")
    await run(hub, under="hobbies", name="Gardens")
    assert await tree(hub) == {
        "hobbies": ("Hobbies", None),
        "hobbies-tools": ("Tools", "hobbies"),
        "hobbies-reading": ("Reading", "hobbies"),
        "hobbies-reading-books": ("Books", "hobbies-reading"),
    }
    assert (await links(hub))["Spade"]["source"]["name"] == "Gardens"
    with pytest.raises(NotFound):
        await run(hub, under="nowhere")


async def test_headings_with_one_slug_keep_their_own_topics(hub: Hub) -> None:
    text = "# Langs\n\n"
    for number, heading in enumerate(["Node.js", "Node JS", "C", "C++", "C#", "数据库", "缓存"]):
        text += f"## {heading}\n\n- [Page {number}](https://langs.example/{number})\n\n"
    report = await run(hub, text)
    assert report.new == 7
    topics = {name: slug for slug, (name, _) in (await tree(hub)).items()}
    assert len(topics) == 8
    assert topics["C++"] == "langs-c-plus-plus"
    assert (topics["C"], topics["C#"]) == ("langs-c", "langs-c-sharp")
    assert topics["Node.js"] == "langs-node-js"
    assert topics["Node JS"].startswith("langs-node-js-")
    reordered = (
        text.replace("Node.js", "x").replace("Node JS", "Node.js").replace("x\n", "Node JS\n")
    )
    reordered = reordered.replace("https://langs.example/", "https://langs.example/more/")
    assert (await run(hub, reordered)).new == 7
    assert {name: slug for slug, (name, _) in (await tree(hub)).items()} == topics


async def test_a_topic_of_another_meaning_is_not_taken_over(hub: Hub) -> None:
    admin = await hub.person("ada", Role.admin)
    await admin.create("/topics", {"slug": "awesome-gardens-tools", "name": "Garden tools"})
    await run(hub)
    own = (await links(hub))["Spade"]["topic"]["slug"]
    assert own != "awesome-gardens-tools"
    assert (await tree(hub))[own] == ("Tools", "awesome-gardens")
    assert (await run(hub)).new == 0


async def test_a_topic_that_an_admin_renamed_is_found_again(hub: Hub) -> None:
    admin = await hub.person("ada", Role.admin)
    await run(hub)
    patch = await admin.patch("/topics/awesome-gardens-tools", {"name": "All the tools"})
    assert patch.status_code == 200
    longer = LIST.replace("## Reading", "- [Hoe](https://hoe.example)\n\n## Reading")
    await run(hub, longer)
    assert (await links(hub))["Hoe"]["topic"]["slug"] == "awesome-gardens-tools"


async def test_long_headings_are_cut_and_stay_apart(hub: Hub) -> None:
    same = "word " * 30
    text = "# Long\n\n" + "".join(
        f"## {same}{end}\n\n- [Page {end}](https://long.example/{end})\n\n" for end in "ab"
    )
    await run(hub, text)
    topics = await tree(hub)
    assert len(topics) == 3
    assert all(len(slug) <= 120 and len(name) <= 120 for slug, (name, _) in topics.items())
    assert (await run(hub, text)).new == 0


async def test_headings_deeper_than_the_tree_share_its_last_level(hub: Hub) -> None:
    text = "# Deep\n\n" + "".join(f"{'#' * level} H{level}\n\n" for level in range(2, 7))
    text += "".join(f"{'  ' * level}- Level {level}\n" for level in range(18))
    text += "  " * 18 + "- [Bottom](https://deep.example)\n"
    report = await run(hub, text)
    assert report.new == 1
    topics = (await hub.visitor.read("/topics", limit=100))["items"]
    assert max(topic["depth"] for topic in topics) == MAX_DEPTH - 1
    bottom = (await links(hub))["Bottom"]
    assert len(bottom["source"]["path"]) == 20


# --- hostile and broken lists


@pytest.mark.parametrize(
    "item",
    [
        "- [x](https://x.example/" + "a" * 3_000 + ")",
        "- [x](https://x.example:99999/)",
        "- [x](https://localhost/)",
        "- [x](https://[::1/)",
    ],
)
async def test_a_url_that_the_hub_refuses_is_skipped(hub: Hub, item: str) -> None:
    report = await run(hub, f"# T\n\n## S\n\n{item}\n- [Good](https://good.example)\n")
    assert report.new == 1
    assert [(skip.line, skip.reason[:3]) for skip in report.skipped] == [(5, "url")]


async def test_hostile_text_is_harmless(hub: Hub) -> None:
    text = (
        "# <script>alert(1)</script> T\n\n## ](javascript:alert(1)) \x00 S\n\n"
        "- [a<script>](https://one.example) - <img src=x onerror=alert(1)> "
        "[b](javascript:alert(2))\n"
        f"- [{'t' * 5_000}](https://two.example) - {'[' * 2_000}\n"
        f"- [{'word ' * 100}](https://three.example) - {'d' * 15_000}\n"
    )
    report = await run(hub, text)
    assert report.new == 3
    for title, found in (await links(hub)).items():
        assert 3 <= len(title) <= 200
        for bad in ("<script", "<img", 'href="javascript'):
            assert bad not in found["body_html"]


async def test_a_list_without_a_title_needs_a_name(hub: Hub) -> None:
    text = "- [One](https://one.example)\n"
    with pytest.raises(UnreadableList, match="no title"):
        await run(hub, text)
    assert (await run(hub, text, file_name="pages.md", dry_run=True)).title == "pages"
    assert (await run(hub, text, name="Pages")).title == "Pages"
    assert set(await tree(hub)) == {"pages"}


async def test_a_text_without_links_makes_nothing(hub: Hub) -> None:
    before = await rows(hub)
    assert (await run(hub, "# Nothing\n\nJust words.\n")).new == 0
    assert await rows(hub) == before


def test_a_file_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "list.md"
    path.write_bytes(b"\xef\xbb\xbf# T\n\n- [\xc3\xa9](https://x.example)\n")
    assert read_list(path).startswith("# T")
    with pytest.raises(UnreadableList, match="list.md is not UTF-8: line 3"):
        decode_list(b"# T\n\n- [\xe9](https://x.example)\n", "list.md")


def test_a_file_that_is_too_big_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.md"
    path.write_bytes(b"x" * MAX_BYTES)
    assert len(read_list(path)) == MAX_BYTES
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(UnreadableList, match="larger than 10 MB"):
        read_list(path)


@pytest.mark.parametrize(
    ("url", "title", "expected"),
    [
        ("https://www.youtube.com/watch?v=1", "Talk", "video"),
        ("https://youtu.be/1", "Talk", "video"),
        ("https://docs.python.org/3/", "Python", "documentation"),
        ("https://x.readthedocs.io/", "X", "documentation"),
        ("https://x.example/", "X documentation", "documentation"),
        ("https://github.com/x/y", "Y", "tool"),
        ("https://notgithub.com/x", "X", "article"),
        ("https://medocs.example/", "Medicine", "article"),
    ],
)
def test_the_type_of_a_link_is_guessed_with_care(url: str, title: str, expected: str) -> None:
    assert link_type(url, title) == expected


# --- the same rules as for one


async def test_a_bulk_row_is_the_row_that_adding_one_makes(hub: Hub) -> None:
    await run(hub)
    async with hub.database.transaction() as session:
        spade = (await links(hub))["Spade"]
        bulk = await _everything(session, spade["id"])
        await session.execute(delete(Event).where(col(Event.post_id) == spade["id"]))
        for model in (Resource, Revision):
            await session.execute(delete(model).where(col(model.post_id) == spade["id"]))
        await session.execute(delete(Post).where(col(Post.id) == spade["id"]))
        fields = {name: spade[name] for name in LinkContent.model_fields if name != "topic"}
        content = LinkContent(**fields, topic=spade["topic"]["slug"])
        one = await add_resource(
            session,
            bulk["posts"]["author_id"],
            content,
            summary="Imported from Awesome Gardens",
            source=spade["source"],
        )
        await session.flush()
        single = await _everything(session, one.id)
    assert bulk == single


async def _everything(session: Any, post_id: Any) -> dict[str, Any]:
    """The rows of a post in every table, without ids and moments."""
    found: dict[str, Any] = {}
    for model, key in (
        (Post, Post.id),
        (Resource, Resource.post_id),
        (Revision, Revision.post_id),
        (Event, Event.post_id),
    ):
        table = metadata.tables[str(model.__tablename__)]
        row = (await session.execute(select(table).where(key == post_id))).mappings().one()
        vary = {"id", "post_id", "subject_id", "transaction_id"}
        found[table.name] = {
            name: value
            for name, value in row.items()
            if name not in vary and not name.endswith("_at")
        }
    return found

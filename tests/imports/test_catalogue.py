"""The shipped catalogue: whether it is complete, and what a seed does to a hub."""

import shutil
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from backend_hub.errors import ConfigurationError
from backend_hub.imports.accounts import HUB_USERNAME
from backend_hub.imports.catalogue import SeedReport, seed_catalogue
from backend_hub.imports.catalogue_files import CATALOGUE, read_catalogue
from backend_hub.imports.demo import DEMO_ACCOUNTS, DEMO_PASSWORD, seed_demo
from backend_hub.tables import metadata
from backend_hub.users.models import Role
from tests.hub import Hub, link

TECHNIQUES = sorted(path.parent for path in CATALOGUE.glob("*/*/topic.toml"))
LINK = """
[[link]]
key = "trees-guide"
title = "A guide to trees"
url = "https://trees.example/guide"
link_type = "article"
level = "beginner"
language = "en"
tags = ["py", "trees"]
body = "Start at the root."
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small catalogue: a top topic, a sub-topic, and a link in it."""
    trees = tmp_path / "plants" / "trees"
    trees.mkdir(parents=True)
    (trees.parent / "topic.toml").write_text('name = "Plants"\nposition = 1\n')
    (trees.parent / "overview.md").write_text("## All that grows\n")
    (trees / "topic.toml").write_text('name = "Trees"\ndescription = "Tall ones."\n')
    (trees / "links.toml").write_text(LINK)
    (tmp_path / "tags.toml").write_text(
        '[[tag]]\nname = "python"\ndescription = "A language."\nsynonyms = ["py"]\n'
    )
    return tmp_path


def rewrite(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


async def seed(hub: Hub, root: Path = CATALOGUE) -> SeedReport:
    async with hub.database.transaction() as session:
        return await seed_catalogue(session, root=root)


async def rows(hub: Hub) -> dict[str, int]:
    """How many rows each table has."""
    async with hub.database.reading() as session:
        return {
            table.name: (
                await session.execute(select(func.count()).select_from(table))
            ).scalar_one()
            for table in metadata.sorted_tables
        }


async def only_resource(hub: Hub) -> dict[str, Any]:
    [summary] = (await hub.visitor.read("/resources"))["items"]
    return await hub.visitor.read(f"/resources/{summary['id']}")


# --- the shipped content


@pytest.mark.parametrize("folder", TECHNIQUES, ids=lambda folder: folder.name)
def test_every_technique_has_three_links_a_sample_and_a_project(folder: Path) -> None:
    kinds = Counter(
        shipped.content.kind
        for shipped in read_catalogue().resources
        if shipped.content.topic == folder.name
    )
    assert kinds["link"] >= 3
    assert (kinds["code_sample"], kinds["project"]) == (1, 1)
    assert tomllib.loads((folder / "topic.toml").read_text())["description"]


def test_every_top_topic_has_an_overview_and_techniques() -> None:
    topics = read_catalogue().topics
    tops = [topic for topic in topics if topic.parent is None]
    assert len(tops) >= 7
    for top in tops:
        assert len(top.overview.split()) >= 400, top.slug
        assert any(topic.parent == top.slug for topic in topics), top.slug


def test_keys_begin_with_their_topic_and_tags_are_written_in_one_way() -> None:
    catalogue = read_catalogue()
    synonyms = {word for tag in catalogue.tags for word in tag.synonyms}
    for key, content in catalogue.resources:
        assert key.startswith(f"{content.topic}-"), key
        assert 1 <= len(content.tags) <= 5, key
        assert not set(content.tags) & synonyms, key
        assert content.level, key
        assert content.kind != "link" or content.url.startswith("https://"), key


def test_every_file_of_a_sample_is_shown() -> None:
    for path in CATALOGUE.glob("*/*/sample/sample.toml"):
        shown = set(tomllib.loads(path.read_text())["files"])
        there = {file.name for file in path.parent.iterdir()} - {"sample.toml", "__pycache__"}
        assert shown == there, path


@pytest.mark.parametrize(
    ("file", "before", "after", "reason"),
    [
        ("plants/trees/links.toml", "https://trees", "ftp://trees", "links.toml: link.url"),
        ("plants/trees/links.toml", "trees-guide", "Trees guide", "links.toml"),
        ("plants/trees/links.toml", "beginner", "easy", "links.toml: link.level"),
        ("plants/trees/links.toml", 'title = "', "title = ", "links.toml"),
        ("plants/trees/links.toml", 'level = "beginner"', "stars = 5", "links.toml: link.stars"),
        ("plants/trees/topic.toml", "description", "about", "topic.toml: about"),
        ("tags.toml", '"py"', '"python"', "The tag python is in the catalogue twice"),
    ],
)
def test_a_mistake_in_a_file_is_named(
    root: Path, file: str, before: str, after: str, reason: str
) -> None:
    assert len(read_catalogue(root).resources) == 1
    rewrite(root / file, before, after)
    with pytest.raises(ConfigurationError, match=reason):
        read_catalogue(root)


@pytest.mark.parametrize(
    ("again", "reason"),
    [
        (LINK.replace("/guide", "/other"), "The key trees-guide"),
        (LINK.replace("trees-guide", "trees-again").replace("/guide", "/guide/"), "The link https"),
    ],
)
def test_keys_and_urls_are_unique(root: Path, again: str, reason: str) -> None:
    (root / "plants" / "trees" / "links.toml").write_text(LINK + again)
    with pytest.raises(ConfigurationError, match=reason):
        read_catalogue(root)


# --- seeding


async def test_a_seed_fills_an_empty_hub_and_a_second_one_writes_nothing(hub: Hub) -> None:
    catalogue = read_catalogue()
    total = len(catalogue.topics) + len(catalogue.tags) + len(catalogue.resources)
    seen: list[tuple[int, int]] = []
    async with hub.database.transaction() as session:
        report = await seed_catalogue(session, progress=lambda *done: seen.append(done))
    assert report == SeedReport(created=total, updated=0, unchanged=0, kept=0)
    assert seen == [(number, total) for number in range(1, total + 1)]
    before = await rows(hub)
    assert await seed(hub) == SeedReport(created=0, updated=0, unchanged=total, kept=0)
    assert await rows(hub) == before
    topics = (await hub.visitor.read("/topics", limit=100))["items"]
    assert {topic["slug"] for topic in topics} == {topic.slug for topic in catalogue.topics}
    kinds = ("link", "code_sample", "project")
    found = {kind: (await hub.visitor.read("/resources", kind=kind, limit=1)) for kind in kinds}
    for kind, page in found.items():
        [summary] = page["items"]
        read = await hub.visitor.read(f"/resources/{summary['id']}")
        assert read["author"]["username"] == HUB_USERNAME, kind
        assert read["topic"]["slug"], kind
        assert (read["revision"], read["version"]) == (1, 1), kind


async def test_what_a_seed_wrote_is_found_credited_and_told_of(live: Hub, root: Path) -> None:
    hub = live  # only committed events are told
    await seed(hub, root)
    read = await only_resource(hub)
    assert read["tags"] == ["python", "trees"]
    assert read["body_html"] == "<p>Start at the root.</p>\n"
    assert read["topic"] == {"slug": "trees", "name": "Trees"}
    [revision] = (await hub.visitor.read(f"/posts/{read['id']}/revisions"))["items"]
    assert (revision["summary"], revision["editor"]["username"]) == (
        "From the catalogue",
        HUB_USERNAME,
    )
    events = (await hub.visitor.read("/events"))["items"]
    assert [event["type"] for event in events if event["post_id"]] == ["resource.created"]
    assert (await hub.visitor.read("/tags/python"))["synonyms"] == ["py"]
    plants = await hub.visitor.read("/topics/plants")
    assert plants["overview_html"] == "<h2>All that grows</h2>\n"


async def test_an_edited_resource_is_kept_and_an_untouched_one_updated(
    hub: Hub, root: Path
) -> None:
    rita = await hub.person("rita", Role.reviewer)
    await seed(hub, root)
    path = f"/resources/{(await only_resource(hub))['id']}"
    links = root / "plants" / "trees" / "links.toml"
    rewrite(links, "Start at the root.", "Start at the leaves.")
    assert await seed(hub, root) == SeedReport(created=0, updated=1, unchanged=3, kept=0)
    updated = await hub.visitor.read(path)
    assert (updated["body"], updated["revision"]) == ("Start at the leaves.", 2)
    assert await seed(hub, root) == SeedReport(created=0, updated=0, unchanged=4, kept=0)
    assert (await rita.patch(path, {"title": "The guide to trees"})).status_code == 200
    rewrite(links, "leaves", "branches")
    assert await seed(hub, root) == SeedReport(created=0, updated=0, unchanged=3, kept=1)
    kept = await hub.visitor.read(path)
    assert (kept["title"], kept["body"]) == ("The guide to trees", "Start at the leaves.")


async def test_a_deleted_resource_stays_deleted(hub: Hub, root: Path) -> None:
    mod = await hub.person("mod", Role.moderator)
    await seed(hub, root)
    path = f"/resources/{(await only_resource(hub))['id']}"
    assert (await mod.delete(path)).status_code == 204
    rewrite(root / "plants" / "trees" / "links.toml", "Start", "Begin")
    assert (await seed(hub, root)).kept == 1
    assert (await hub.visitor.read("/resources"))["items"] == []


async def test_a_link_that_a_member_added_before_is_theirs(hub: Hub, root: Path) -> None:
    ann = await hub.person("ann")
    await ann.create("/resources", link("Trees", url="http://www.trees.example/guide/"))
    assert await seed(hub, root) == SeedReport(created=3, updated=0, unchanged=0, kept=1)
    assert (await only_resource(hub))["author"]["username"] == "ann"


async def test_a_changed_url_that_a_member_has_leaves_both_as_they_are(
    hub: Hub, root: Path
) -> None:
    ann = await hub.person("ann")
    await seed(hub, root)
    await ann.create("/resources", link("Trees", url="https://trees.example/new"))
    rewrite(root / "plants" / "trees" / "links.toml", "/guide", "/new")
    assert (await seed(hub, root)).kept == 1
    urls = {item["url"] for item in (await hub.visitor.read("/resources"))["items"]}
    assert urls == {"https://trees.example/guide", "https://trees.example/new"}


async def test_an_edited_topic_is_kept_and_an_untouched_one_updated(hub: Hub, root: Path) -> None:
    admin = await hub.person("ada", Role.admin)
    await seed(hub, root)
    topic = root / "plants" / "trees" / "topic.toml"
    rewrite(topic, "Tall ones.", "Tall plants.")
    assert (await seed(hub, root)).updated == 1
    assert (await hub.visitor.read("/topics/trees"))["description"] == "Tall plants."
    assert (await admin.patch("/topics/trees", {"description": "Ours."})).status_code == 200
    rewrite(topic, "Tall plants.", "High plants.")
    assert (await seed(hub, root)).kept == 1
    assert (await hub.visitor.read("/topics/trees"))["description"] == "Ours."


async def test_a_renamed_topic_is_not_made_again(hub: Hub, root: Path) -> None:
    admin = await hub.person("ada", Role.admin)
    await seed(hub, root)
    assert (await admin.patch("/topics/trees", {"slug": "forest"})).status_code == 200
    assert await seed(hub, root) == SeedReport(created=0, updated=0, unchanged=3, kept=1)
    topics = (await hub.visitor.read("/topics"))["items"]
    assert {topic["slug"] for topic in topics} == {"plants", "forest"}
    assert (await only_resource(hub))["revision"] == 1


async def test_a_deleted_topic_stays_deleted_and_takes_nothing_new(hub: Hub, root: Path) -> None:
    admin = await hub.person("ada", Role.admin)
    links = root / "plants" / "trees" / "links.toml"
    links.unlink()
    await seed(hub, root)
    assert (await admin.delete("/topics/trees")).status_code == 204
    links.write_text(LINK)
    assert await seed(hub, root) == SeedReport(created=0, updated=0, unchanged=2, kept=2)
    assert [topic["slug"] for topic in (await hub.visitor.read("/topics"))["items"]] == ["plants"]
    assert (await hub.visitor.read("/resources"))["items"] == []


async def test_tags_that_an_admin_described_and_words_in_use_are_left_alone(
    hub: Hub, root: Path
) -> None:
    admin = await hub.person("ada", Role.admin)
    await admin.create("/resources", link(tags=["py", "python"]))
    assert (await seed(hub, root)).kept == 0
    python = await hub.visitor.read("/tags/python")
    assert (python["description"], python["synonyms"]) == ("A language.", [])
    assert (await admin.patch("/tags/python", {"description": "Ours."})).status_code == 200
    assert (await seed(hub, root)).kept == 1
    assert (await hub.visitor.read("/tags/python"))["description"] == "Ours."


async def test_a_technique_that_a_new_version_ships_is_added(hub: Hub, root: Path) -> None:
    await seed(hub, root)
    bushes = root / "plants" / "bushes"
    shutil.copytree(root / "plants" / "trees", bushes)
    text = LINK.replace("trees", "bushes")
    (bushes / "links.toml").write_text(text)
    assert await seed(hub, root) == SeedReport(created=2, updated=0, unchanged=4, kept=0)


# --- accounts


async def test_nobody_signs_in_or_registers_as_the_hub(hub: Hub, root: Path) -> None:
    await seed(hub, root)
    for name, status in ((HUB_USERNAME, 422), ("backend-fan", 201)):
        form = {"username": name, "email": "x@example.org", "password": DEMO_PASSWORD}
        assert (await hub.visitor.post("/auth/register", form)).status_code == status
    form = {"username": HUB_USERNAME, "password": DEMO_PASSWORD}
    refused = await hub.visitor.request("POST", "/auth/token", data=form)
    assert refused.json()["error"] == "invalid_grant"


async def test_the_demo_accounts_sign_in_and_are_made_once(hub: Hub) -> None:
    for _ in range(2):
        async with hub.database.transaction() as session:
            await seed_demo(session)
    for name, role in DEMO_ACCOUNTS.items():
        form = {"username": name, "password": DEMO_PASSWORD}
        tokens = await hub.visitor.request("POST", "/auth/token", data=form)
        assert tokens.status_code == 200, tokens.text
        bearer = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
        me = (await hub.visitor.get("/users/me", headers=bearer)).json()
        assert me["role"] == role
    assert (await rows(hub))["users"] == 2

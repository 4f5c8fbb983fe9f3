"""No hot statement reads a whole large table; `python -m bench.plans` shows each plan."""

import pytest

from backend_hub.settings import Settings
from bench.plans import hot_statements, large_tables, make_world, planner, whole_scans
from tests.conftest import make_database

KNOWN = {
    # One count a topic takes every post; this index holds nothing else (models.py).
    ("topics", "posts: all of ix_posts_topic_id_kind_shown"),
    ("topic", "posts: all of ix_posts_topic_id_kind_shown"),
    # Tags count all less the hidden posts; this index holds those, by their id alone.
    ("tags", "posts: all of ix_posts_hidden"),
    ("tags, page 2", "posts: all of ix_posts_hidden"),
    ("tag", "posts: all of ix_posts_hidden"),
    # Facets count up to 10,000 matches (search/schemas.py), here most of what there is.
    ("search a topic", "post_tags: all of ix_post_tags_tag_id_post_id"),
    ("search a topic", "posts: all of ix_posts_topic_id_kind_id"),
    ("search a topic", "posts: sequential scan"),
    ("search a kind, top", "post_tags: all of ix_post_tags_tag_id_post_id"),
}


@pytest.fixture(scope="module")
async def world(settings: Settings, worker_name: str) -> str:
    """The URL of a database with 25,000 posts and what people did to them."""
    url = await make_database(settings.database_url, f"hub_plans_{worker_name}")
    url = url.replace("+asyncpg", "")
    await make_world(url)
    return url


async def test_no_hot_statement_reads_a_whole_large_table(world: str) -> None:
    statements = await hot_statements(world)
    async with planner(world) as connection:
        large = await large_tables(connection)
        found = {
            (name, scan)
            for name, asked in statements.items()
            for statement in asked
            for scan in await whole_scans(connection, statement, large)
        }
    assert found - KNOWN == set()
    assert {"posts", "users", "comments", "events", "refresh_tokens"} <= set(large)
    assert {"questions newest", "questions newest, page 2", "search words", "vote"} <= set(
        statements
    )


async def test_a_statement_that_no_index_serves_is_found(world: str) -> None:
    async with planner(world) as connection:
        large = await large_tables(connection)
        by_text = ("SELECT id FROM posts WHERE body = $1", ("x",))
        sorted_by_text = ("SELECT id FROM posts ORDER BY license LIMIT 1", ())
        assert await whole_scans(connection, by_text, large) == ["posts: sequential scan"]
        assert await whole_scans(connection, sorted_by_text, large)

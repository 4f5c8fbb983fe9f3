import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection, sql

from members import migrate

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://postgres@localhost:5432/postgres")


@pytest.fixture(scope="session")
def schema() -> Iterator[str]:
    """A fresh schema, built by the real migrations, once a run and dropped afterwards."""
    name = f"members_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(DATABASE_URL, autocommit=True, connect_timeout=5) as admin:
        admin.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        try:
            with psycopg.connect(DATABASE_URL, options=f"-c search_path={name}") as conn:
                migrate(conn)
            yield name
        finally:
            admin.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


@pytest.fixture
def conn(schema: str) -> Iterator[Connection]:
    """A connection whose work is rolled back, so that every test starts from empty tables."""
    with psycopg.connect(DATABASE_URL, options=f"-c search_path={schema}") as conn:
        with conn.transaction(force_rollback=True):
            yield conn


@pytest.fixture
def invite(conn: Connection):
    def make(code: str = "WELCOME", valid_for: str = "1 day") -> str:
        conn.execute(
            "INSERT INTO invitation (code, expires_at) VALUES (%s, now() + %s::interval)",
            (code, valid_for),
        )
        return code

    return make

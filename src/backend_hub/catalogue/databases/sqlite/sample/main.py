"""A small notes store on SQLite: migrations, foreign keys, transactions, full-text search."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

# Each entry upgrades the file by one version. Never edit an entry that has been released: append.
MIGRATIONS = [
    """
    CREATE TABLE notebook (
        id   INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE note (
        id          INTEGER PRIMARY KEY,
        notebook_id INTEGER NOT NULL REFERENCES notebook (id) ON DELETE CASCADE,
        title       TEXT NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
        body        TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX note_notebook ON note (notebook_id);
    """,
    """
    CREATE VIRTUAL TABLE note_search USING fts5 (title, body, content='note', content_rowid='id');
    CREATE TRIGGER note_added AFTER INSERT ON note BEGIN
        INSERT INTO note_search (rowid, title, body) VALUES (new.id, new.title, new.body);
    END;
    CREATE TRIGGER note_removed AFTER DELETE ON note BEGIN
        INSERT INTO note_search (note_search, rowid, title, body)
        VALUES ('delete', old.id, old.title, old.body);
    END;
    """,
]


def connect(path: Path) -> sqlite3.Connection:
    # isolation_level=None: Python opens no transactions behind our back, we say BEGIN ourselves.
    db = sqlite3.connect(path, timeout=5, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA foreign_keys = ON")  # off by default, and per connection
    db.execute("PRAGMA journal_mode = WAL")  # readers do not block the writer
    db.execute("PRAGMA synchronous = NORMAL")
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")  # take the write lock now, not half way through
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def statements(script: str) -> Iterator[str]:
    """Split a script where SQLite itself says that a statement is complete."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def migrate(db: sqlite3.Connection) -> int:
    """Bring the file up to date; returns how many migrations were applied."""
    with transaction(db):
        version = db.execute("PRAGMA user_version").fetchone()[0]
        for script in MIGRATIONS[version:]:
            for statement in statements(script):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")  # takes no parameters
    return len(MIGRATIONS) - version


def add_notes(db: sqlite3.Connection, notebook: str, notes: list[tuple[str, str]]) -> None:
    with transaction(db):  # all of them or none; also far quicker than one commit a row
        db.execute("INSERT INTO notebook (name) VALUES (?) ON CONFLICT DO NOTHING", (notebook,))
        (notebook_id,) = db.execute("SELECT id FROM notebook WHERE name = ?", (notebook,)).fetchone()
        db.executemany(
            "INSERT INTO note (notebook_id, title, body) VALUES (?, ?, ?)",
            [(notebook_id, title, body) for title, body in notes],
        )


def search(db: sqlite3.Connection, words: str) -> list[str]:
    # Quote every word: what a user types is text to look for, not query syntax.
    query = " ".join('"' + word.replace('"', '""') + '"' for word in words.split())
    rows = db.execute(
        "SELECT rowid, title FROM note_search WHERE note_search MATCH ? ORDER BY rank, rowid", (query,)
    )
    return [row["title"] for row in rows]


def count(db: sqlite3.Connection) -> int:
    return db.execute("SELECT count(*) FROM note").fetchone()[0]


with tempfile.TemporaryDirectory() as folder, closing(connect(Path(folder) / "notes.db")) as db:
    print("migrations applied:", migrate(db), "then", migrate(db))

    add_notes(db, "backend", [
        ("Indexes", "A B-tree index turns a scan into a search."),
        ("Write-ahead log", "Readers keep reading while one writer appends."),
        ("Robert'); DROP TABLE note;--", "Just a title, thanks to parameters."),
    ])
    print("notes:", count(db))

    try:
        add_notes(db, "backend", [("Fine", ""), ("", "an empty title breaks the CHECK")])
    except sqlite3.IntegrityError as error:
        print("rolled back:", error)
    print("notes:", count(db))

    print("search 'writer':", search(db, "writer"))
    print("search 'index search':", search(db, "index search"))

    plan = db.execute("EXPLAIN QUERY PLAN SELECT title FROM note WHERE notebook_id = ?", (1,)).fetchone()
    print("uses the index:", "note_notebook" in plan["detail"])

    with transaction(db):
        db.execute("DELETE FROM notebook WHERE name = ?", ("backend",))
    print("after deleting the notebook:", count(db), "notes,", search(db, "writer"))

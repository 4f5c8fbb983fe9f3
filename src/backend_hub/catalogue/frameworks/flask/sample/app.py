import os
import sqlite3

from flask import Blueprint, Flask, abort, current_app, g, jsonify, request, url_for
from werkzeug.exceptions import HTTPException

notes = Blueprint("notes", __name__, url_prefix="/notes")

SCHEMA = """
CREATE TABLE IF NOT EXISTS note (
    id      INTEGER PRIMARY KEY,
    title   TEXT NOT NULL,
    done    INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1))
)
"""


def create_app(config=None):
    """Build one application; tests and production pass different settings."""
    app = Flask(__name__)
    app.config.from_mapping(
        DATABASE=os.environ.get("NOTES_DATABASE", "notes.db"),
        MAX_CONTENT_LENGTH=16 * 1024,  # a larger body is refused with 413
    )
    app.config.from_mapping(config or {})

    app.register_blueprint(notes)
    app.register_error_handler(HTTPException, error_as_json)
    app.teardown_appcontext(close_db)
    with app.app_context():
        get_db().execute(SCHEMA)
    return app


def get_db():
    """The database connection of this request, opened when first needed."""
    if "db" not in g:
        g.db = sqlite3.connect(current_app.config["DATABASE"], timeout=5)
        g.db.row_factory = sqlite3.Row
    return g.db


def close_db(_error=None):
    db = g.pop("db", None)
    if db is not None:
        db.close()


def error_as_json(error):
    return {"error": error.name, "detail": error.description}, error.code


def note_as_dict(row):
    return {"id": row["id"], "title": row["title"], "done": bool(row["done"])}


@notes.get("")
def list_notes():
    rows = get_db().execute("SELECT id, title, done FROM note ORDER BY id")
    return jsonify([note_as_dict(row) for row in rows])


@notes.post("")
def create_note():
    body = request.get_json()  # 415 when it is not JSON, 400 when it is damaged
    title = body.get("title") if isinstance(body, dict) else None
    if not isinstance(title, str) or not 1 <= len(title.strip()) <= 100:
        abort(422, "title must be a text of 1 to 100 characters")
    with get_db() as db:  # commits on success, rolls back on an exception
        row = db.execute(
            "INSERT INTO note (title) VALUES (?) RETURNING id, title, done",
            (title.strip(),),
        ).fetchone()
    return note_as_dict(row), 201, {"Location": url_for(".get_note", note_id=row["id"])}


@notes.get("/<int:note_id>")
def get_note(note_id):
    row = (
        get_db()
        .execute("SELECT id, title, done FROM note WHERE id = ?", (note_id,))
        .fetchone()
    )
    if row is None:
        abort(404, f"there is no note {note_id}")
    return note_as_dict(row)


@notes.post("/<int:note_id>/done")
def finish_note(note_id):
    with get_db() as db:
        db.execute("UPDATE note SET done = 1 WHERE id = ?", (note_id,))
    return get_note(note_id)

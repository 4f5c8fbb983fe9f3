"""Call the application without a network, as a test would."""

import tempfile
from pathlib import Path

from app import create_app


def show(label, response):
    print(f"{label:<15} {response.status_code} {response.get_data(as_text=True).strip()}")


def show_error(label, response):
    assert response.json.keys() == {"error", "detail"}
    print(f"{label:<15} {response.status_code} {response.mimetype}")


with tempfile.TemporaryDirectory() as folder:
    app = create_app({"DATABASE": Path(folder, "notes.db")})
    app.json.compact = True
    client = app.test_client()

    created = client.post("/notes", json={"title": "  Read the tutorial "})
    show("create", created)
    show("follow Location", client.get(created.headers["Location"]))
    show("create, sneaky", client.post("/notes", json={"title": "x'); DROP TABLE note;--"}))
    show("finish", client.post("/notes/1/done"))
    show("list", client.get("/notes"))
    print()
    show_error("empty title", client.post("/notes", json={"title": " "}))
    show_error("not JSON", client.post("/notes", data="title=hello"))
    show_error("unknown note", client.get("/notes/99"))
    show_error("wrong method", client.delete("/notes/1"))
    show_error("too large", client.post("/notes", json={"title": "x" * 20_000}))

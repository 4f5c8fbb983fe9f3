"""What PostgreSQL writes as JSON is JSON, whatever the values are."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    JSON,
    Boolean,
    DateTime,
    Double,
    Integer,
    Select,
    Text,
    Uuid,
    bindparam,
    null,
    select,
)
from sqlmodel import col

from backend_hub.json_text import as_json, json_array, json_object
from backend_hub.posts.models import Post
from backend_hub.resources.models import Resource
from backend_hub.statements import prepare
from tests.hub import Hub, link, question

TEXTS = ["plain", "", 'a "b" \\ \b\f\n\r\t \x7f \u2028 \U0001f600', "{'}", "%s :name $1"]
ID = UUID("019b7cd0-8900-7004-850c-40cd78b0ed3c")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC)
VALUES: dict[str, tuple[Any, Any, Any]] = {
    "number": (Integer(), -7, -7),
    "fraction": (Double(), 0.25, 0.25),
    "yes": (Boolean(), True, True),
    "no": (Boolean(), False, False),
    "id": (Uuid(), ID, str(ID)),
    "moment": (DateTime(timezone=True), MOMENT, "2026-01-02T03:04:05.000060Z"),
    "whole": (DateTime(timezone=True), MOMENT.replace(microsecond=0), "2026-01-02T03:04:05Z"),
    "json": (JSON(), '{"a": [1, null]}', {"a": [1, None]}),
    **{f"text{number}": (Text(), text, text) for number, text in enumerate(TEXTS)},
}
"""By the name of a column, its type, what is sent to PostgreSQL, and what it is in JSON."""


async def read(hub: Hub, statement: Select[Any], values: dict[str, Any]) -> list[Any]:
    rows = await hub.database.fetch(prepare(statement), values)
    return [orjson.loads(row["json"]) for row in rows]


async def test_every_kind_of_value(hub: Hub) -> None:
    columns = [bindparam(name, type_=kind).label(name) for name, (kind, *_) in VALUES.items()]
    sent = {name: value for name, (_, value, _) in VALUES.items()}
    expected = {name: shown for name, (*_, shown) in VALUES.items()}
    assert await read(hub, as_json(select(*columns)), sent) == [expected]


async def test_any_value_may_be_missing(hub: Hub) -> None:
    columns = [bindparam(name, type_=kind).label(name) for name, (kind, *_) in VALUES.items()]
    missing = [*columns, null().label("nothing")]
    found = await read(hub, as_json(select(*missing)), dict.fromkeys(VALUES))
    assert found == [dict.fromkeys([*VALUES, "nothing"])]


async def test_a_required_column_is_null_where_an_outer_join_found_no_row(hub: Hub) -> None:
    ann = await hub.person("ann")
    asked = await ann.create("/questions", question("Which one is first?"))
    shared = await ann.create("/resources", link())
    statement: Any = (
        select(col(Post.id), col(Resource.post_id), col(Resource.kind))
        .select_from(Post)
        .outerjoin(Resource, col(Resource.post_id) == Post.id)
        .where(col(Post.id).in_([UUID(asked["id"]), UUID(shared["id"])]))
        .order_by(col(Post.id))
    )
    assert await read(hub, as_json(statement), {}) == [
        {"id": asked["id"], "post_id": None, "kind": None},
        {"id": shared["id"], "post_id": shared["id"], "kind": "link"},
    ]


async def test_an_array_keeps_the_order_of_its_rows(hub: Hub) -> None:
    ann = await hub.person("ann")
    made = [await ann.create("/questions", question(f"Which one is number {n}?")) for n in range(3)]
    ids = [UUID(one["id"]) for one in made]
    rows: Any = select(col(Post.id), col(Post.title)).where(col(Post.id).in_(ids))
    newest = json_array(rows.order_by(col(Post.id).desc()).limit(2))
    none = json_array(rows.where(col(Post.title) == "").limit(2))
    statement = select(json_object([newest.label("newest"), none.label("none")]).label("json"))
    shown = [{"id": one["id"], "title": one["title"]} for one in reversed(made)]
    assert await read(hub, statement, {}) == [{"newest": shown[:2], "none": []}]

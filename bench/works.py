"""What is asked of the hub and of its peers, and how an answer is known to be right."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

WORKS = {
    "W1": "the newest 20 questions with author and tags",
    "W2": "one question with its answers and authors",
    "W3": "search, top 20, with snippets",
    "W5": "W1 again with If-None-Match",
    "W7": "health: no work",
    "W9": "20 resources of a topic and all below it",
}


@dataclass(frozen=True)
class Expected:
    """Ids that the right answers hold, asked of PostgreSQL by a way of its own."""

    newest: list[str]
    question: str
    answers: list[str]
    found: set[str]
    in_topic: list[str]


async def expected(url: str) -> Expected:
    connection = await asyncpg.connect(url)

    async def ids(sql: str, *values: Any) -> list[str]:
        return [str(row[0]) for row in await connection.fetch(sql, *values)]

    newest = await ids("SELECT id FROM posts WHERE kind = 'question' ORDER BY id DESC LIMIT 20")
    answers = await ids("SELECT id FROM posts WHERE parent_id = $1", newest[0])
    found = await ids("SELECT id FROM posts WHERE body ~ '\\mneedle\\M'")
    in_topic = await ids(
        "SELECT p.id FROM posts p JOIN topics t ON t.id = p.topic_id LEFT JOIN topics up"
        " ON up.id = t.parent_id WHERE p.kind = 'resource' AND 'topic-1' IN (t.slug, up.slug)"
        " ORDER BY p.id DESC LIMIT 20"
    )
    await connection.close()
    return Expected(newest, newest[0], answers, set(found), in_topic)


def checks(right: Expected) -> dict[str, Callable[[int, bytes], bool]]:
    """For each work whether a status and a body are right."""

    def ids(body: bytes) -> list[str]:
        return [item["id"] for item in json.loads(body)["items"]]

    def whole(status: int, body: bytes) -> bool:
        question = json.loads(body)
        listed = {answer["id"] for answer in question["answers"]}
        return question["id"] == right.question and listed == set(right.answers)

    def hits(status: int, body: bytes) -> bool:
        listed = ids(body)
        wanted = min(20, len(right.found))
        return len(set(listed)) == wanted and set(listed) <= right.found

    return {
        "W1": lambda status, body: ids(body) == right.newest,
        "W2": whole,
        "W3": hits,
        "W5": lambda status, body: status == 304 and not body,
        "W7": lambda status, body: status == 200,
        "W9": lambda status, body: ids(body) == right.in_topic,
    }

"""What is asked of the hub and of its peers, and how an answer is known to be right."""

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import asyncpg

from bench.database import NEW, VOTER, WRITER

WORKS = {
    "W1": "the newest 20 questions with author, topic and tags",
    "W2": "one question with its answers, authors and comments",
    "W3": "search, top 20, with snippets",
    "W1v": "W1, each request at another of the list's first 100 places",
    "W2v": "W2, each request another of the newest 100 questions",
    "W3v": "W3, each request with another alternative, which is in no post",
    "W4": "ask a question of 1 kB with three tags: signed in, with an Idempotency-Key",
    "W5": "W1 again with If-None-Match: 304",
    "W6": "W1, 500,000 questions deep (or half-way) by cursor",
    "W7": "health: no work",
    "W8": "vote on a post: signed in",
    "W9": "20 resources of a topic and all below it",
    "W10": "sign in with a password: Argon2id, 19 MiB, two passes, one lane",
}
WRITES = ("W4", "W8", "W10")
VARIANTS = 100
"""Requests in turn: of those that wait at the same time, no two are the same."""
DEPTH = 500_000
VOTED = 2_000
TITLE = "Which index serves a page that is sorted by score and then by id?"
QUESTION = {
    "title": TITLE,
    "body": "A page is sorted by score, and by id where scores are equal. " * 16,
    "topic": "topic-1",
    "tags": ["query", "index", "table"],
}


@dataclass(frozen=True)
class Expected:
    """What the right answers hold, asked of PostgreSQL by a way of its own."""

    newest: list[Any]
    """So many that a page of 20 begins after each of VARIANTS."""
    deep: list[Any]
    before: str
    """The id after which the deep page begins."""
    wholes: list[dict[str, Any]]
    """The newest questions with answers and comments."""
    found: dict[str, str]
    in_topic: list[Any]
    voted: list[str]
    members: list[str]
    """Names of people who sign in, each with the same password."""


_LISTED = (
    "SELECT p.id, p.title, u.username, coalesce(array_agg(t.name ORDER BY pt.position)"
    " FILTER (WHERE t.id IS NOT NULL), '{{}}') FROM posts p JOIN users u ON u.id = p.author_id"
    " LEFT JOIN post_tags pt ON pt.post_id = p.id LEFT JOIN tags t ON t.id = pt.tag_id"
    " WHERE p.id IN ({}) GROUP BY p.id, u.id ORDER BY p.id DESC"
)


async def expected(url: str) -> Expected:
    connection = await asyncpg.connect(url)

    async def listed(ids: str, *values: Any) -> list[Any]:
        rows = await connection.fetch(_LISTED.format(ids), *values)
        return [[str(row[0]), *list(row)[1:]] for row in rows]

    questions = "SELECT id FROM posts WHERE kind = 'question'"
    count = await connection.fetchval("SELECT count(*) FROM questions")
    before = await connection.fetchval(
        f"{questions} ORDER BY id DESC OFFSET $1 LIMIT 1", min(DEPTH, count // 2) - 1
    )

    async def whole(item: list[Any]) -> dict[str, Any]:
        answers = await connection.fetch(
            "SELECT p.id, p.body, u.username FROM posts p JOIN users u ON u.id = p.author_id"
            " WHERE parent_id = $1",
            item[0],
        )
        commented = await connection.fetch(
            "SELECT c.post_id::text, c.id::text, c.body, u.username FROM comments c"
            " JOIN users u ON u.id = c.author_id WHERE c.post_id = ANY ($1::uuid[]) ORDER BY c.id",
            [item[0], *(row[0] for row in answers)],
        )
        comments: dict[str, list[Any]] = defaultdict(list)
        for post_id, *comment in commented:
            comments[post_id].append(comment)
        return {
            "item": item,
            "body": await connection.fetchval("SELECT body FROM posts WHERE id = $1", item[0]),
            "comments": comments[item[0]],
            "answers": {str(row[0]): [row[1], row[2], comments[str(row[0])]] for row in answers},
        }

    newest = await listed(f"{questions} ORDER BY id DESC LIMIT {VARIANTS + 20}")
    wholes = [await whole(item) for item in newest[:VARIANTS]]
    found = await connection.fetch(
        "SELECT p.id, u.username FROM posts p JOIN users u ON u.id = p.author_id"
        " WHERE p.body LIKE '% needle'"
    )
    in_topic = await listed(
        "SELECT p.id FROM posts p JOIN topics t ON t.id = p.topic_id LEFT JOIN topics up"
        " ON up.id = t.parent_id WHERE p.kind = 'resource' AND 'topic-1' IN (t.slug, up.slug)"
        " ORDER BY p.id DESC LIMIT 20"
    )
    voted = await connection.fetch(f"{questions} ORDER BY id LIMIT $1", VOTED)
    members = await connection.fetch("SELECT username FROM users WHERE username LIKE 'member%'")
    deep = await listed(f"{questions} AND id < $1 ORDER BY id DESC LIMIT 20", before)
    await connection.close()
    return Expected(
        newest=newest,
        deep=deep,
        before=str(before),
        wholes=wholes,
        found={str(row[0]): row[1] for row in found},
        in_topic=in_topic,
        voted=[str(row[0]) for row in voted],
        members=[row[0] for row in members],
    )


def _item(item: dict[str, Any]) -> list[Any]:
    """What is compared of a post in a list."""
    tags = [tag if isinstance(tag, str) else tag["name"] for tag in item["tags"]]
    return [item["id"], item["title"], item["author"]["username"], tags]


def _comments(post: dict[str, Any]) -> list[Any]:
    """What is compared of the comments under a post, in their order."""
    return [[c["id"], c["body"], c["author"]["username"]] for c in post["comments"]]


def is_right(right: Expected, work: str, number: int, status: int, body: bytes) -> bool:
    """Whether an answer to a work is right; `number` is that of the request, for those that vary."""
    if work == "W5":
        return status == 304 and not body
    if work == "W7":
        return status == 200
    answer = json.loads(body)
    match work:
        case "W1" | "W1v" | "W6" | "W9":
            pages = {
                "W1": right.newest[:20],
                "W1v": right.newest[number + 1 : number + 21],
                "W6": right.deep,
                "W9": right.in_topic,
            }
            return [_item(item) for item in answer["items"]] == pages[work]
        case "W2" | "W2v":
            return _whole(answer) == right.wholes[number]
        case "W3" | "W3v":
            listed = {item["id"]: item["author"]["username"] for item in answer["items"]}
            return (
                len(listed) == min(20, len(right.found)) and listed.items() <= right.found.items()
            )
        case "W4":
            return status == 201 and _item(answer)[1:] == [TITLE, WRITER, QUESTION["tags"]]
        case "W8":
            return answer["value"] in (-1, 1)
        case _:
            return answer["access_token"].count(".") == 2


def _whole(question: dict[str, Any]) -> dict[str, Any]:
    """What is compared of a question with its answers."""
    return {
        "item": _item(question),
        "body": question["body"],
        "comments": _comments(question),
        "answers": {
            answer["id"]: [answer["body"], answer["author"]["username"], _comments(answer)]
            for answer in question["answers"]
        },
    }


async def written(url: str, work: str) -> int | None:
    """How many of a work's writes are in the database; None when rows that belong together are
    not all there."""
    connection = await asyncpg.connect(url)
    found: int | None
    if work == "W4":
        row = await connection.fetchrow(
            "SELECT count(*), count(q.post_id), coalesce(sum(cardinality(array("
            "SELECT 1 FROM post_tags t WHERE t.post_id = p.id))), 0),"
            " (SELECT count(*) FROM idempotency_records), count(search)"
            " FROM posts p LEFT JOIN questions q ON q.post_id = p.id WHERE p.id > $1",
            NEW,
        )
        count = row[0]
        found = count if tuple(row) == (count, count, 3 * count, count, count) else None
    elif work == "W8":
        votes, moved = await connection.fetchrow(
            "SELECT (SELECT coalesce(sum(value), 0) FROM votes), sum(score - ("
            " (hashint4(n::int + 4) & 2147483647) % 40 - 5)) FROM (SELECT score,"
            " row_number() OVER (ORDER BY id) AS n FROM posts WHERE kind = 'question' AND id < $1)"
            " AS numbered WHERE n <= $2",
            NEW,
            VOTED,
        )
        voters = await connection.fetchval(
            "SELECT count(*) FROM users u WHERE u.username <> $1"
            " AND EXISTS (SELECT FROM votes v WHERE v.user_id = u.id)",
            VOTER,
        )
        count = await connection.fetchval("SELECT count(*) FROM votes")
        found = count if votes == moved and not voters else None
    else:
        found = await connection.fetchval("SELECT count(*) FROM refresh_tokens")
    await connection.close()
    return found

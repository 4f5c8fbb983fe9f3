"""The hub as its users meet it: people who are signed in, and what they write."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import text, update
from sqlmodel import col

from backend_hub.db import Database
from backend_hub.users.models import Role, User

API = "/api/v1"
PASSWORD = "seven calm otters swim"


@dataclass
class Person:
    """Somebody who uses the API; without a token a visitor."""

    client: httpx.AsyncClient
    username: str = ""
    id: str = ""
    access_token: str = ""
    refresh_token: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    settled: Callable[[], Awaitable[None]] | None = None
    """Awaited before the event log is read."""

    async def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Call the API; `path` is below /api/v1, unless it begins there."""
        headers = {**self.headers, **kwargs.pop("headers", {})}
        url = path if path.startswith((API, "/health", "/.well-known")) else f"{API}{path}"
        return await self.client.request(method, url, headers=headers, **kwargs)

    async def get(self, path: str, **kwargs: Any) -> httpx.Response:
        if self.settled is not None and path.startswith("/events"):
            await self.settled()
        return await self.request("GET", path, **kwargs)

    async def post(self, path: str, json: Any = None, **kwargs: Any) -> httpx.Response:
        return await self.request("POST", path, json=json, **kwargs)

    async def put(self, path: str, json: Any = None, **kwargs: Any) -> httpx.Response:
        return await self.request("PUT", path, json=json, **kwargs)

    async def patch(self, path: str, json: Any, if_match: str = "*") -> httpx.Response:
        return await self.request("PATCH", path, json=json, headers={"If-Match": if_match})

    async def delete(self, path: str, if_match: str = "*") -> httpx.Response:
        return await self.request("DELETE", path, headers={"If-Match": if_match})

    async def create(self, path: str, json: Any) -> dict[str, Any]:
        """POST and return what was created."""
        response = await self.post(path, json)
        assert response.status_code == 201, response.text
        created: dict[str, Any] = response.json()
        return created

    async def read(self, path: str, **params: Any) -> dict[str, Any]:
        """GET and return what was read."""
        response = await self.get(path, params=params or None)  # httpx drops the path's own for {}
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found


@dataclass
class Hub:
    """The hub under test."""

    client: httpx.AsyncClient
    database: Database
    commits: bool = False
    """Whether requests commit, and do not end in a transaction of the test's own."""

    @property
    def visitor(self) -> Person:
        """Somebody who is not signed in."""
        return Person(self.client, settled=self.settled if self.commits else None)

    async def settled(self) -> None:
        """Wait for transactions of other tests on the same server: they hold back our events."""
        waiting = text(
            "SELECT max(transaction_id) >= (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint"
            " FROM events"
        )
        async with asyncio.timeout(300), self.database.reading() as session:
            while await session.scalar(waiting):  # noqa: ASYNC110 - other processes hold it
                await asyncio.sleep(0.02)

    async def person(self, username: str, role: Role = Role.member) -> Person:
        """Register somebody, give them a role, and sign them in."""
        form = {"username": username, "email": f"{username}@example.org", "password": PASSWORD}
        user = await self.visitor.create("/auth/register", form)
        if role is not Role.member:
            async with self.database.transaction() as session:
                await session.execute(
                    update(User).where(col(User.id) == user["id"]).values(role=role)
                )
        return await self.sign_in(username, user["id"])

    async def sign_in(self, username: str, user_id: str = "") -> Person:
        form = {"username": username, "password": PASSWORD}
        response = await self.visitor.request("POST", "/auth/token", data=form)
        assert response.status_code == 200, response.text
        tokens = response.json()
        return Person(
            self.client,
            username,
            user_id,
            tokens["access_token"],
            tokens["refresh_token"],
            {"Authorization": f"Bearer {tokens['access_token']}"},
            self.visitor.settled,
        )

    async def topic(self, slug: str, parent: str | None = None) -> dict[str, Any]:
        """Add a topic, as an admin would."""
        admin = await self.person(f"admin-of-{slug}"[:30], Role.admin)
        form = {"slug": slug, "name": slug.title(), "parent": parent}
        return await admin.create("/topics", form)


def link(title: str = "A guide to indexes", **fields: Any) -> dict[str, Any]:
    """A link to add; the URL follows from the title."""
    slug = title.lower().replace(" ", "-")
    return {
        "kind": "link",
        "title": title,
        "url": f"https://example.org/{slug}",
        "link_type": "article",
        "body": f"All about *{title}*.",
        **fields,
    }


def code_sample(title: str = "Hello", **fields: Any) -> dict[str, Any]:
    return {
        "kind": "code_sample",
        "title": title,
        "body": "Prints a greeting.",
        "programming_language": "python",
        "files": [{"name": "main.py", "content": "print('hello')\n"}],
        "run": "python main.py",
        "expected_output": "hello\n",
        **fields,
    }


def project(title: str = "A URL shortener", **fields: Any) -> dict[str, Any]:
    return {
        "kind": "project",
        "title": title,
        "body": "Build it.",
        "difficulty": "easy",
        "estimated_hours": 8,
        "milestones": [{"title": "Redirects"}],
        "acceptance_criteria": ["An unknown link answers 404."],
        **fields,
    }


def question(title: str = "Why is my index not used?", **fields: Any) -> dict[str, Any]:
    """A question to ask."""
    return {"title": title, "body": f"It is about *{title}*", **fields}


async def answered(asker: Person, *answerers: Person, **fields: Any) -> tuple[str, list[str]]:
    """The id of a question, and of one answer by each of the answerers."""
    asked = await asker.create("/questions", question(**fields))
    path = f"/questions/{asked['id']}/answers"
    texts = [{"body": f"{person.username} knows"} for person in answerers]
    answers = [await p.create(path, text) for p, text in zip(answerers, texts, strict=True)]
    return asked["id"], [answer["id"] for answer in answers]

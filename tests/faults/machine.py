"""The real program under load: who writes, what was acknowledged, and what the database holds."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from backend_hub import embedded
from backend_hub.auth.keys import load_key_ring
from backend_hub.auth.models import TokenFamily
from backend_hub.auth.scopes import SCOPES
from backend_hub.auth.tokens import TokenService
from backend_hub.db import Database, utcnow
from backend_hub.settings import load_settings
from backend_hub.users.models import Role, User
from tests.program.conftest import Program

SECRET = "Zk3v9QpX7mT2wLr8JfB5nHc1YsDg6uAe0iOt4RxV"
ENVIRONMENT = {
    "HUB_SECRET_KEY": SECRET,
    "HUB_RATE_LIMIT": "10000000/minute",
    "HUB_SIGN_IN_RATE_LIMIT": "10000000/minute",
    "HUB_LOG_LEVEL": "warning",
}
Headers = dict[str, str]


def database_server(program: Program) -> embedded.Server:
    """The embedded PostgreSQL of a hub that runs."""
    server = embedded.running(program.folder / ".hub")
    assert server is not None
    return server


def database_url(program: Program) -> str:
    place = (program.folder / ".hub/postgres").resolve()
    embedded_url = f"postgresql+asyncpg://postgres@/postgres?host={place}"
    return program.environment.get("HUB_DATABASE_URL") or embedded_url


async def people(program: Program, count: int, role: Role = Role.member) -> list[Headers]:
    """Accounts that are signed in; written at once, for two hundred passwords take their time."""
    settings = load_settings(environment="development", secret_key=SECRET)
    database = Database(settings, database_url(program))
    users = [
        User(username=f"p{uuid4().hex[:20]}", display_name="P", role=role) for _ in range(count)
    ]
    families = [
        TokenFamily(user_id=u.id, scope="", expires_at=utcnow() + timedelta(hours=1)) for u in users
    ]
    try:
        async with database.transaction() as session:
            keys = await load_key_ring(session, SECRET)
            session.add_all(users)
            await session.flush()
            session.add_all(families)
    finally:
        await database.dispose()
    tokens = TokenService(keys, program.environment.get("HUB_PUBLIC_URL", program.url))
    return [
        {"Authorization": f"Bearer {tokens.issue(f.user_id, f.id, SCOPES, 3_600)}"}
        for f in families
    ]


@asynccontextmanager
async def direct(program: Program) -> AsyncIterator[Any]:
    """A connection to the hub's database beside the hub."""
    url = database_url(program).replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def http(program: Program, seconds: float = 30) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(base_url=program.url, timeout=seconds, limits=limits)


def new_question(key: str, body: str = "Who knows?") -> dict[str, str]:
    return {"title": f"Question {key}", "body": body}


@dataclass
class Ledger:
    """What the clients were told, written down outside of the hub."""

    name: str = field(default_factory=lambda: uuid4().hex[:12])
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Key of a question, and the id that the 201 named."""
    authors: dict[str, Headers] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """Answers that break the promise: no 201, and no refusal that says when to come back."""

    async def ask(self, client: httpx.AsyncClient, person: Headers, body: str = "Who?") -> None:
        """Post one question, and again with the same key until it is acknowledged."""
        key = f"{self.name}-{uuid4().hex}"
        headers = {**person, "Idempotency-Key": key}
        while key not in self.acknowledged and not self.wrong:
            try:
                answer = await client.post(
                    "/api/v1/questions", json=new_question(key, body), headers=headers
                )
            except httpx.TransportError:
                self.outcomes["no answer"] += 1
                await asyncio.sleep(0.05)
                continue
            replayed = " replayed" if "Idempotency-Replayed" in answer.headers else ""
            self.outcomes[f"{answer.status_code}{replayed}"] += 1
            if answer.status_code == 201:
                self.acknowledged[key] = answer.json()["id"]
                self.authors[key] = person
            elif answer.status_code not in {409, 503} or "Retry-After" not in answer.headers:
                self.wrong.append(f"{answer.status_code} {dict(answer.headers)} {answer.text}")
            else:
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def load(
        self, client: httpx.AsyncClient, writers: Iterable[Headers]
    ) -> AsyncIterator[None]:
        """Everybody writes for the time of the block; what they began they bring to its end."""
        over = asyncio.Event()

        async def write(person: Headers) -> None:
            while not over.is_set() and not self.wrong:
                await self.ask(client, person)

        tasks = [asyncio.create_task(write(person)) for person in writers]
        try:
            yield
        finally:
            over.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 60)

    async def check(self, program: Program) -> None:
        """Nothing acknowledged is lost, nothing is there twice, and nothing else is there."""
        assert not self.wrong, self.wrong
        async with direct(program) as connection:
            rows = await connection.fetch(
                "SELECT id, title FROM posts WHERE title LIKE $1", f"Question {self.name}-%"
            )
        held = Counter(row["title"].removeprefix("Question ") for row in rows)
        ids = {row["title"].removeprefix("Question "): str(row["id"]) for row in rows}
        lost = self.acknowledged.keys() - held.keys()
        doubled = [key for key, count in held.items() if count > 1]
        print(
            f"requests {self.outcomes.total()} {dict(self.outcomes)}, "
            f"acknowledged {len(self.acknowledged)}, "
            f"sent again {self.outcomes.total() - len(self.acknowledged)}, "
            f"lost {len(lost)}, doubled {len(doubled)}"
        )
        assert (lost, doubled) == (set(), [])
        assert ids == self.acknowledged

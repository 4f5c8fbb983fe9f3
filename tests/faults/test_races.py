"""Requests that get into each other's way."""

import asyncio
import time
from collections import Counter

import pytest

from tests.faults.conftest import Programs
from tests.faults.machine import direct, http, new_question, people
from tests.program.conftest import Program

VOTERS = 200
CROSS_LOCKS = """
CREATE FUNCTION cross_locks() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE forward bool := NEW.title LIKE '%forward%';
BEGIN
    IF NEW.title NOT LIKE '%wards cross%' THEN RETURN NEW; END IF;
    PERFORM pg_advisory_xact_lock(CASE WHEN forward THEN 1 ELSE 2 END);
    PERFORM pg_sleep(0.3);
    PERFORM pg_advisory_xact_lock(CASE WHEN forward THEN 2 ELSE 1 END);
    RETURN NEW;
END $$;
CREATE TRIGGER cross_locks BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION cross_locks();
"""


@pytest.fixture(scope="module")
def program(programs: Programs) -> Program:
    return programs().start("--no-seed")


async def test_two_requests_in_a_deadlock_both_succeed(program: Program) -> None:
    pair = await people(program, 2)
    async with direct(program) as connection, http(program) as client:
        await connection.execute(CROSS_LOCKS)
        answers = await asyncio.gather(
            *(
                client.post("/api/v1/questions", json=new_question(f"{way}wards cross"), headers=p)
                for way, p in zip(("for", "back"), pair, strict=True)
            )
        )
        await connection.execute("DROP TRIGGER cross_locks ON posts")
        # A backend tells of its statistics at most once a second, and when it is idle.
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        began = time.monotonic()
        while not (count := await connection.fetchval(deadlocks)):
            assert time.monotonic() - began < 15, "there was no deadlock to survive"
            await asyncio.sleep(0.2)
            await client.get("/api/v1/questions")
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
    print(f"{count} deadlock(s), both requests 201")


async def test_two_hundred_votes_at_once_are_two_hundred_points(program: Program) -> None:
    asker, *voters = await people(program, VOTERS + 1)
    async with http(program, 60) as client:
        form = new_question("to vote on")
        asked = (await client.post("/api/v1/questions", json=form, headers=asker)).json()

        busy = 0

        async def vote(person: dict[str, str]) -> int:
            """The status, asked again while the hub is too busy."""
            nonlocal busy
            while True:
                answer = await client.put(
                    f"/api/v1/posts/{asked['id']}/vote", json={"value": 1}, headers=person
                )
                if answer.status_code != 503:
                    return answer.status_code
                busy += 1

        results = await asyncio.gather(*(vote(person) for person in voters))
        assert Counter(results) == {200: VOTERS}
        read = (await client.get(f"/api/v1/questions/{asked['id']}")).json()
        assert read["score"] == VOTERS
        print(f"{VOTERS} votes, {busy} x 503 on the way")


async def test_one_voter_twenty_times_at_once_is_one_vote(program: Program) -> None:
    asker, voter = await people(program, 2)
    async with http(program) as client:
        form = new_question("for one voter")
        asked = (await client.post("/api/v1/questions", json=form, headers=asker)).json()
        path = f"/api/v1/posts/{asked['id']}/vote"
        answers = await asyncio.gather(
            *(client.put(path, json={"value": 1}, headers=voter) for _ in range(20))
        )
        assert Counter(answer.status_code for answer in answers) == {200: 20}
        assert (await client.get(f"/api/v1/questions/{asked['id']}")).json()["score"] == 1
        print(f"{len(answers)} votes of one person, each 200, one point")

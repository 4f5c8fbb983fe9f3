"""Voting over HTTP."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import select, text
from sqlmodel import col

from backend_hub.auth.models import TokenFamily
from backend_hub.auth.tokens import TokenService
from backend_hub.db import utcnow
from backend_hub.posts.models import Vote
from backend_hub.users.models import User
from tests.hub import Hub, Person, link


async def test_the_latest_vote_of_each_voter_counts(hub: Hub) -> None:
    ann, bob, eve = [await hub.person(name) for name in ("ann", "bob", "eve")]
    path = f"/posts/{(await ann.create('/resources', link()))['id']}/vote"
    scores = []
    for voter, value in ((bob, 1), (eve, 1), (bob, 1), (eve, -1), (bob, 0), (bob, 0), (eve, 0)):
        response = await voter.put(path, {"value": value})
        assert response.status_code == 200, response.text
        assert response.json()["value"] == value
        scores.append(response.json()["score"])
    assert scores == [1, 2, 2, 0, -1, -1, 0]


async def test_the_vote_is_shown_to_its_voter_only(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    created = await ann.create("/resources", link())
    await bob.put(f"/posts/{created['id']}/vote", {"value": -1})
    path = f"/resources/{created['id']}"
    assert (await bob.read(path))["viewer"] == {"vote": -1, "bookmarked": False}
    assert (await ann.read(path))["viewer"] == {"vote": 0, "bookmarked": False}
    read = await hub.visitor.read(path)
    assert (read["viewer"], read["score"]) == (None, -1)


async def test_nobody_votes_on_their_own_post(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    path = f"/posts/{(await ann.create('/resources', link()))['id']}/vote"
    refused = await ann.put(path, {"value": 1})
    assert (refused.status_code, refused.json()["code"]) == (403, "own_post")
    assert (await bob.put(path, {"value": 1})).json()["score"] == 1


@pytest.mark.parametrize("form", [{}, {"value": 2}, {"value": "up"}, {"value": 1, "score": 9}, []])
async def test_a_vote_of_another_form_is_refused(hub: Hub, form: object) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    path = f"/posts/{(await ann.create('/resources', link()))['id']}/vote"
    assert (await bob.put(path, form)).status_code == 422
    assert (await bob.put(path, {"value": 1})).json()["score"] == 1


async def test_what_was_deleted_takes_no_votes(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    created = await ann.create("/resources", link())
    path = f"/posts/{created['id']}/vote"
    assert (await bob.put(path, {"value": 1})).status_code == 200
    await ann.delete(f"/resources/{created['id']}")
    assert (await bob.put(path, {"value": 0})).status_code == 404


async def test_an_edit_after_a_vote_needs_no_new_etag(hub: Hub) -> None:
    ann, bob = await hub.person("ann"), await hub.person("bob")
    created = await ann.post("/resources", link())
    path = f"/resources/{created.json()['id']}"
    await bob.put(f"/posts/{created.json()['id']}/vote", {"value": 1})
    assert (await hub.visitor.get(path)).headers["ETag"] != created.headers["ETag"]
    edited = await ann.patch(path, {"title": "A better title"}, created.headers["ETag"])
    assert edited.status_code == 200


async def crowd(live: Hub, tokens: TokenService, size: int) -> list[Person]:
    """People who are signed in without a password: hashing 200 of them is not what is tested."""
    users = [User(username=f"voter-{n}", display_name=f"Voter {n}") for n in range(size)]
    scopes = frozenset({"posts:write"})
    expires_at = utcnow() + timedelta(hours=1)
    families = [
        TokenFamily(user_id=user.id, scope="posts:write", expires_at=expires_at) for user in users
    ]
    async with live.database.transaction() as session:
        session.add_all(users)
        await session.flush()
        session.add_all(families)
    return [
        Person(live.client, headers={"Authorization": f"Bearer {token}"})
        for family in families
        for token in [tokens.issue(family.user_id, family.id, scopes, 600)]
    ]


@pytest.mark.parametrize("size", [20, 200])
async def test_parallel_votes_of_many_all_count(live: Hub, live_app: FastAPI, size: int) -> None:
    ann = await live.person("ann")
    created = await ann.create("/resources", link())
    path = f"/posts/{created['id']}/vote"
    voters = await crowd(live, live_app.state.tokens, size)
    answers = await asyncio.gather(*(voter.put(path, {"value": 1}) for voter in voters))
    assert Counter(answer.status_code for answer in answers) == {200: size}
    assert sorted(answer.json()["score"] for answer in answers) == list(range(1, size + 1))
    assert (await live.visitor.read(f"/resources/{created['id']}"))["score"] == size


async def test_one_voter_many_times_at_once_has_one_vote(live: Hub) -> None:
    ann, bob = await live.person("ann"), await live.person("bob")
    created = await ann.create("/resources", link())
    path = f"/posts/{created['id']}/vote"
    answers = await asyncio.gather(*(bob.put(path, {"value": 1}) for _ in range(20)))
    assert {(a.status_code, a.json()["score"]) for a in answers} == {(200, 1)}
    async with live.database.reading() as session:
        values = (await session.scalars(select(col(Vote.value)))).all()
    assert values == [1]


@pytest.mark.parametrize("mine", [-1, 0, 1])
@pytest.mark.parametrize("other", [-1, 0, 1])
@pytest.mark.parametrize("before", [-1, 0, 1])
async def test_two_processes_that_change_one_vote_count_it_once(
    live: Hub, before: int, other: int, mine: int
) -> None:
    """The other one has not committed when this one begins."""
    ann, bob = await live.person("ann"), await live.person("bob")
    created = await ann.create("/resources", link())
    path = f"/posts/{created['id']}/vote"
    await bob.put(path, {"value": before})
    ids = {"post": UUID(created["id"]), "user": UUID(bob.id)}
    async with live.database.transaction() as session:
        if other != before:
            await session.execute(text("DELETE FROM votes WHERE user_id = :user"), ids)
            change = {**ids, "value": other, "moved": other - before}
            if other:
                await session.execute(
                    text("INSERT INTO votes VALUES (:post, :user, :value, now())"), change
                )
            await session.execute(
                text("UPDATE posts SET score = score + :moved WHERE id = :post"), change
            )
        voting = asyncio.create_task(bob.put(path, {"value": mine}))
        await asyncio.sleep(0.15)
    answer = await voting
    assert (answer.status_code, answer.json()["value"]) == (200, mine)
    read = await bob.read(f"/resources/{created['id']}")
    assert (read["score"], read["viewer"]["vote"]) in {(mine, mine), (other, other)}
    if mine != before:  # it had to wait, and came last
        assert read["score"] == answer.json()["score"] == mine


async def test_votes_and_comments_at_once_never_deadlock(live: Hub) -> None:
    ann = await live.person("ann")
    voters: list[Person] = [await live.person(f"voter-{n}") for n in range(4)]
    post = f"/posts/{(await ann.create('/resources', link()))['id']}"
    before = await deadlocks(live)
    answers = await asyncio.gather(
        *(voter.put(f"{post}/vote", {"value": v}) for v in (1, -1, 1) for voter in voters),
        *(voter.post(f"{post}/comments", {"body": "Good."}) for voter in voters * 3),
        *(voter.put(f"{post}/bookmark") for voter in voters),
    )
    assert {answer.status_code for answer in answers} == {200, 201}
    assert await deadlocks(live) == before
    read = await live.visitor.read(post.replace("/posts/", "/resources/"))
    assert read["comment_count"] == 12


async def deadlocks(live: Hub) -> int:
    async with live.database.reading() as session:
        found = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(await session.scalar(text(found)) or 0)

"""The walk: every route as everybody, held against access.py.

A route needs one entry in CALLS: method, path and body. The names in braces are of the world that
`world` builds.
"""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from backend_hub.access import ACCESS, Audience
from backend_hub.auth.models import EmailToken
from backend_hub.auth.service import hash_token
from backend_hub.db import utcnow
from backend_hub.oauth.models import Consent
from backend_hub.settings import Settings
from backend_hub.users.models import Role
from tests.conftest import TestDatabase, filled_hub, rolled_back
from tests.contributions.team import Team, proposal_of
from tests.hub import PASSWORD, Hub, Person, answered, link, question

Call = tuple[str, str, Any]

CALLS: dict[str, Call] = {
    "live": ("GET", "/health/live", None),
    "ready": ("GET", "/health/ready", None),
    "read_jwks": ("GET", "/.well-known/jwks.json", None),
    "register": (
        "POST",
        "/auth/register",
        {"username": "newcomer", "email": "new@example.org", "password": PASSWORD},
    ),
    "issue_token": ("FORM", "/auth/token", {"username": "the-author", "password": PASSWORD}),
    "sign_out": ("POST", "/auth/sign-out", None),
    "forgot_password": ("POST", "/auth/forgot", {"email": "nobody@example.org"}),
    "reset_password": ("POST", "/auth/reset", {"token": "{reset_token}", "password": PASSWORD}),
    "verify_email": ("POST", "/auth/verify-email", {"token": "{verify_token}"}),
    "resend_verification": ("POST", "/users/me/verification", None),
    "read_me": ("GET", "/users/me", None),
    "update_me": ("PATCH", "/users/me", {"bio": "Me."}),
    "read_user": ("GET", "/users/the-author", None),
    "list_posts_by": ("GET", "/users/the-author/posts", None),
    "list_accounts": ("GET", "/accounts", None),
    "read_account": ("GET", "/accounts/{author}", None),
    "update_account": ("PATCH", "/accounts/{author}", {"role": "reviewer"}),
    "list_sessions": ("GET", "/users/me/sessions", None),
    "end_other_sessions": ("DELETE", "/users/me/sessions", None),
    "end_session": ("DELETE", "/users/me/sessions/{session}", None),
    "list_allowed_apps": ("GET", "/users/me/apps", None),
    "withdraw_app": ("DELETE", "/users/me/apps/{client}", None),
    "list_tokens": ("GET", "/users/me/tokens", None),
    "make_token": (
        "POST",
        "/users/me/tokens",
        {"name": "A program", "scopes": ["posts:write"], "expires_in_days": 30},
    ),
    "read_token": ("GET", "/users/me/tokens/{token}", None),
    "revoke_token": ("DELETE", "/users/me/tokens/{token}", None),
    "export_data": ("POST", "/users/me/export", None),
    "delete_account": (
        "POST",
        "/users/me/deletion",
        {"username": "the-author", "content": "keep"},
    ),
    "list_clients": ("GET", "/oauth/clients", None),
    "create_client": (
        "POST",
        "/oauth/clients",
        {"name": "An app", "type": "machine", "scopes": ["posts:write"]},
    ),
    "read_client": ("GET", "/oauth/clients/{client}", None),
    "update_client": ("PATCH", "/oauth/clients/{client}", {"name": "Another name"}),
    "delete_client": ("DELETE", "/oauth/clients/{client}", None),
    "renew_client_secret": ("POST", "/oauth/clients/{client}/secret", None),
    "list_offered_providers": ("GET", "/auth/identity-providers", None),
    "list_identity_providers": ("GET", "/identity-providers", None),
    "create_identity_provider": (
        "POST",
        "/identity-providers",
        {
            "slug": "campus",
            "name": "Campus",
            "issuer": "https://campus.example.org",
            "client_id": "a",
        },
    ),
    "read_identity_provider": ("GET", "/identity-providers/school", None),
    "update_identity_provider": ("PATCH", "/identity-providers/school", {"name": "A name"}),
    "delete_identity_provider": ("DELETE", "/identity-providers/school", None),
    "list_topics": ("GET", "/topics", None),
    "create_topic": ("POST", "/topics", {"slug": "caches", "name": "Caches"}),
    "read_topic": ("GET", "/topics/databases", None),
    "update_topic": ("PATCH", "/topics/databases", {"name": "Storage"}),
    "delete_topic": ("DELETE", "/topics/empty", None),
    "add_maintainer": ("PUT", "/topics/databases/maintainers/the-author", None),
    "remove_maintainer": ("DELETE", "/topics/databases/maintainers/the-author", None),
    "list_tags": ("GET", "/tags", None),
    "read_tag": ("GET", "/tags/sql", None),
    "update_tag": ("PATCH", "/tags/sql", {"description": "A language."}),
    "read_post": ("GET", "/posts/{resource}", None),
    "vote": ("PUT", "/posts/{others}/vote", {"value": 1}),
    "add_bookmark": ("PUT", "/posts/{resource}/bookmark", None),
    "remove_bookmark": ("DELETE", "/posts/{resource}/bookmark", None),
    "list_bookmarks": ("GET", "/bookmarks", None),
    "list_comments": ("GET", "/posts/{resource}/comments", None),
    "create_comment": ("POST", "/posts/{resource}/comments", {"body": "Good."}),
    "read_comment": ("GET", "/comments/{comment}", None),
    "update_comment": ("PATCH", "/comments/{comment}", {"body": "Better."}),
    "delete_comment": ("DELETE", "/comments/{comment}", None),
    "list_revisions": ("GET", "/posts/{resource}/revisions", None),
    "read_revision": ("GET", "/posts/{resource}/revisions/1", None),
    "diff_revisions": ("GET", "/posts/{resource}/diff?from=1&to=1", None),
    "list_contributors": ("GET", "/posts/{resource}/contributors", None),
    "list_events": ("GET", "/events", None),
    "stream_events": ("GET", "/events/stream?seconds=0", None),
    "list_resources": ("GET", "/resources", None),
    "add_resource": ("POST", "/resources", link("Another guide")),
    "read_resource": ("GET", "/resources/{resource}", None),
    "edit_resource": ("PATCH", "/resources/{resource}", {"title": "Another title"}),
    "delete_resource": ("DELETE", "/resources/{resource}", None),
    "restore_resource": ("POST", "/resources/{deleted}/restore", None),
    "restore_resource_revision": ("POST", "/resources/{resource}/revisions/1/restore", None),
    "list_questions": ("GET", "/questions", None),
    "ask_question": ("POST", "/questions", question("How do I begin?")),
    "similar_questions": ("GET", "/questions/similar?title=index", None),
    "read_question": ("GET", "/questions/{question}", None),
    "edit_question": ("PATCH", "/questions/{question}", {"title": "Another title"}),
    "delete_question": ("DELETE", "/questions/{unanswered}", None),
    "restore_question": ("POST", "/questions/{deleted_question}/restore", None),
    "restore_question_revision": ("POST", "/questions/{question}/revisions/1/restore", None),
    "list_related_resources": ("GET", "/questions/{question}/related-resources", None),
    "accept_answer": ("PUT", "/questions/{question}/accepted-answer", {"answer_id": "{answer}"}),
    "unaccept_answer": ("DELETE", "/questions/{solved}/accepted-answer", None),
    "close_question": ("POST", "/questions/{question}/close", {"reason": "off_topic"}),
    "reopen_question": ("POST", "/questions/{closed}/reopen", None),
    "list_answers": ("GET", "/questions/{question}/answers", None),
    "create_answer": ("POST", "/questions/{question}/answers", {"body": "So."}),
    "read_answer": ("GET", "/answers/{answer}", None),
    "edit_answer": ("PATCH", "/answers/{answer}", {"body": "Thus."}),
    "delete_answer": ("DELETE", "/answers/{answer}", None),
    "restore_answer": ("POST", "/answers/{deleted_answer}/restore", None),
    "restore_answer_revision": ("POST", "/answers/{answer}/revisions/1/restore", None),
    "list_contributions": ("GET", "/contributions", None),
    "create_contribution": ("POST", "/contributions", proposal_of()),
    "read_contribution": ("GET", "{submitted}", None),
    "edit_contribution": ("PATCH", "{submitted}", {"title": "Another title"}),
    "diff_contribution": ("GET", "{submitted}/diff", None),
    "submit_contribution": ("POST", "{draft}/submit", None),
    "withdraw_contribution": ("POST", "{submitted}/withdraw", None),
    "review_contribution": ("POST", "{submitted}/reviews", {"decision": "approve", "body": ""}),
    "list_reviews": ("GET", "{approved}/reviews", None),
    "read_review": ("GET", "{approved}/reviews/{review}", None),
    "merge_contribution": ("POST", "{approved}/merge", None),
    "search": ("GET", "/search?q=guide", None),
}

SIGNED_IN: tuple[str, ...] = ("author", "member", "reviewer", "moderator", "admin")
AUDIENCES: dict[Audience, set[str]] = {
    "anyone": {"anonymous", *SIGNED_IN},
    "member": set(SIGNED_IN),
    "author": {"author", "moderator", "admin"},
    "reviewer": {"reviewer", "moderator", "admin"},
    "moderator": {"moderator", "admin"},
    "admin": {"admin"},
}
EXCEPTIONS: dict[str, set[str]] = {
    # operationId: who passes, where the audience alone does not say it
    "update_me": set(SIGNED_IN),  # each is the author of their own profile
    # apps are nobody's business but their owner's and the admins'
    **dict.fromkeys(
        ("read_client", "update_client", "delete_client", "renew_client_secret"),
        {"author", "admin"},
    ),
    # and sign-ins and tokens nobody's but their owner's
    **dict.fromkeys(("end_session", "withdraw_app", "read_token", "revoke_token"), {"author"}),
    "edit_resource": {"author", "reviewer", "moderator", "admin"},
    "restore_resource_revision": {"author", "reviewer", "moderator", "admin"},
    # the asker alone knows what helped
    "accept_answer": {"author"},
    "unaccept_answer": {"author"},
    # a proposal stays its proposer's
    "edit_contribution": {"author"},
    "submit_contribution": {"author"},
    "withdraw_contribution": {"author"},
}


@dataclass
class World:
    people: dict[str, Person]
    names: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
async def built(settings: Settings, worker_name: str) -> AsyncIterator[tuple[TestDatabase, World]]:
    async with filled_hub(settings, f"access_{worker_name}", build) as (database, _, world):
        yield database, world


@pytest.fixture
async def world(built: tuple[TestDatabase, World]) -> AsyncIterator[World]:
    """The world, as it was before each test."""
    database, world = built
    async with rolled_back(database):
        yield world


async def build(hub: Hub) -> World:
    """Everybody, and one of everything, written by `author`."""
    people = {"anonymous": hub.visitor}
    for name in SIGNED_IN:
        role = Role(name) if name in set(Role) else Role.member
        people[name] = await hub.person(f"the-{name}", role)
    author, admin = people["author"], people["admin"]
    for slug in ("databases", "empty"):
        await admin.create("/topics", {"slug": slug, "name": slug})
    form = link(topic="databases", tags=["sql"])
    resource = await author.create("/resources", form)
    comment = await author.create(f"/posts/{resource['id']}/comments", {"body": "Mine."})
    deleted = await author.create("/resources", link("A deleted guide"))
    await author.delete(f"/resources/{deleted['id']}")
    someone = await hub.person("someone-else")
    others = await someone.create("/resources", link("By somebody else"))
    names = {"resource": resource["id"], "comment": comment["id"], "deleted": deleted["id"]}
    names |= {"others": others["id"], "author": author.id}
    app = await author.create("/oauth/clients", CALLS["create_client"][2])
    names["client"] = app["id"]
    school = {"slug": "school", "issuer": "https://school.example.org"}
    await admin.create("/identity-providers", CALLS["create_identity_provider"][2] | school)
    names |= await build_links(hub)
    names |= await build_account(hub, author, app["id"])
    names |= await build_questions(author)
    names |= await build_contributions(author, await hub.person("a-reviewer", Role.reviewer))
    return World(people, names)


async def build_links(hub: Hub) -> dict[str, str]:
    """What mails to somebody hold."""
    person = await hub.person("a-forgetful-one")
    tokens = {purpose: secrets.token_urlsafe(32) for purpose in ("reset", "verify")}
    async with hub.database.transaction() as session:
        for purpose, token in tokens.items():
            session.add(
                EmailToken(
                    user_id=UUID(person.id),
                    purpose=purpose,
                    email="forgetful@example.org",
                    token_hash=hash_token(token),
                    expires_at=utcnow() + timedelta(hours=1),
                )
            )
    return {f"{purpose}_token": token for purpose, token in tokens.items()}


async def build_account(hub: Hub, author: Person, client_id: str) -> dict[str, str]:
    """Another sign-in of the author's, an app they allowed, and a token."""
    token = await author.create("/users/me/tokens", CALLS["make_token"][2])
    await hub.sign_in("the-author")
    sessions = await author.read("/users/me/sessions")
    other = next(item["id"] for item in sessions["items"] if not item["current"])
    async with hub.database.transaction() as session:
        session.add(Consent(user_id=UUID(author.id), client_id=client_id, scope="posts:write"))
    return {"token": token["id"], "session": other}


async def build_questions(author: Person) -> dict[str, str]:
    """Questions of the author, answered by the author."""
    asked, (answer, deleted_answer) = await answered(author, author, author)
    await author.delete(f"/answers/{deleted_answer}")
    solved, (solution,) = await answered(author, author, title="A solved one")
    path = f"/questions/{solved}/accepted-answer"
    accepted = await author.put(path, {"answer_id": solution}, headers={"If-Match": "*"})
    assert accepted.status_code == 200, accepted.text
    unanswered, _ = await answered(author, title="One without an answer")
    deleted, _ = await answered(author, title="A deleted one")
    await author.delete(f"/questions/{deleted}")
    closed, _ = await answered(author, title="A closed one")
    await author.post(f"/questions/{closed}/close", {"reason": "off_topic"})
    return {
        "question": asked,
        "answer": answer,
        "deleted_answer": deleted_answer,
        "solved": solved,
        "unanswered": unanswered,
        "deleted_question": deleted,
        "closed": closed,
    }


async def build_contributions(author: Person, reviewer: Person) -> dict[str, str]:
    """Proposals of the author, as paths; one is approved."""
    team = Team(author, reviewer)
    paths = {}
    for state in ("draft", "submitted", "approved"):
        paths[state] = await team.propose(proposal=link(f"To be {state}"))
        await team.bring(paths[state], state)
    reviews = await author.read(f"{paths['approved']}/reviews")
    return {**paths, "review": reviews["items"][0]["id"]}


async def send(person: Person, call: Call, names: dict[str, str]) -> int:
    method, path, body = call
    if method == "FORM":
        answer = await person.request("POST", path.format_map(names), data=body)
        return answer.status_code
    headers = {"If-Match": "*"} if method != "GET" else {}
    if isinstance(body, dict):
        body = {key: names.get(str(value).strip("{}"), value) for key, value in body.items()}
    answer = await person.request(method, path.format_map(names), json=body, headers=headers)
    assert answer.status_code < 500, answer.text
    return answer.status_code


def passes(name: str, who: str) -> bool:
    return who in EXCEPTIONS.get(name, AUDIENCES[ACCESS[name].audience])


def test_every_route_is_walked() -> None:
    assert set(CALLS) == set(ACCESS)


@pytest.mark.parametrize("name", sorted(ACCESS))
async def test_who_may(world: World, name: str) -> None:
    # Those who are refused go first: they find everything as it was.
    order = sorted(world.people, key=lambda who: passes(name, who))
    for who in order:
        status = await send(world.people[who], CALLS[name], world.names)
        if passes(name, who):
            gone = status == 404 and who != next(w for w in order if passes(name, w))
            assert status < 300 or status in {409, 412, 422, 429} or gone, (who, status)
        elif who == "anonymous":
            assert status == 401, who
        else:
            assert status in {403, 404}, (who, status)


@pytest.mark.parametrize("name", sorted(name for name, rule in ACCESS.items() if rule.scope))
async def test_a_token_without_the_scope_is_refused(world: World, name: str) -> None:
    scope = "users:write" if ACCESS[name].scope != "users:write" else "posts:write"
    form = {"username": "the-admin", "password": PASSWORD, "scope": scope}
    answer = await world.people["anonymous"].request("POST", "/auth/token", data=form)
    token = answer.json()["access_token"]
    narrow = Person(world.people["admin"].client, headers={"Authorization": f"Bearer {token}"})
    assert await send(narrow, CALLS[name], world.names) == 403
    twin = "admin" if passes(name, "admin") else "author"
    assert await send(world.people[twin], CALLS[name], world.names) not in {401, 403}

"""Every list and every detail runs a small number of statements, however many rows there are."""

from dataclasses import dataclass
from uuid import UUID

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from backend_hub.access import ACCESS
from backend_hub.oauth.models import Consent
from backend_hub.users.models import Role
from tests.contributions.team import Team, review
from tests.hub import Hub, Person, answered, link
from tests.queries import recorded

STATEMENTS: dict[str, tuple[str, int]] = {
    # operationId: (path, statements); finding out who asks is one of them
    "read_me": ("/users/me", 2),
    "read_user": ("/users/{name}", 2),
    "list_posts_by": ("/users/{name}/posts", 2),
    "list_accounts": ("/accounts", 2),
    "read_account": ("/accounts/{person}", 2),
    "list_sessions": ("/users/me/sessions", 2),
    "list_allowed_apps": ("/users/me/apps", 2),
    "list_tokens": ("/users/me/tokens", 2),
    "read_token": ("/users/me/tokens/{token}", 2),
    "list_clients": ("/oauth/clients", 2),
    "read_client": ("/oauth/clients/{client}", 2),
    "list_offered_providers": ("/auth/identity-providers", 2),
    "list_identity_providers": ("/identity-providers", 2),
    "read_identity_provider": ("/identity-providers/school", 2),
    "list_topics": ("/topics", 2),
    "read_topic": ("/topics/{topic}", 2),
    "list_tags": ("/tags", 2),
    "read_tag": ("/tags/{tag}", 2),
    "read_post": ("/posts/{post}", 2),
    "list_bookmarks": ("/bookmarks", 2),
    "list_comments": ("/posts/{post}/comments", 3),
    "read_comment": ("/comments/{comment}", 2),
    "list_revisions": ("/posts/{post}/revisions", 3),
    "read_revision": ("/posts/{post}/revisions/1", 3),
    "diff_revisions": ("/posts/{post}/diff?from=1&to=2", 4),
    "list_contributors": ("/posts/{post}/contributors", 3),
    "list_events": ("/events", 2),
    "stream_events": ("/events/stream?seconds=0&after=WyJsb2ciLDAsMF0", 3),
    "list_resources": ("/resources", 2),
    "read_resource": ("/resources/{post}", 2),
    "list_questions": ("/questions", 2),
    "read_question": ("/questions/{question}", 2),
    "similar_questions": ("/questions/similar?title=index", 2),
    "list_related_resources": ("/questions/{question}/related-resources", 3),
    "list_answers": ("/questions/{question}/answers", 3),
    "read_answer": ("/answers/{answer}", 2),
    "list_contributions": ("/contributions", 2),
    "read_contribution": ("{contribution}", 2),
    "diff_contribution": ("{contribution}/diff", 2),
    "list_reviews": ("{contribution}/reviews", 3),
    "read_review": ("{contribution}/reviews/{review}", 3),
    "search": ("/search?q=guide", 2),
}
NO_STATEMENTS = {"live", "ready", "read_jwks"}
"""Routes of GET that read no rows, or only `SELECT 1`."""


@dataclass
class World:
    """An admin who reads, and names for the paths."""

    admin: Person
    names: dict[str, str]


async def grow(hub: Hub, world: World, rows: int) -> None:
    """More of everything that lists list."""
    admin, names = world.admin, world.names
    for n in range(rows):
        mark = f"{len(names)}-{n}"
        ann = await hub.person(f"ann-{mark}")
        await admin.create("/topics", {"slug": f"t-{mark}", "name": "T", "parent": "top"})
        form = link(f"Guide {mark}", topic=f"t-{mark}", tags=["sql", f"tag-{mark}"])
        made = await admin.create("/resources", form)
        await admin.put(f"/posts/{made['id']}/bookmark")
        post = names.setdefault("post", made["id"])
        comment = await ann.create(f"/posts/{post}/comments", {"body": "Good."})
        names.setdefault("comment", comment["id"])
        await admin.patch(f"/resources/{post}", {"title": f"Title {mark}"})
        await admin.put(f"/topics/top/maintainers/{ann.username}")
        machine = {"name": "An app", "type": "machine", "scopes": ["posts:write"]}
        app = await ann.create("/oauth/clients", machine)
        names.setdefault("client", app["id"])
        await grow_account(hub, admin, names, app["id"])
        await grow_questions_and_contributions(ann, admin, names, mark)
    for n in range(rows):
        mark = f"{len(names)}-{n}" if "provider" in names else "school"
        provider = {"slug": mark, "issuer": f"https://{mark}.example.org"}
        form = {"name": "A school", "client_id": "the-hub"}
        names["provider"] = (await admin.create("/identity-providers", provider | form))["slug"]
    synonyms = [f"word-{len(names)}-{n}" for n in range(rows)]
    await admin.patch("/tags/sql", {"synonyms": synonyms})
    names[f"grown {len(names)}"] = ""


async def grow_account(hub: Hub, admin: Person, names: dict[str, str], client_id: str) -> None:
    """Another sign-in, token and app of the admin's."""
    form = {"name": "A program", "scopes": ["posts:write"], "expires_in_days": 30}
    names.setdefault("token", (await admin.create("/users/me/tokens", form))["id"])
    await hub.sign_in(admin.username)
    async with hub.database.transaction() as session:
        session.add(Consent(user_id=UUID(admin.id), client_id=client_id, scope="posts:write"))


async def grow_questions_and_contributions(
    ann: Person, admin: Person, names: dict[str, str], mark: str
) -> None:
    asked, (answer,) = await answered(ann, admin, title=f"Which index, {mark}?", tags=["sql"])
    await ann.create(f"/posts/{answer}/comments", {"body": "Thank you."})
    names.setdefault("question", asked)
    names.setdefault("answer", answer)
    await ann.create(f"/questions/{names['question']}/answers", {"body": "Another."})
    path = names.setdefault("contribution", await Team(ann, admin).propose())
    await admin.post(f"{path}/submit")
    for person in (admin, ann):
        await person.post(f"{path}/submit")
    answer_to_review = await review(admin, path, "approve")
    names.setdefault("review", answer_to_review.json().get("id", ""))


async def counts(hub: Hub, world: World) -> dict[str, int]:
    found = {}
    for name, (path, _) in STATEMENTS.items():
        with recorded(hub.database) as statements:
            response = await world.admin.get(path.format_map(world.names))
        assert response.status_code == 200, (name, response.text)
        found[name] = len([s for s in statements if "SAVEPOINT" not in s.upper()])
    return found


async def test_the_number_of_statements_does_not_grow_with_the_rows(hub: Hub) -> None:
    admin = await hub.person("root", Role.admin)
    names = {"name": "root", "person": admin.id, "topic": "top", "tag": "sql"}
    world = World(admin, names)
    await admin.create("/topics", {"slug": "top", "name": "Top"})
    await grow(hub, world, 1)
    few = await counts(hub, world)
    await grow(hub, world, 10)
    assert await counts(hub, world) == few
    expected = {name: number for name, (_, number) in STATEMENTS.items()}
    assert few == expected


@pytest.mark.parametrize("name", sorted(ACCESS))
def test_every_route_that_reads_is_counted(hub_routes: dict[str, APIRoute], name: str) -> None:
    route = hub_routes[name]
    assert ("GET" not in (route.methods or ())) or name in {*STATEMENTS, *NO_STATEMENTS}


@pytest.fixture(scope="module")
def hub_routes(app: object) -> dict[str, APIRoute]:
    contexts = iter_route_contexts(app.routes)  # type: ignore[attr-defined]
    routes = [context.original_route for context in contexts]
    return {route.name: route for route in routes if isinstance(route, APIRoute)}

"""What a development hub has beside the catalogue: two accounts, and one thing of every kind.

Their ids are the examples of the OpenAPI document, so that Try it out finds them.
"""

import secrets
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from backend_hub.auth.models import BrowserSession, PersonalToken
from backend_hub.auth.passwords import hash_password
from backend_hub.auth.service import hash_token
from backend_hub.contributions.models import Contribution, ContributionState, Decision, Review
from backend_hub.contributions.schemas import ContributionContent
from backend_hub.db import AsyncSession, new_id, utcnow
from backend_hub.http.markdown import render_markdown
from backend_hub.http.openapi_examples import EXAMPLE_CLIENT, EXAMPLE_IDS
from backend_hub.identity.models import IdentityProvider, ProviderKind
from backend_hub.identity.presets import OPENID
from backend_hub.identity.schemas import EXAMPLE_PROVIDER
from backend_hub.imports.accounts import add_account, find_account
from backend_hub.oauth.models import ClientType, Consent, OAuthClient
from backend_hub.posts.content import PostContent, TextContent
from backend_hub.posts.models import Comment, Post, PostKind
from backend_hub.posts.service import create_post
from backend_hub.questions.models import Answer, Question
from backend_hub.resources.schemas import CodeSampleContent, SourceFile
from backend_hub.resources.service import resource_row
from backend_hub.topics.service import topic_exists
from backend_hub.users.models import Role, User

DEMO_PASSWORD = "learn-backends-together"  # noqa: S105 - public on purpose, development only
DEMO_ACCOUNTS = {"demo": Role.member, "demo-admin": Role.admin}

C = TypeVar("C", bound=PostContent)
ID = {name: UUID(value) for name, value in EXAMPLE_IDS.items()}

HELLO = CodeSampleContent(
    kind="code_sample",
    title="Hello, hub",
    body="The smallest program that reads this hub: it asks whether it is **ready**.",
    tags=["python", "http"],
    programming_language="python",
    files=[
        SourceFile(
            name="hello.py",
            content="import json\nfrom urllib.request import urlopen\n\n"
            'with urlopen("http://127.0.0.1:8000/health/ready", timeout=5) as answer:\n'
            '    print(json.load(answer)["status"])\n',
        )
    ],
    run="python hello.py",
    expected_output="ok\n",
)
INDEX = PostContent(
    title="Why does PostgreSQL not use my index on lower(email)?",
    body="I have an index on `email`, and look people up by `lower(email) = $1`. "
    "`EXPLAIN` shows a **Seq Scan** over 200,000 rows. What do I miss?",
    tags=["postgresql", "indexes", "sql"],
)
INDEX_ANSWER = TextContent(
    body="An index serves the expression that it was made of. The query asks for `lower(email)`, "
    "so index that:\n\n```sql\nCREATE UNIQUE INDEX users_email_lower ON users (lower(email));\n"
    "ANALYZE users;\n```\n\nThe old index is then of no use for this query; drop it if no other "
    "one needs it."
)
TOKENS = PostContent(
    title="Where should a single-page app keep its access token?",
    body="Everything I read says that `localStorage` is dangerous, and that cookies are dangerous "
    "too. What is a sound choice for an app with its API on another origin?",
    tags=["jwt", "oauth", "security"],
)
PROPOSAL = {
    "title": "Say what the program prints when the hub is down",
    "body": "A learner who stops the hub sees a stack trace, and cannot tell why.",
    "proposal": {
        **HELLO.model_dump(mode="json"),
        "title": "Hello, hub, and what to do when it does not answer",
    },
    "base_revision": None,
}
REVIEW = "Good idea. Please show the line that it prints as well."


async def seed_demo(session: AsyncSession) -> None:
    """Make accounts and examples, unless they exist; never call it in production.

    The examples lie in topics of the catalogue, where it is there already.
    """
    accounts = {name: await _account(session, name) for name in DEMO_ACCOUNTS}
    demo, admin = accounts["demo"], accounts["demo-admin"]
    if await session.get(Post, ID["question_id"]) is None:
        await _write_resource(session, demo)
        await _write_questions(session, demo, admin)
        await _write_contribution(session, demo, admin)
        session.add(
            OAuthClient(
                id=EXAMPLE_CLIENT,
                owner_id=demo.id,
                name="Study planner",
                type=ClientType.web,
                secret_hash=hash_token(secrets.token_urlsafe(32)),
                redirect_uris=["https://planner.example.org/callback"],
                scope="openid profile",
            )
        )
        session.add(
            IdentityProvider(
                slug=EXAMPLE_PROVIDER,
                name="Campus",
                kind=ProviderKind.oidc,
                issuer="https://login.campus.example.org",
                client_id="backend-hub",
                scope=OPENID,
                enabled=False,
            )
        )
        await session.flush()
        await _sign_demo_in(session, demo)


async def _sign_demo_in(session: AsyncSession, demo: User) -> None:
    """A browser, a token and an app of demo's; nobody has the secrets of any."""
    later = utcnow() + timedelta(days=30)
    secret_hashes = [hash_token(secrets.token_urlsafe(32)) for _ in range(2)]
    session.add_all(
        [
            BrowserSession(
                id=ID["session_id"],
                user_id=demo.id,
                token_hash=secret_hashes[0],
                user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                address="192.0.2.7",
                expires_at=later,
            ),
            PersonalToken(
                id=ID["pat_id"],
                user_id=demo.id,
                name="Nightly backup",
                token_hash=secret_hashes[1],
                scope="posts:write",
                expires_at=later,
            ),
            Consent(user_id=demo.id, client_id=EXAMPLE_CLIENT, scope="openid profile"),
        ]
    )
    await session.flush()


async def _account(session: AsyncSession, username: str) -> User:
    account = await find_account(session, username)
    if account is None:
        account = User(
            id=ID["user_id"] if username == "demo" else new_id(),
            username=username,
            display_name=username,
            email=f"{username}@example.org",
            password_hash=await hash_password(DEMO_PASSWORD),
            role=DEMO_ACCOUNTS[username],
        )
        await add_account(session, account)
    return account


async def _placed(session: AsyncSession, content: C, topic: str) -> C:
    """The content in that topic, if the hub has it."""
    return (
        content.model_copy(update={"topic": topic})
        if await topic_exists(session, topic)
        else content
    )


async def _write_resource(session: AsyncSession, demo: User) -> None:
    hello = await _placed(session, HELLO, "python")
    post = await create_post(session, demo.id, PostKind.resource, hello, post_id=ID["resource_id"])
    session.add(resource_row(post.id, hello))


async def _write_questions(session: AsyncSession, demo: User, admin: User) -> None:
    """One question by each account; demo answered its own, and got a comment."""
    for author, content, topic, name in (
        (admin, TOKENS, "oauth", "post_id"),
        (demo, INDEX, "postgresql", "question_id"),
    ):
        placed = await _placed(session, content, topic)
        asked = await create_post(session, author.id, PostKind.question, placed, post_id=ID[name])
        session.add(Question(post_id=asked.id, answer_count=int(author is demo)))
    answer = await create_post(
        session,
        demo.id,
        PostKind.answer,
        INDEX_ANSWER,
        post_id=ID["answer_id"],
        parent_id=ID["question_id"],
        topic_id=asked.topic_id,
        comment_count=1,
    )
    session.add(Answer(post_id=answer.id, question_id=ID["question_id"]))
    text = "That was it, the plan shows an Index Scan now."
    session.add(
        Comment(
            id=ID["comment_id"],
            post_id=answer.id,
            author_id=demo.id,
            body=text,
            body_html=await render_markdown(text),
        )
    )
    await session.flush()


async def _write_contribution(session: AsyncSession, demo: User, admin: User) -> None:
    """A proposal of demo's that was sent back once: it can be edited and submitted again."""
    content = ContributionContent.model_validate(PROPOSAL)
    post = await create_post(
        session,
        demo.id,
        PostKind.contribution,
        content,
        post_id=ID["contribution_id"],
        title=content.title,
    )
    contribution = Contribution(
        post_id=post.id,
        proposal=content.proposal.model_dump(mode="json"),
        state=ContributionState.changes_requested,
        submitted_at=utcnow(),
        decided_at=utcnow(),
    )
    session.add(contribution)
    await session.flush()
    session.add(
        Review(
            id=ID["review_id"],
            contribution_id=post.id,
            reviewer_id=admin.id,
            contribution_revision=post.revision,
            decision=Decision.request_changes,
            body=REVIEW,
            body_html=await render_markdown(REVIEW),
        )
    )
    await session.flush()

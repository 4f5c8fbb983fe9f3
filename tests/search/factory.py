"""Questions and answers for the search to find.

They are written through the services, not over HTTP: what is tested here is
how posts are found, not how they come about.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlmodel import col

from backend_hub.db import new_id, utcnow
from backend_hub.posts.content import PostContent, TextContent
from backend_hub.posts.models import Post, PostKind
from backend_hub.posts.service import create_post
from backend_hub.questions.answering import write_answer
from backend_hub.questions.models import Question
from tests.hub import Hub, Person


async def ask(
    hub: Hub,
    asker: Person,
    title: str,
    body: str = "How?",
    *,
    closed: bool = False,
    answer_count: int = 0,
    **content: Any,
) -> str:
    """A question's id."""
    async with hub.database.transaction() as session:
        form = PostContent(title=title, body=body, **content)
        reason: dict[str, Any] = (
            {"closed_at": utcnow(), "close_reason": "off_topic"} if closed else {}
        )
        post_id = new_id()
        question = {"post_id": post_id, "answer_count": answer_count, **reason}
        await create_post(
            session,
            UUID(asker.id),
            PostKind.question,
            form,
            post_id=post_id,
            rows=[(Question, question)],
        )
        return str(post_id)


async def answer(
    hub: Hub,
    author: Person,
    question_id: str,
    body: str,
    *,
    accepted: bool = False,
    **content: Any,
) -> str:
    """An answer's id."""
    async with hub.database.transaction() as session:
        asked = await session.get_one(Post, UUID(question_id))
        form = TextContent(body=body, **content)
        written = await write_answer(session, UUID(author.id), asked, form)
        if accepted:
            mine = update(Question).where(col(Question.post_id) == asked.id)
            await session.execute(mine.values(accepted_answer_id=written.id))
        return str(written.id)


async def change(hub: Hub, post_id: str, **columns: Any) -> None:
    """Set columns of a post that no route sets."""
    async with hub.database.transaction() as session:
        await session.execute(update(Post).where(col(Post.id) == UUID(post_id)).values(**columns))


async def search(hub: Hub, q: str, **params: Any) -> dict[str, Any]:
    """A page of results, as a visitor gets it."""
    return await hub.visitor.read("/search", q=q, **params)


async def titles(hub: Hub, q: str, **params: Any) -> list[str]:
    return [hit["title"] for hit in (await search(hub, q, **params))["items"]]


async def found(hub: Hub, q: str, **params: Any) -> set[str]:
    """The ids of all that is found."""
    page = await search(hub, q, limit=100, **params)
    assert page["next_cursor"] is None
    return {hit["id"] for hit in page["items"]}

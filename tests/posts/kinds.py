"""Posts of kinds whose routes are other slices' to test."""

from typing import Any
from uuid import UUID

from backend_hub.posts.content import PostContent, TextContent
from backend_hub.posts.models import PostKind
from backend_hub.posts.service import create_post
from tests.hub import Hub, Person


async def write_post(
    hub: Hub, author: Person, kind: PostKind, title: str = "How do indexes work?", **columns: Any
) -> str:
    """A post without the row of its kind: what votes, comments and lists need of it."""
    body = "The *text* of it."
    content = (
        TextContent(body=body)
        if kind is PostKind.answer
        else PostContent(title=title, body=body, tags=["sql"])
    )
    async with hub.database.transaction() as session:
        post = await create_post(session, UUID(author.id), kind, content, **columns)
        return str(post.id)

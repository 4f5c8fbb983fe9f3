"""Adding many resources at once, by the rules of `resources.service.add_resource`."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from backend_hub.db import AsyncSession, constraint_name
from backend_hub.posts.bulk import Progress, create_posts, insert_rows
from backend_hub.posts.models import PostKind
from backend_hub.resources.models import Resource
from backend_hub.resources.schemas import LinkContent
from backend_hub.resources.service import Content, DuplicateUrl, resource_row
from backend_hub.resources.urls import url_key

CHUNK = 500
MAX_PARAMETERS = 10_000


class NewResource(NamedTuple):
    """A content, and what else its row holds: `catalogue_key`, `source` and so on."""

    content: Content
    columns: dict[str, Any]


async def add_resources(
    session: AsyncSession,
    author_id: UUID,
    new: Sequence[NewResource],
    *,
    summary: str = "",
    progress: Progress | None = None,
) -> None:
    """Add resources whose URLs the caller found to be free.

    Raises DuplicateUrl when somebody else adds one of them meanwhile: run it again.
    """
    for start in range(0, len(new), CHUNK):
        chunk = new[start : start + CHUNK]
        contents = [content for content, _ in chunk]
        posts = await create_posts(session, author_id, PostKind.resource, contents, summary=summary)
        rows = [
            resource_row(post.id, content, **columns)
            for post, (content, columns) in zip(posts, chunk, strict=True)
        ]
        await _insert(session, rows)
        if progress:
            progress(start + len(chunk), len(new))


async def taken_urls(session: AsyncSession, contents: Sequence[Content]) -> dict[str, UUID]:
    """Of the links among the contents: the URL keys that the hub has, and whose they are."""
    keys = [url_key(content.url) for content in contents if isinstance(content, LinkContent)]
    taken: dict[str, UUID] = {}
    for start in range(0, len(keys), MAX_PARAMETERS):
        chunk = keys[start : start + MAX_PARAMETERS]
        rows = await session.exec(
            select(Resource.url_key, Resource.post_id).where(col(Resource.url_key).in_(chunk))
        )
        taken |= {key: post_id for key, post_id in rows if key}
    return taken


async def _insert(session: AsyncSession, rows: list[Resource]) -> None:
    try:
        await insert_rows(session, rows)
    except IntegrityError as error:
        if constraint_name(error) != "uq_resources_url_key":
            raise
        raise DuplicateUrl("One of the links was added meanwhile: run it again") from None

"""Writing many new posts at once, by the rules of `posts.service.create_post`."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Text, bindparam, insert, select
from sqlmodel import SQLModel, col

from backend_hub.db import AsyncSession, new_id
from backend_hub.errors import Unprocessable
from backend_hub.events.service import record
from backend_hub.http.markdown import render_markdown
from backend_hub.posts.content import PostContent
from backend_hub.posts.fulltext import configuration_for, parsable, vector_of
from backend_hub.posts.models import Post, PostKind, PostTag, Revision
from backend_hub.topics.models import Topic
from backend_hub.topics.service import tags_of_words

ROWS_A_STATEMENT = 500
Progress = Callable[[int, int], None]
"""Called with how many are done, and of how many."""


async def create_posts(
    session: AsyncSession,
    author_id: UUID,
    kind: PostKind,
    contents: Sequence[PostContent],
    *,
    summary: str = "",
) -> list[Post]:
    """Write posts with their first revisions; the caller adds the rows of their kind.

    The posts are not attached to the session. Raises Unprocessable for an unknown topic.
    """
    topics = await _topic_ids(session, {c.topic for c in contents if c.topic is not None})
    tags = await tags_of_words(session, {name for c in contents for name in c.tags})
    posts: list[Post] = []
    words: list[str] = []
    revisions: list[Revision] = []
    links: list[PostTag] = []
    for content in contents:
        tagged = list(dict.fromkeys(tags[name] for name in content.tags))
        names = [name for _, name in tagged]
        post = await _new_post(author_id, kind, content, topics)
        posts.append(post)
        words.append(" ".join(names))
        revisions.append(_first_revision(post, content, names, summary))
        links += [
            PostTag(post_id=post.id, tag_id=tag_id, position=position)
            for position, (tag_id, _) in enumerate(tagged)
        ]
        record(session, f"{kind}.created", actor_id=author_id, subject_id=post.id, post_id=post.id)
    await _insert_posts(session, posts, words)
    await insert_rows(session, revisions)
    await insert_rows(session, links)
    await session.flush()
    return posts


async def _topic_ids(session: AsyncSession, slugs: set[str]) -> dict[str, UUID]:
    rows = await session.execute(
        select(col(Topic.slug), col(Topic.id)).where(col(Topic.slug).in_(slugs))
    )
    found = {slug: topic_id for slug, topic_id in rows}  # noqa: C416 - typed rows
    if missing := slugs - set(found):
        raise Unprocessable(f"There is no topic {min(missing)}", loc=("body", "topic"))
    return found


async def _new_post(
    author_id: UUID, kind: PostKind, content: PostContent, topics: dict[str, UUID]
) -> Post:
    return Post(
        id=new_id(),
        kind=kind,
        author_id=author_id,
        title=content.title,
        topic_id=topics[content.topic] if content.topic else None,
        body=content.body,
        body_html=await render_markdown(content.body),
        language=content.language,
        license=content.license,
        revision=1,
        version=1,
        search_config=configuration_for(content.language),
    )


def _first_revision(post: Post, content: PostContent, tags: list[str], summary: str) -> Revision:
    return Revision(
        post_id=post.id,
        number=1,
        editor_id=post.author_id,
        summary=summary,
        content={**content.model_dump(mode="json"), "tags": tags},
        created_at=post.updated_at,
    )


async def _insert_posts(session: AsyncSession, posts: Sequence[Post], words: Sequence[str]) -> None:
    """The rows, each with its search vector; `words` are the tags of each post."""
    vector = vector_of(
        bindparam("search_config", type_=Text()),
        bindparam("title", type_=Text()),
        bindparam("words", type_=Text()),
        bindparam("parsable", type_=Text()),
    )
    fields = [name for name in Post.model_fields if name != "search"]
    statement = insert(Post).values({name: bindparam(name) for name in fields} | {"search": vector})
    rows = [
        {**post.model_dump(exclude={"search"}), "words": tags, "parsable": parsable(post.body)}
        for post, tags in zip(posts, words, strict=True)
    ]
    await _run(session, statement, rows)


async def insert_rows(session: AsyncSession, rows: Sequence[SQLModel]) -> None:
    """Insert rows of one table, hundreds a statement, without attaching them."""
    if rows:
        await _run(session, insert(type(rows[0])), [row.model_dump() for row in rows])


async def _run(session: AsyncSession, statement: Any, rows: list[dict[str, Any]]) -> None:
    connection = await session.connection()
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        await connection.execute(statement, rows[start : start + ROWS_A_STATEMENT])

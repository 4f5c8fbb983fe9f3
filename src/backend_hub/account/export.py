"""Everything about a person as a ZIP file: JSON, and their posts as Markdown too.

Rows come in batches, and are compressed in a thread into a file on disk: neither the event loop
nor memory feels how much somebody wrote.
"""

import functools
import tempfile
import zipfile
from collections.abc import AsyncIterator, Sequence
from typing import IO, Any

import anyio.to_thread
import orjson
from anyio import CapacityLimiter
from sqlalchemy import RowMapping, Select, select
from sqlmodel import col

from backend_hub.account.holdings import HOLDINGS, exported_columns
from backend_hub.auth.security_log import note
from backend_hub.contributions.models import Contribution
from backend_hub.db import AsyncSession, utcnow
from backend_hub.events.service import record
from backend_hub.http.callers import Caller
from backend_hub.posts.models import Post
from backend_hub.questions.models import Question
from backend_hub.resources.models import Resource
from backend_hub.users.models import User

BATCH = 200
CHUNK = 65_536
README = """\
# {username} at {hub}

Everything that this hub holds of you, as of {now:%Y-%m-%d %H:%M} UTC.

* `*.json`: one file for each kind of thing, an array of its rows. Moments are UTC.
* `posts/*.md`: what you wrote, as Markdown, one file each; `posts.json` has their dates and scores.
* `revisions.json`: every version of your posts, and your edits of others' posts.

No file holds a password, a token or a secret: the hub knows only their hashes, and those are
left out.
"""
_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS


@functools.cache
def _threads() -> CapacityLimiter:
    """At most two exports are compressed at once."""
    return CapacityLimiter(2)


async def _in_thread(function: Any, *arguments: Any) -> Any:
    return await anyio.to_thread.run_sync(function, *arguments, limiter=_threads())


def _json(row: RowMapping) -> bytes:
    return orjson.dumps(dict(row), default=str, option=_OPTIONS)


def _append(file: IO[bytes], rows: Sequence[RowMapping], first: bool) -> None:
    for row in rows:
        file.write(b"" if first else b",\n")
        file.write(_json(row))
        first = False


def _statements(user: User) -> list[tuple[str, Select[Any]]]:
    """The name of each file and its rows; what extends a post follows from its author."""
    found = []
    for holding in HOLDINGS:
        if holding.file:
            chosen = select(*exported_columns(holding)).where(holding.rows_of(user.id))
            found.append((holding.file, chosen))
    extending: tuple[tuple[str, Any], ...] = (
        ("resources", Resource),
        ("questions", Question),
        ("contributions", Contribution),
    )
    for name, model in extending:
        rows = select(*model.__table__.columns).join(Post, col(Post.id) == model.post_id)
        found.append((name, rows.where(col(Post.author_id) == user.id)))
    return found


async def _write_rows(
    session: AsyncSession, archive: zipfile.ZipFile, name: str, statement: Select[Any]
) -> None:
    result = await session.stream(statement, execution_options={"yield_per": BATCH})
    with archive.open(f"{name}.json", "w", force_zip64=True) as file:
        await _in_thread(file.write, b"[\n")
        first = True
        async for rows in result.mappings().partitions(BATCH):
            await _in_thread(_append, file, rows, first)
            first = False
        await _in_thread(file.write, b"\n]\n")


def _append_texts(archive: zipfile.ZipFile, rows: Sequence[RowMapping]) -> None:
    for row in rows:
        heading = f"# {row['title']}\n\n" if row["title"] else ""
        archive.writestr(f"posts/{row['kind']}-{row['id']}.md", f"{heading}{row['body']}\n")


async def _write_texts(session: AsyncSession, archive: zipfile.ZipFile, user: User) -> None:
    columns = (col(getattr(Post, name)) for name in ("id", "kind", "title", "body"))
    mine = select(*columns).where(col(Post.author_id) == user.id)
    result = await session.stream(mine, execution_options={"yield_per": BATCH})
    async for rows in result.mappings().partitions(BATCH):
        await _in_thread(_append_texts, archive, rows)


async def export_data(session: AsyncSession, user: User, hub: str, caller: Caller) -> IO[bytes]:
    """A temporary file at its beginning; whoever gets it closes it."""
    note(session, user.id, "data_exported", caller)
    record(session, "user.data_exported", actor_id=user.id, subject_id=user.id, private=True)
    await session.flush()
    made: IO[bytes] = await _in_thread(tempfile.TemporaryFile)
    try:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            readme = README.format(username=user.username, hub=hub, now=utcnow())
            await _in_thread(archive.writestr, "README.md", readme)
            for name, statement in _statements(user):
                await _write_rows(session, archive, name, statement)
            await _write_texts(session, archive, user)
        made.seek(0)
    except BaseException:
        made.close()
        raise
    return made


async def chunks_of(file: IO[bytes]) -> AsyncIterator[bytes]:
    """The file piece by piece; it is closed at the end, and so is gone."""
    try:
        while chunk := await anyio.to_thread.run_sync(file.read, CHUNK):
            yield chunk
    finally:
        file.close()

"""Importing an awesome list: its headings become topics, its items links."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import anyio.to_thread
from sqlmodel import col, select

from backend_hub.db import AsyncSession
from backend_hub.errors import Unprocessable
from backend_hub.http.schemas import DEFAULT_LICENSE
from backend_hub.imports.accounts import acting, hub_account
from backend_hub.imports.awesome import AwesomeList, Item, parse
from backend_hub.imports.awesome_links import link_content, shorten
from backend_hub.imports.awesome_report import Skipped
from backend_hub.imports.awesome_topics import PlannedTopic, create_planned, plan_topics
from backend_hub.posts.bulk import Progress
from backend_hub.posts.models import Post
from backend_hub.resources.bulk import NewResource, add_resources, taken_urls
from backend_hub.resources.models import Resource
from backend_hub.resources.schemas import LinkContent
from backend_hub.resources.urls import url_key

MAX_BYTES = 10_000_000
MAX_TITLE, MAX_HEADINGS = 300, 20
"""What `ImportSource` holds."""


class UnreadableList(Unprocessable):
    """The file is no list; the message says where it breaks."""

    code, title = "unreadable_list", "This file cannot be imported"


class Existing(NamedTuple):
    """An item whose page the hub has already."""

    line: int
    title: str
    url: str
    post_id: UUID


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What one topic gets; `created` means that the import made it, or would."""

    slug: str
    name: str
    depth: int
    created: bool
    new: int
    existing: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did; what it would do, when it was a dry run."""

    title: str
    dry_run: bool
    new: int
    existing: tuple[Existing, ...]
    skipped: tuple[Skipped, ...]
    topics: tuple[TopicReport, ...]


class _Entry(NamedTuple):
    item: Item
    content: LinkContent
    key: str


def read_list(path: Path) -> str:
    """The text of a list; raises UnreadableList when it is too big or not UTF-8."""
    if path.stat().st_size > MAX_BYTES:
        raise UnreadableList(f"{path.name} is larger than {MAX_BYTES // 1_000_000} MB")
    return decode_list(path.read_bytes(), path.name)


def decode_list(data: bytes, name: str) -> str:
    """The text of a file's bytes; raises UnreadableList with the line that is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableList(f"{name} is not UTF-8: line {line}") from None


async def import_awesome(
    session: AsyncSession,
    text: str,
    *,
    name: str | None = None,
    file_name: str = "",
    under: str | None = None,
    language: str = "en",
    license_id: str = DEFAULT_LICENSE,
    dry_run: bool = False,
    author_id: UUID | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Add what the hub does not have yet.

    `name` stands in for the list's own title, `file_name` for a title that the list lacks.
    The list's title becomes a top topic, unless its headings go `under` a topic. The author is the
    hub's own account, unless given. Raises UnreadableList, and NotFound for `under`.
    """
    if len(text) > MAX_BYTES:
        raise UnreadableList(f"The list is larger than {MAX_BYTES // 1_000_000} MB")
    parsed = await anyio.to_thread.run_sync(parse, text)
    title = shorten(" ".join((name or parsed.title or Path(file_name).stem).split()), MAX_TITLE)
    if not title:
        raise UnreadableList("The list has no title: name it")
    entries, skipped = await anyio.to_thread.run_sync(_read, parsed, language, license_id)
    existing = await taken_urls(session, [entry.content for entry in entries])
    removed = await _removed(session)
    skipped += [_skip(e.item, "was deleted in the hub") for e in entries if e.key in removed]
    kept = [entry for entry in entries if entry.key not in removed or entry.key in existing]
    topics = await plan_topics(session, title, under, [entry.item.path for entry in kept])
    new = [entry for entry in kept if entry.key not in existing]
    if not dry_run and new:
        author_id = author_id or (await hub_account(session)).id
        await _write(session, author_id, title, new, topics, progress)
    return ImportReport(
        title=title,
        dry_run=dry_run,
        new=len(new),
        existing=tuple(
            Existing(e.item.line, e.content.title, e.content.url, existing[e.key])
            for e in kept
            if e.key in existing
        ),
        skipped=tuple(sorted([*parsed.skipped, *skipped], key=lambda s: s.line)),
        topics=_count_topics(topics, kept, existing),
    )


def _read(
    parsed: AwesomeList, language: str, license_id: str
) -> tuple[list[_Entry], list[Skipped]]:
    """The links of a list, each page once, and why the other items are left out."""
    entries: list[_Entry] = []
    skipped: list[Skipped] = []
    lines: dict[str, int] = {}
    for item in parsed.items:
        content = link_content(item, language, license_id)
        if isinstance(content, str):
            skipped.append(_skip(item, content))
            continue
        key = url_key(content.url)
        if key in lines:
            skipped.append(_skip(item, f"duplicate of line {lines[key]}"))
            continue
        lines[key] = item.line
        entries.append(_Entry(item, content, key))
    return entries, skipped


def _skip(item: Item, reason: str) -> Skipped:
    return Skipped(item.line, f"[{item.title[:80]}]({item.url[:1_000]})", reason)


async def _removed(session: AsyncSession) -> set[str]:
    """The pages of imported links that people deleted: importing must not bring them back."""
    rows = await session.exec(
        select(Resource.url)
        .join(Post, col(Post.id) == Resource.post_id)
        .where(col(Post.deleted_at).is_not(None), col(Resource.source).is_not(None))
    )
    return {url_key(url) for url in rows if url}


async def _write(
    session: AsyncSession,
    author_id: UUID,
    title: str,
    new: Sequence[_Entry],
    topics: dict[tuple[str, ...], PlannedTopic],
    progress: Progress | None,
) -> None:
    needed = {topics[entry.item.path].slug for entry in new}
    await create_planned(session, acting(author_id), list(topics.values()), needed)
    rows = [
        NewResource(
            entry.content.model_copy(update={"topic": topics[entry.item.path].slug}),
            {"source": _source(entry.item, title)},
        )
        for entry in new
    ]
    await add_resources(
        session, author_id, rows, summary=shorten(f"Imported from {title}", 300), progress=progress
    )


def _source(item: Item, title: str) -> dict[str, Any]:
    return {"name": title, "line": item.line, "path": list(item.path[:MAX_HEADINGS])}


def _count_topics(
    topics: dict[tuple[str, ...], PlannedTopic],
    entries: Sequence[_Entry],
    existing: dict[str, UUID],
) -> tuple[TopicReport, ...]:
    """One row a topic, a topic's own items only; those above it come first."""
    old = Counter(topics[e.item.path].slug for e in entries if e.key in existing)
    new = Counter(topics[e.item.path].slug for e in entries if e.key not in existing)
    parents = {topic.slug: topic.parent for topic in topics.values()}
    needed: set[str] = set()
    for slug in new:
        above: str | None = slug
        while above:
            needed.add(above)
            above = parents.get(above)
    reports: dict[str, TopicReport] = {}
    for path, topic in topics.items():
        created = topic.id is None and topic.slug in needed
        reports.setdefault(
            topic.slug,
            TopicReport(
                topic.slug, topic.name, len(path), created, new[topic.slug], old[topic.slug]
            ),
        )
    return tuple(reports.values())

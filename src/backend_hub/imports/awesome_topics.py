"""Where the headings of an awesome list belong in the tree of topics."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.db import AsyncSession
from backend_hub.imports.awesome_links import shorten
from backend_hub.topics.models import Topic
from backend_hub.topics.schemas import TopicCreate
from backend_hub.topics.service import MAX_DEPTH, ancestors, create_topic, get_topic

MAX_SLUG, MAX_NAME, MAX_POSITION = 120, 120, 100_000
HASH = 8  # characters
MAX_PARAMETERS = 10_000
Path = tuple[str, ...]
"""Headings from the one below the root of the import downwards; () is the root itself."""


@dataclass(frozen=True, slots=True)
class PlannedTopic:
    """A topic that exists (`id`), or one that the import would make."""

    slug: str
    name: str
    parent: str | None
    position: int
    id: UUID | None


class _Slugs(NamedTuple):
    plain: str | None
    """None when letters were lost, so that other headings could have the same."""
    hashed: str


class _Known(NamedTuple):
    id: UUID
    name: str
    parent_id: UUID | None


async def plan_topics(
    session: AsyncSession, title: str, under: str | None, paths: Sequence[Path]
) -> dict[Path, PlannedTopic]:
    """The topic of every path; what lies deeper than the tree may be, in the last that fits.

    Without `under` the list's title is the root, a top topic. Reads only; raises NotFound.
    """
    top = await get_topic(session, under) if under else None
    depth = len((await session.scalars(ancestors(top.id))).all()) if top else 1
    levels = max(0, MAX_DEPTH - depth)
    ends = ((path, end) for path in paths for end in range(1, min(len(path), levels) + 1))
    wanted = dict.fromkeys([(), *(path[:end] for path, end in ends)])
    prefix = (top.slug,) if top else (title,)
    slugs = {path: _slugs((*prefix, *path)) for path in wanted}
    plan = _Plan(slugs, await _known(session, slugs.values()))
    if top:
        plan.topics[()] = PlannedTopic(top.slug, top.name, None, top.position, top.id)
    else:
        plan.place((), title)
    for path in sorted(wanted, key=len):
        if path:
            plan.place(path, path[-1])
    return {path: plan.topics[path[:levels]] for path in (*wanted, *paths)}


async def create_planned(
    session: AsyncSession, actor: Actor, topics: Collection[PlannedTopic], needed: set[str]
) -> None:
    """Make those that do not exist and that something needed lies in, parents first."""
    parents = {topic.slug: topic.parent for topic in topics}
    for slug in list(needed):
        above: str | None = slug
        while above := parents.get(above or ""):
            needed.add(above)
    for topic in dict.fromkeys(topics):
        if topic.id is None and topic.slug in needed:
            form = TopicCreate(
                slug=topic.slug, name=topic.name, parent=topic.parent, position=topic.position
            )
            await create_topic(session, actor, form)


@dataclass(slots=True)
class _Plan:
    slugs: dict[Path, _Slugs]
    known: dict[str, _Known]
    topics: dict[Path, PlannedTopic] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    children: Counter[Path] = field(default_factory=Counter)
    counts: Counter[str | None] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.counts.update(slugs.plain for slugs in self.slugs.values())

    def place(self, path: Path, heading: str) -> None:
        """Find the topic of a path, or plan a new one; its parent must have been placed."""
        name = shorten(heading, MAX_NAME)
        parent = self.topics[path[:-1]] if path else None
        position = min(self.children[path[:-1]], MAX_POSITION) if path else 0
        self.children[path[:-1]] += 1
        slug = self._existing(self.slugs[path], name, parent) or self._free(self.slugs[path])
        known = self.known.get(slug)
        self.used.add(slug)
        self.topics[path] = PlannedTopic(
            slug, name, parent.slug if parent else None, position, known.id if known else None
        )

    def _existing(self, slugs: _Slugs, name: str, parent: PlannedTopic | None) -> str | None:
        """The same name may have moved; another name in the same place may be an admin's."""
        if slugs.hashed in self.known:
            return slugs.hashed
        known = self.known.get(slugs.plain or "")
        if known is None or slugs.plain in self.used:
            return None
        parent_id = parent.id if parent else None
        here = known.parent_id == parent_id and (parent is None or parent_id is not None)
        alone = self.counts[slugs.plain] == 1
        return slugs.plain if known.name == name or (here and alone) else None

    def _free(self, slugs: _Slugs) -> str:
        plain = slugs.plain
        taken = plain is None or plain in self.known or plain in self.used
        return slugs.hashed if plain is None or taken else plain


async def _known(session: AsyncSession, slugs: Collection[_Slugs]) -> dict[str, _Known]:
    words = [word for pair in slugs for word in pair if word]
    known: dict[str, _Known] = {}
    for start in range(0, len(words), MAX_PARAMETERS):
        rows = await session.exec(
            select(Topic.slug, Topic.id, Topic.name, Topic.parent_id).where(
                col(Topic.slug).in_(words[start : start + MAX_PARAMETERS])
            )
        )
        known |= {slug: _Known(id_, name, parent_id) for slug, id_, name, parent_id in rows}
    return known


def _slugs(names: Path) -> _Slugs:
    """`awesome-fastapi-databases-orms`, and the same with a hash of the exact names."""
    parts = [slugify(name) for name in names]
    readable = "-".join(part for part, _ in parts if part) or "list"
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:HASH]
    hashed = f"{readable[: MAX_SLUG - HASH - 1].rstrip('-')}-{digest}"
    whole = len(readable) <= MAX_SLUG and all(complete for _, complete in parts)
    return _Slugs(readable if whole else None, hashed)


def slugify(name: str) -> tuple[str, bool]:
    """The words of a name in a-z and 0-9, and whether no letter was lost."""
    text = unicodedata.normalize("NFKD", name.lower())
    text = "".join(char for char in text if not unicodedata.combining(char))
    text = re.sub(r"(?<=[a-z0-9])\+\+", " plus plus", text)
    text = re.sub(r"(?<=[a-z0-9])#", " sharp", text).replace("&", " and ")
    lost = any(char.isalnum() and not char.isascii() for char in text)
    slug = re.sub(r"[^a-z0-9]+", "-", text).strip("-")
    return slug, bool(slug) and not lost

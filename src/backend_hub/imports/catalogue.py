"""Bringing the shipped catalogue into the hub, and bringing it up to date.

What the catalogue wrote last is remembered as a version (topics) or a revision (resources). Where
the hub has another one, people edited it since, and their text stays.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func
from sqlmodel import select

from backend_hub.db import AsyncSession
from backend_hub.imports.accounts import acting, hub_account
from backend_hub.imports.catalogue_files import CATALOGUE, read_catalogue
from backend_hub.imports.catalogue_resources import seed_resources
from backend_hub.imports.catalogue_topics import Outcome, seed_tags, seed_topics
from backend_hub.posts.bulk import Progress


@dataclass(frozen=True, slots=True)
class SeedReport:
    """How many topics, tags and resources met which fate; what was kept is as people left it."""

    created: int
    updated: int
    unchanged: int
    kept: int


async def seed_catalogue(
    session: AsyncSession, *, progress: Progress | None = None, root: Path = CATALOGUE
) -> SeedReport:
    """Add what is missing and update what nobody edited; a second run writes nothing.

    Raises ConfigurationError when a file of the catalogue is not valid.
    """
    catalogue = read_catalogue(root)
    total = len(catalogue.topics) + len(catalogue.tags) + len(catalogue.resources)
    outcomes: Counter[Outcome] = Counter()

    def count(outcome: Outcome) -> None:
        outcomes[outcome] += 1
        if progress:
            progress(outcomes.total(), total)

    # Of two seeds at once the second waits, and then finds everything there.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext("catalogue"))))
    actor = acting((await hub_account(session)).id)
    await seed_tags(session, actor, catalogue.tags, count)
    topics = await seed_topics(session, actor, catalogue.topics, count)
    await seed_resources(session, actor, catalogue.resources, topics, count)
    await session.flush()
    return SeedReport(
        created=outcomes["created"],
        updated=outcomes["updated"],
        unchanged=outcomes["unchanged"],
        kept=outcomes["kept"],
    )

"""A database whose mails nobody delivers but the test."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete

from backend_hub.db import Database
from backend_hub.mail.models import Mail
from backend_hub.migrate import upgrade
from backend_hub.settings import Settings
from tests.conftest import make_database


@pytest.fixture(scope="session")
async def outbox_url(settings: Settings, worker_name: str) -> str:
    url = await make_database(settings.database_url, f"mail_{os.getpid()}_{worker_name}")
    await asyncio.to_thread(upgrade, url)
    return url


@pytest.fixture
async def outbox(settings: Settings, outbox_url: str) -> AsyncIterator[Database]:
    database = Database(settings, outbox_url)
    yield database
    async with database.transaction() as session:
        await session.execute(delete(Mail))
    await database.dispose()

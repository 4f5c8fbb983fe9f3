"""What the hub refuses to start with, and the database URLs that people paste."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from backend_hub.errors import ConfigurationError
from backend_hub.setting_types import without_password
from backend_hub.settings import Settings, load_settings
from tests.conftest import SECRET

GOOD: dict[str, Any] = {
    "environment": "production",
    "secret_key": SECRET,
    "public_url": "https://hub.example",
    "database_url": "postgresql://hub:pw@db.example/hub",
}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"secret_key": ""}, "HUB_SECRET_KEY"),
        ({"secret_key": "short"}, "HUB_SECRET_KEY"),
        ({"secret_key": "a" * 64}, "HUB_SECRET_KEY"),
        ({"secret_key": "please-change-me-please-change-me-42"}, "HUB_SECRET_KEY"),
        ({"cors_origins": "*"}, "HUB_CORS_ORIGINS"),
        ({"cors_origins": "https://a.example, *"}, "HUB_CORS_ORIGINS"),
        ({"public_url": "http://hub.example"}, "HUB_PUBLIC_URL"),
        ({"database_url": "mysql://hub:pw@db.example/hub"}, "HUB_DATABASE_URL"),
        ({"database_url": "", "database_replica_url": "postgresql://h/d"}, "goes with"),
        ({"database_replica_url": "postgresql://a,b/hub"}, "names one server"),
        ({"database_replica_url": "mysql://h/d"}, "HUB_DATABASE_REPLICA_URL"),
    ],
)
def test_an_unsafe_setting_stops_the_start_and_is_named(change: dict[str, Any], name: str) -> None:
    load_settings(**GOOD)
    with pytest.raises(ConfigurationError, match=name) as refused:
        load_settings(**{**GOOD, **change})
    secret = change.get("secret_key")
    assert not secret or secret not in str(refused.value)
    assert "pw@" not in str(refused.value)


def test_development_is_lenient() -> None:
    changes = {"environment": "development", "cors_origins": "*", "public_url": "http://localhost"}
    assert load_settings(**{**GOOD, **changes}).cors_origins == ["*"]


def test_no_secret_is_shown_with_the_settings() -> None:
    assert SECRET not in repr(load_settings(**GOOD))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql+psycopg2://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        (
            "postgresql://u:p@h:5433/d?sslmode=require",
            "postgresql+asyncpg://u:p@h:5433/d?ssl=require",
        ),
        (
            "postgresql://u@h/d?connect_timeout=5&channel_binding=prefer",
            "postgresql+asyncpg://u@h/d",
        ),
        ("postgresql:///d?host=/run/pg", "postgresql+asyncpg:///d?host=/run/pg"),
        ("postgresql://u@%2Frun%2Fpg/d", "postgresql+asyncpg://u@/d?host=/run/pg"),
        ("postgresql://u:p@a:1,b:2/d", "postgresql+asyncpg://u:p@/d?host=a:1&host=b:2"),
        (
            "postgresql://u@a,b/d?target_session_attrs=read-write",
            "postgresql+asyncpg://u@/d?target_session_attrs=read-write&host=a:5432&host=b:5432",
        ),
        ("postgresql://u:p%40%2F%23%3F%3A@h/d", "postgresql+asyncpg://u:p%40%2F%23%3F%3A@h/d"),
        ("postgresql://u:p@[::1]:5432/d", "postgresql+asyncpg://u:p@[::1]:5432/d"),
    ],
)
def test_the_forms_of_libpq_are_translated(given: str, expected: str) -> None:
    assert load_settings(**{**GOOD, "database_url": given}).database_url == expected
    make_url(expected)


def test_special_characters_of_a_password_arrive() -> None:
    settings = load_settings(**{**GOOD, "database_url": "postgresql://u:p%40%2F%23%3F%25@h/d"})
    assert make_url(settings.database_url).password == "p@/#?%"
    assert "p%40" not in without_password(settings.database_url)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("postgresql://u:hush#x@h/d", "percent-encode"),
        ("postgresql://u:hush/x@h/d", "percent-encode"),
        ("postgresql://u:hush?x@h/d", "percent-encode"),
        ("postgresql://u:hush[x@h/d", "percent-encode"),
        ("postgresql://u:hush@h:port/d", "percent-encode"),
        ("postgresql://u:hush@h/d?sslmode=always", "sslmode is one of"),
        ("postgresql://u:hush@h/d?sslmode=verify-full&sslrootcert=/ca.pem", "PGSSLROOTCERT"),
        ("postgresql://u:hush@h/d?pgbouncer=true", "may have"),
    ],
)
def test_a_url_that_could_not_work_is_refused_without_repeating_it(given: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint) as refused:
        load_settings(**{**GOOD, "database_url": given})
    assert "hush" not in str(refused.value)


async def test_translated_urls_really_connect(settings: Settings) -> None:
    """Through the socket of the test's server, in each spelling that it has."""
    url = make_url(settings.database_url)
    folder = url.query.get("host")
    forms = [settings.database_url]
    if isinstance(folder, str) and folder.startswith("/"):
        encoded = folder.replace("/", "%2F")
        forms = [
            f"postgresql:///{url.database}?user={url.username}&host={folder}&sslmode=prefer",
            f"postgres://{url.username}@{encoded}/{url.database}?connect_timeout=3",
            f"postgres://{url.username}:any%40%2Fthing@/{url.database}?host={folder}"
            "&target_session_attrs=read-write",
        ]
    for form in forms:
        translated = load_settings(**{**GOOD, "database_url": form}).database_url
        engine = create_async_engine(translated, poolclass=NullPool)
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
        await engine.dispose()


def test_a_password_in_the_query_of_a_url_is_not_shown_either() -> None:
    url = "postgresql+asyncpg://hub@/hub?host=/tmp&password=otters&ssl=disable"
    assert without_password(url) == url.replace("otters", "***")

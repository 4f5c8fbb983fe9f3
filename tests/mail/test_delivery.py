"""Mails leave after the commit, once, and wait while the server is away."""

import asyncio
import socket
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import update
from sqlmodel import col, select

from backend_hub.db import Database, utcnow
from backend_hub.http.callers import program_of
from backend_hub.mail.composing import Undeliverable, compose
from backend_hub.mail.delivery import deliver_due, mails_folder, purge_expired_mails
from backend_hub.mail.models import Mail
from backend_hub.mail.service import queue_mail, seal
from backend_hub.settings import Settings
from tests.mail.post import post_office, text_of

TOKEN = "a-token-that-lets-somebody-in"


def posted(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"smtp_url": SecretStr(url)})


async def queue(database: Database, settings: Settings, *recipients: str, **more: Any) -> None:
    async with database.transaction() as session:
        for recipient in recipients:
            sealed = seal(settings, TOKEN)
            queue_mail(session, recipient, "verify", sealed=sealed, username="ann", **more)


async def waiting(database: Database) -> list[Mail]:
    async with database.transaction() as session:
        return list((await session.exec(select(Mail).order_by(col(Mail.id)))).all())


async def make_due(database: Database) -> None:
    """As if the time until the next try had passed."""
    async with database.transaction() as session:
        await session.execute(update(Mail).values(next_try_at=utcnow() - timedelta(seconds=1)))


async def test_a_mail_leaves_after_the_commit_and_never_after_a_rollback(
    outbox: Database, settings: Settings
) -> None:
    async with post_office() as office:
        office_settings = posted(settings, office.url())
        await queue(outbox, settings, "ann@example.org")

        async def change_that_fails() -> None:
            async with outbox.transaction() as session:
                queue_mail(session, "bob@example.org", "moved", username="bob", contact="x")
                await session.flush()
                raise LookupError

        with pytest.raises(LookupError):
            await change_that_fails()
        assert await deliver_due(outbox, office_settings) == 1
        assert office.envelopes == [["ann@example.org"]]
    (mail,) = office.taken
    assert (mail["To"], mail["Auto-Submitted"]) == ("ann@example.org", "auto-generated")
    assert f"/verify?token={TOKEN}" in text_of(mail)
    html = mail.get_body(("html",))
    assert html is not None
    assert f"/verify?token={TOKEN}" in html.get_content()


async def test_24_the_outbox_holds_no_usable_secret_and_nothing_after_delivery(
    outbox: Database, settings: Settings
) -> None:
    await queue(outbox, settings, "ann@example.org")
    assert TOKEN not in repr([mail.model_dump() for mail in await waiting(outbox)])
    async with post_office() as office:
        await deliver_due(outbox, posted(settings, office.url()))
    assert await waiting(outbox) == []


async def test_workers_side_by_side_deliver_each_mail_once(
    outbox: Database, outbox_url: str, settings: Settings
) -> None:
    people = [f"person-{n}@example.org" for n in range(30)]
    await queue(outbox, settings, *people)
    other = Database(settings, outbox_url)
    async with post_office() as office:
        office_settings = posted(settings, office.url())
        workers = [deliver_due(database, office_settings) for database in [outbox, other] * 3]
        counts = await asyncio.gather(*workers)
    await other.dispose()
    assert sum(counts) == 30
    assert sorted(office.envelopes) == sorted([person] for person in people)


async def test_a_dead_server_loses_nothing(outbox: Database, settings: Settings) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    office_settings = posted(settings, f"smtp://127.0.0.1:{port}?tls=none")
    await queue(outbox, settings, "ann@example.org", "bob@example.org")
    for attempt in (1, 2):
        assert await deliver_due(outbox, office_settings) == 0
        tried = sorted(await waiting(outbox), key=lambda mail: mail.next_try_at)
        assert [mail.attempts for mail in tried] == [0, 1] if attempt == 1 else [1, 1]
        assert tried[-1].next_try_at > utcnow() + timedelta(seconds=60)
    await make_due(outbox)
    async with post_office(port) as office:
        assert await deliver_due(outbox, office_settings) == 2
    assert {mail["To"] for mail in office.taken} == {"ann@example.org", "bob@example.org"}


async def test_each_try_of_a_mail_has_the_same_id_and_waits_longer(
    outbox: Database, settings: Settings
) -> None:
    async with post_office() as office:
        office.refuses = {"ann@example.org"}
        office_settings = posted(settings, office.url())
        await queue(outbox, settings, "ann@example.org", "bob@example.org")
        assert await deliver_due(outbox, office_settings) == 1
        (first,) = await waiting(outbox)
        await make_due(outbox)
        await deliver_due(outbox, office_settings)
        (second,) = await waiting(outbox)
        waits = [mail.next_try_at - utcnow() for mail in (first, second)]
        assert waits[1] > waits[0] + timedelta(seconds=60)
        office.refuses = set()
        await make_due(outbox)
        await deliver_due(outbox, office_settings)
    assert [mail["To"] for mail in office.taken] == ["bob@example.org", "ann@example.org"]
    assert office.taken[1]["Message-ID"] == compose(settings, first)["Message-ID"]


async def test_a_mail_with_a_dead_link_is_given_up(outbox: Database, settings: Settings) -> None:
    past = utcnow() - timedelta(seconds=1)
    async with post_office() as office:
        await queue(outbox, settings, "ann@example.org", expires_at=past)
        assert await deliver_due(outbox, posted(settings, office.url())) == 0
        assert (office.taken, await waiting(outbox)) == ([], [])
        await queue(outbox, settings, "ann@example.org", expires_at=past)
        await queue(outbox, settings, "bob@example.org")
        async with outbox.transaction() as session:
            await purge_expired_mails(session)
        assert [mail.recipient for mail in await waiting(outbox)] == ["bob@example.org"]


async def test_a_server_without_starttls_gets_nothing(outbox: Database, settings: Settings) -> None:
    await queue(outbox, settings, "ann@example.org")
    async with post_office() as office:
        plain = f"smtp://127.0.0.1:{office.port}"
        assert await deliver_due(outbox, posted(settings, plain)) == 0
        assert office.taken == []
        await make_due(outbox)
        assert await deliver_due(outbox, posted(settings, office.url())) == 1


async def test_the_hub_signs_in_to_its_server(outbox: Database, settings: Settings) -> None:
    await queue(outbox, settings, "ann@example.org")
    async with post_office(login=True) as office:
        assert await deliver_due(outbox, posted(settings, office.url("hub:p%40ss@"))) == 1
    assert office.logins == ["hub p@ss"]


async def test_another_secret_key_makes_old_links_undeliverable(
    outbox: Database, settings: Settings
) -> None:
    await queue(outbox, settings, "ann@example.org")
    other = settings.model_copy(update={"secret_key": SecretStr("another secret")})
    async with post_office() as office:
        assert await deliver_due(outbox, posted(other, office.url())) == 0
    assert (office.taken, await waiting(outbox)) == ([], [])


async def test_without_a_server_development_writes_files_and_tells_of_no_secret(
    outbox: Database, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    local = settings.model_copy(update={"data_dir": tmp_path})
    caplog.set_level("DEBUG")
    await queue(outbox, settings, "ann@example.org")
    assert await deliver_due(outbox, local) == 1
    (file,) = mails_folder(local).iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert TOKEN in file.read_text()
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    "recipient",
    [
        "ann@example.org\r\nBcc: all@example.org",
        "ann@example.org\nBcc: all@example.org",
        "ann@example.org, all@example.org",
        "Ann <ann@example.org>",
        "ann@example.org\x00",
        "ann@exa mple.org",
        "@",
        "",
    ],
)
def test_nobody_adds_a_recipient_by_an_address(settings: Settings, recipient: str) -> None:
    mail = Mail(recipient=recipient, template="moved", expires_at=utcnow())
    mail.details = {"username": "ann", "contact": "https://hub.example"}
    with pytest.raises(Undeliverable):
        compose(settings, mail)
    mail.recipient = "ann@example.org"
    assert compose(settings, mail)["To"] == "ann@example.org"


@pytest.mark.parametrize(
    "words", ["x\r\nBcc: all@example.org", "x\nBcc: a@b.c\n\nbody", "x\x0bBcc: a@b.c", "\u2028x"]
)
def test_nobody_adds_a_header_by_what_a_mail_says(settings: Settings, words: str) -> None:
    named = settings.model_copy(update={"name": words})
    details = dict.fromkeys(("what", "detail", "when", "address", "program"), words)
    mail = Mail(recipient="ann@example.org", template="security", expires_at=utcnow())
    mail.details = details
    for each in (settings, named):
        read = message_from_bytes(bytes(compose(each, mail)), policy=policy.default)
        assert read["Bcc"] is None
        assert (read["To"], read["From"].addresses[0].addr_spec) == (
            "ann@example.org",
            "no-reply@testserver",
        )


def test_an_international_domain_is_written_in_ascii(settings: Settings) -> None:
    mail = Mail(recipient="ann@b\u00fccher.example", template="moved", expires_at=utcnow())
    mail.details = {"username": "ann", "contact": "x"}
    assert compose(settings, mail)["To"] == "ann@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("words", "agent"),
    [
        ("Firefox on Linux", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"),
        ("an unknown program", "Visit https://evil.example to save your account"),
    ],
)
def test_a_mail_repeats_no_words_of_the_caller(words: str, agent: str) -> None:
    assert program_of(agent) == words

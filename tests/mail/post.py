"""What is on its way to whom, and a mail server that takes it."""

import asyncio
import re
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from sqlmodel import col, select

from backend_hub.mail.composing import compose
from backend_hub.mail.models import Mail
from backend_hub.settings import Settings
from tests.hub import Hub

_TOKEN = re.compile(r"\?token=([\w-]{43})\s")


async def mails_to(hub: Hub, settings: Settings, recipient: str) -> list[EmailMessage]:
    """What waits for its delivery, the oldest first; composed as it will be."""
    async with hub.database.transaction() as session:
        waiting = select(Mail).where(Mail.recipient == recipient).order_by(col(Mail.id))
        return [compose(settings, mail) for mail in (await session.exec(waiting)).all()]


async def token_mailed_to(hub: Hub, settings: Settings, recipient: str) -> str:
    """The token of the newest link."""
    for message in reversed(await mails_to(hub, settings, recipient)):
        if found := _TOKEN.search(text_of(message)):
            return found[1]
    raise AssertionError(f"no link was mailed to {recipient}")


async def verified(hub: Hub, settings: Settings, username: str) -> None:
    """Somebody uses the link of their first mail."""
    token = await token_mailed_to(hub, settings, f"{username}@example.org")
    answer = await hub.visitor.post("/auth/verify-email", {"token": token})
    assert answer.status_code == 204, answer.text


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


@dataclass
class PostOffice:
    """A real SMTP server; it refuses whom it is told to."""

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    envelopes: list[list[str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if address in self.refuses:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: Any, _session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.taken.append(message_from_bytes(envelope.content, policy=policy.default))
        self.envelopes.append(list(envelope.rcpt_tos))
        return "250 OK"

    def authenticate(self, *arguments: Any) -> AuthResult:
        login = arguments[-1]
        assert isinstance(login, LoginPassword)
        self.logins.append(f"{login.login.decode()} {login.password.decode()}")
        return AuthResult(success=True)

    def url(self, login: str = "") -> str:
        return f"smtp://{login}127.0.0.1:{self.port}?tls=none"


@asynccontextmanager
async def post_office(port: int = 0, *, login: bool = False) -> AsyncIterator[PostOffice]:
    """The server while the block runs, on a port of its own or on the given one."""
    office = PostOffice()
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {}
    if login:
        options = {"auth_required": True, "authenticator": office.authenticate}

    def serve() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # that a login without TLS is unsafe
            return SMTP(
                office, hostname="post.example", loop=loop, auth_require_tls=False, **options
            )

    server = await loop.create_server(serve, "127.0.0.1", port)
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        server.close()

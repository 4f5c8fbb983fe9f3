"""The mails of a development hub, which has no mail server: a folder, and a page that shows it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import anyio.to_thread
from fastapi import Depends, Request
from markupsafe import Markup, escape
from starlette.responses import Response

from backend_hub.errors import NotFound
from backend_hub.http.routing import page_router
from backend_hub.mail.delivery import mails_folder
from backend_hub.settings import Settings
from backend_hub.site.templating import page

NEWEST = 50
URL = re.compile(r"https?://[^\s<>\"']*[\w/=-]")


class Written(NamedTuple):
    """A mail that was written to a file."""

    id: str
    to: str
    subject: str
    moment: datetime
    text: str


async def _only_in_development(request: Request) -> None:
    """The mails hold links that let anyone in: no other site's script may read them either."""
    navigates = request.headers.get("sec-fetch-mode", "navigate") == "navigate"
    own = request.headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
    if not request.app.state.settings.development or not (own or navigates):
        raise NotFound


router = page_router("/dev/mail", dependencies=[Depends(_only_in_development)])


@router.get("")
async def show_mails(request: Request) -> Response:
    mails = await anyio.to_thread.run_sync(_newest, _folder(request))
    return _uncached(page(request, "dev_mails.html", mails=mails))


@router.get("/{mail_id}")
async def show_mail(request: Request, mail_id: UUID) -> Response:
    mail = await anyio.to_thread.run_sync(_read, _folder(request) / f"{mail_id}.eml")
    if mail is None:
        raise NotFound
    return _uncached(page(request, "dev_mail.html", mail=mail, text=_with_links(mail.text)))


def _folder(request: Request) -> Path:
    settings: Settings = request.app.state.settings
    return mails_folder(settings)


def _uncached(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _newest(folder: Path) -> list[Written]:
    """Names are UUIDv7: sorted by time."""
    paths = sorted(folder.glob("*.eml"), reverse=True)[:NEWEST] if folder.is_dir() else []
    return [mail for mail in map(_read, paths) if mail is not None]


def _read(path: Path) -> Written | None:
    try:
        message = message_from_bytes(path.read_bytes(), policy=policy.default)
        when = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None
    text = "\n".join(_plain(message))
    return Written(path.stem, str(message["To"]), str(message["Subject"]), when, text)


def _plain(message: EmailMessage) -> Iterator[str]:
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            yield str(part.get_content())


def _with_links(text: str) -> Markup:
    """The text with its URLs as links, and everything escaped."""
    found, end = Markup(), 0
    for match in URL.finditer(text):
        found += escape(text[end : match.start()])
        found += Markup('<a href="{0}">{0}</a>').format(match[0])
        end = match.end()
    return found + escape(text[end:])

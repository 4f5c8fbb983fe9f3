"""From a row to a message: templates in, headers that nobody can add to out."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from email_validator import EmailNotValidError, validate_email
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from backend_hub.mail.models import Mail
from backend_hub.mail.service import unseal
from backend_hub.settings import Settings

templates = Environment(
    loader=PackageLoader("backend_hub.mail"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Undeliverable(Exception):
    """No other try can help: a broken address, or a secret that cannot be read any more."""


def compose(settings: Settings, mail: Mail) -> EmailMessage:
    """The message; raises Undeliverable.

    Text and HTML say the same. The first line of the text template is the subject.
    """
    secret = unseal(settings, mail.sealed) if mail.sealed else ""
    if secret is None:
        raise Undeliverable("the hub's secret key has changed")
    values = {**mail.details, "hub": settings.name, "url": settings.issuer, "secret": secret}
    subject, _, text = templates.get_template(f"{mail.template}.txt").render(values).partition("\n")
    name, sender = parseaddr(_one_line(settings.sender))
    message = EmailMessage()
    # One line, whatever the values hold; EmailMessage itself refuses a line break in a header.
    message["Subject"] = _one_line(subject)
    message["From"] = Address(name, addr_spec=sender)
    message["To"] = _address(mail.recipient or "")
    message["Date"] = format_datetime(mail.created_at)
    # The same for every try, so that a mailbox can tell a second delivery from a second mail.
    message["Message-ID"] = f"<{mail.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.strip() + "\n")
    html = templates.get_template(f"{mail.template}.html").render(values)
    message.add_alternative(html, subtype="html")
    return message


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:200]


def _address(recipient: str) -> Address:
    """Exactly one mailbox: no name, no list, no line break; the domain in ASCII."""
    try:
        checked = validate_email(recipient, check_deliverability=False)
        return Address(username=checked.local_part, domain=checked.ascii_domain)
    except (EmailNotValidError, ValueError):
        raise Undeliverable("the address is none") from None

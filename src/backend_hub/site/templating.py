"""Templates to answers: every value is escaped, but for HTML that was sanitised when written."""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from backend_hub.http.callers import program_of
from backend_hub.settings import Settings
from backend_hub.site.assets import asset

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""No script at all. Images of other sites stay away too: they would tell who reads what."""

KIND_NAMES = {"code_sample": "Code sample", "project": "Project", "link": "Link"}


def prose(html: str) -> Markup:
    """Rendered Markdown (http/markdown.py), in which wide blocks can be scrolled by keyboard.

    nh3 writes these tags bare, and text cannot hold them: there `<` is `&lt;`.
    """
    table = '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>'
    html = html.replace("<pre>", '<pre tabindex="0">')
    html = html.replace("<table>", table).replace("</table>", "</table></div>")
    return Markup(html)  # noqa: S704


def day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y}"


def moment(when: datetime) -> str:
    return f"{day(when)}, {when:%H:%M} UTC"


def host(url: str) -> str:
    return (urlsplit(url).hostname or url).removeprefix("www.")


def kind_name(resource: Any) -> str:
    """`Video`, `Code sample`: what a reader calls it."""
    link_type = getattr(resource, "link_type", None)
    return str(link_type).capitalize() if link_type else KIND_NAMES[resource.kind]


def teaser(markdown: str) -> str:
    """The beginning of a text, for search engines."""
    text = " ".join(markdown.split())
    return text if len(text) <= 160 else text[:157].rsplit(" ", 1)[0] + "..."


templates = Environment(
    loader=PackageLoader("backend_hub.site"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals["asset"] = asset
templates.filters |= {
    "prose": prose,
    "day": day,
    "moment": moment,
    "host": host,
    "kind_name": kind_name,
    "teaser": teaser,
    "program": program_of,
}


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    policy: str = PAGE_POLICY,
    **values: Any,
) -> HTMLResponse:
    """A template as an answer, with its policy (CSP)."""
    settings: Settings = request.app.state.settings
    html = templates.get_template(template).render(
        hub=settings.name, version=request.app.version, contact=settings.contact_url, **values
    )
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return HTMLResponse(html, status_code=status, headers=headers)

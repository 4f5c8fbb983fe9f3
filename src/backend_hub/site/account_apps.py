"""The pages of the apps that one registered; admins see everybody's, and say which ones they know.

A field more is one row of FIELDS: reading, checking and showing it follow.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Path, Request
from pydantic import ValidationError
from starlette.responses import Response

from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.errors import HubError
from backend_hub.http.cursors import MAX_CURSOR, MAX_LIMIT, PageParams
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.oauth import service
from backend_hub.oauth.clients import CONFIDENTIAL, GRANTABLE_SCOPES
from backend_hub.oauth.models import OAuthClient
from backend_hub.oauth.queries import list_clients
from backend_hub.oauth.schemas import ClientCreate, ClientUpdate
from backend_hub.site.account import account_page, actor_of, sent_form
from backend_hub.site.browser import see_other
from backend_hub.site.entering import signed_in
from backend_hub.site.problems import problems_of
from backend_hub.users.models import Role

router = page_router("/account/apps")
PAGE = "/account/apps"
ClientId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
TYPES = {
    "spa": "In a browser, without a server (spa)",
    "native": "On a telephone or a computer (native)",
    "web": "On a server (web)",
    "machine": "By itself, in your name (machine)",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form, by its name in the schemas of oauth/schemas.py."""

    name: str
    label: str
    kind: str = "text"
    """`text`, `lines` (one value a line), `choice`, `check` or `scopes`."""
    hint: str = ""
    required: bool = False
    only_new: bool = False
    options: tuple[tuple[str, str], ...] = ()

    def read(self, form: dict[str, str]) -> Any:
        if self.kind == "lines":
            return [line.strip() for line in form.get(self.name, "").splitlines() if line.strip()]
        if self.kind == "check":
            return self.name in form
        if self.kind == "scopes":
            return [key for key, _ in self.options if f"{self.name}:{key}" in form]
        text = form.get(self.name, "").strip()
        return text if text or self.required else None


FIELDS = (
    Field("name", "Name", hint="People see it when the app asks them.", required=True),
    Field("type", "Where it runs", "choice", only_new=True, options=tuple(TYPES.items())),
    Field(
        "redirect_uris",
        "Redirect URIs",
        "lines",
        "One a line, compared character by character; none for a machine.",
    ),
    Field(
        "post_logout_redirect_uris",
        "Redirect URIs after signing out",
        "lines",
        "One a line: where the app may have people sent after it signed them out; optional.",
    ),
    Field(
        "allowed_origins",
        "Origins of its pages",
        "lines",
        "One a line: whose pages may read the API's answers (CORS). Those of an app in a browser"
        " follow from its redirect URIs if you name none.",
    ),
    Field("homepage_url", "Home page", hint="Such as https://planner.example.org/; optional."),
    Field("logo_url", "Logo", hint="An https address; shown once the hub knows the app."),
    Field("require_pushed_authorization_requests", "Its requests must be pushed first", "check"),
    Field("scopes", "The most it may ask for", "scopes", options=tuple(GRANTABLE_SCOPES.items())),
)
LABELS = {field.name: field.label for field in FIELDS}
NOTHING: dict[str, Any] = {
    field.name: [] if field.kind in {"lines", "scopes"} else "" for field in FIELDS
}


@router.get("")
async def show_apps(request: Request, session: Session, cursor: str = "") -> Response:
    browser = await signed_in(request, session)
    page = PageParams(MAX_LIMIT, cursor[:MAX_CURSOR] or None)
    actor = actor_of(browser)
    apps = await list_clients(session, actor, page)
    return account_page(
        request, browser, "apps.html", apps=apps, types=TYPES, all=actor.may("users:admin")
    )


@router.get("/new")
async def show_new_app(request: Request, session: Session) -> Response:
    return _form(request, await signed_in(request, session, recently=True))


@router.post("/new")
async def create_app(request: Request, session: Session) -> Response:
    browser, form = await sent_form(request, session, recently=True)
    given = {field.name: field.read(form) for field in FIELDS}
    try:  # what was left empty is as if it had not been sent
        wanted = ClientCreate.model_validate({k: v for k, v in given.items() if v})
        client, secret = await service.create_client(session, actor_of(browser), wanted)
    except (ValidationError, HubError) as error:
        return _form(request, browser, given=given, refusal=error)
    if secret is None:
        return see_other(f"{PAGE}/{client.id}")
    return _secret(request, browser, client, secret)


@router.get("/{client_id}")
async def show_app(request: Request, session: Session, client_id: ClientId) -> Response:
    browser = await signed_in(request, session, recently=True)
    return _form(request, browser, await service.get_client(session, actor_of(browser), client_id))


@router.post("/{client_id}")
async def update_app(request: Request, session: Session, client_id: ClientId) -> Response:
    browser, form = await sent_form(request, session, recently=True)
    actor = actor_of(browser)
    client = await service.get_client(session, actor, client_id)
    before = service.read_model(client).model_dump(mode="json")
    given = {field.name: field.read(form) for field in FIELDS if not field.only_new}
    changes = {name: value for name, value in given.items() if value != before[name]}
    try:
        if changes:  # an app that stays as it was is still the one that was looked at
            wanted = ClientUpdate.model_validate(changes)
            await service.update_client(session, actor, client_id, wanted, _version(form))
    except (ValidationError, HubError) as error:
        return _form(request, browser, client, given=before | given, refusal=error)
    return see_other(PAGE)


@router.post("/{client_id}/secret")
async def renew_secret(request: Request, session: Session, client_id: ClientId) -> Response:
    browser, form = await sent_form(request, session, recently=True)
    actor = actor_of(browser)
    client, secret = await service.renew_secret(session, actor, client_id, _version(form))
    return _secret(request, browser, client, secret)


@router.post("/{client_id}/verified")
async def switch_verified(request: Request, session: Session, client_id: ClientId) -> Response:
    browser, form = await sent_form(request, session, recently=True)
    change = ClientUpdate(verified=form.get("verified") == "yes")
    await service.update_client(session, actor_of(browser), client_id, change, _version(form))
    return see_other(f"{PAGE}/{client_id}")


@router.post("/{client_id}/delete")
async def delete_app(request: Request, session: Session, client_id: ClientId) -> Response:
    browser, form = await sent_form(request, session, recently=True)
    await service.delete_client(session, actor_of(browser), client_id, _version(form))
    return see_other(PAGE)


def _version(form: dict[str, str]) -> str:
    """The version that the page showed, as a tag."""
    return f'"{form.get("version", "")}"'


def _secret(
    request: Request, browser: SignedInBrowser, client: OAuthClient, secret: str
) -> Response:
    return account_page(
        request,
        browser,
        "secret.html",
        heading="The secret of your app",
        name=client.name,
        secret=secret,
        fact=f"The client id is {client.id}.",
        back=f"{PAGE}/{client.id}",
    )


def _form(
    request: Request,
    browser: SignedInBrowser,
    client: OAuthClient | None = None,
    *,
    given: dict[str, Any] | None = None,
    refusal: ValidationError | HubError | None = None,
) -> Response:
    """The form of a new app, or of one that is; with what is wrong in it."""
    if given is None:
        given = service.read_model(client).model_dump(mode="json") if client else NOTHING
    problems, status = _refused(refusal)
    return account_page(
        request,
        browser,
        "app_form.html",
        status=status,
        app=client,
        given=given,
        problems=problems,
        fields=[field for field in FIELDS if client is None or not field.only_new],
        types=TYPES,
        confidential=client is not None and client.type in CONFIDENTIAL,
        admin=Role(browser.user.role) is Role.admin,
    )


def _refused(refusal: ValidationError | HubError | None) -> tuple[dict[str, str], int]:
    """What is wrong with which field, and the status; what concerns none is of the first."""
    if refusal is None:
        return {}, 200
    if isinstance(refusal, ValidationError):
        return problems_of(refusal, LABELS), 422
    where = [error["loc"][-1] for error in refusal.extra.get("errors", []) if error["loc"]]
    return {where[0] if where else FIELDS[0].name: f"{refusal.detail}."}, refusal.status

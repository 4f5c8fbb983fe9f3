"""One's own sign-ins, apps, tokens and data over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Path, Request, Response

from backend_hub.account import deletion, export, queries, service
from backend_hub.account.answers import ZIP, ZipResponse
from backend_hub.account.schemas import AccountDeletion, AllowedAppRead, SessionRead
from backend_hub.auth import personal_tokens
from backend_hub.auth.dependencies import AccountOwner, FreshOwner
from backend_hub.auth.models import PersonalToken
from backend_hub.auth.schemas import PersonalTokenCreate, PersonalTokenRead, PersonalTokenWithText
from backend_hub.http.callers import caller_of
from backend_hub.http.cursors import Page
from backend_hub.http.openapi_examples import EXAMPLE_CLIENT
from backend_hub.http.paging import Paging
from backend_hub.http.routing import hub_router
from backend_hub.http.sessions import ReadSession, Session
from backend_hub.users.service import get_user

router = hub_router("/users/me", "account")

ClientId = Annotated[
    str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=[EXAMPLE_CLIENT])
]
DELETION = {"username": "demo", "content": "keep"}


@router.get("/sessions", summary="List your sign-ins")
async def list_sessions(
    request: Request, actor: AccountOwner, session: ReadSession, page: Paging
) -> Page[SessionRead]:
    """Where you are signed in: browsers, programs and apps, the newest first.

    Like all that follows here: for the hub's own clients, never for apps.
    """
    settings = request.app.state.settings
    return await queries.list_sessions(session, settings, actor.id, actor.sign_in_id, page)


@router.delete("/sessions", summary="End all other sign-ins", status_code=204)
async def end_other_sessions(request: Request, actor: AccountOwner, session: Session) -> None:
    """Sign out everywhere but here. Personal access tokens stay."""
    caller = caller_of(request.scope)
    await service.end_other_sessions(session, actor.id, actor.sign_in_id, caller)


@router.delete("/sessions/{session_id}", summary="End a sign-in", status_code=204)
async def end_session(
    session_id: UUID, request: Request, actor: AccountOwner, session: Session
) -> None:
    """Its cookie or its tokens stop working at once; this request's own too, if you name it."""
    await service.end_session(session, actor.id, session_id, caller_of(request.scope))


@router.get("/apps", summary="List the apps that you allowed")
async def list_allowed_apps(
    actor: AccountOwner, session: ReadSession, page: Paging
) -> Page[AllowedAppRead]:
    """What may act for you, since when, and when it last did; the newest first."""
    return await queries.list_allowed_apps(session, actor.id, page)


@router.delete("/apps/{client_id}", summary="Withdraw an app", status_code=204)
async def withdraw_app(
    client_id: ClientId, request: Request, actor: AccountOwner, session: Session
) -> None:
    """Its tokens stop working at once, and it has to ask you again."""
    await service.withdraw_app(session, actor.id, client_id, caller_of(request.scope))


@router.post(
    "/export",
    summary="Export your data",
    response_class=ZipResponse,
    response_model=bytes,
    responses={200: {"description": "A ZIP file.", "content": {"application/zip": ZIP}}},
)
async def export_data(request: Request, actor: FreshOwner, session: Session) -> ZipResponse:
    """Everything that the hub holds of you: JSON files, and your posts as Markdown.

    This needs a token that the hub's password form gave in the last ten minutes (RFC 9470).
    """
    user = await get_user(session, actor.id)
    name = request.app.state.settings.name
    file = await export.export_data(session, user, name, caller_of(request.scope))
    return ZipResponse(file, f"{user.username}.zip")


@router.post("/deletion", summary="Delete your account", status_code=204)
async def delete_account(
    form: Annotated[AccountDeletion, Body(examples=[DELETION])],
    actor: FreshOwner,
    session: Session,
) -> None:
    """For good. All that you have is gone at once: sign-ins, tokens, apps, address, bookmarks.

    What you wrote stays by a deleted user, or goes too, but for what others built upon: questions
    with answers of others, accepted answers, what others edited, merged contributions. This needs
    a token that the hub's password form gave in the last ten minutes (RFC 9470).
    """
    await deletion.delete_account(session, actor.id, form)


def _token_read(row: PersonalToken) -> PersonalTokenRead:
    fields = row.model_dump(include=set(PersonalTokenRead.model_fields))
    return PersonalTokenRead(**fields, scopes=row.scope.split())


@router.get("/tokens", summary="List your personal access tokens")
async def list_tokens(actor: AccountOwner, session: ReadSession) -> Page[PersonalTokenRead]:
    """All of them, the newest first; you can have 50. Their text is never shown again."""
    rows = await personal_tokens.list_tokens(session, actor.id)
    items = [_token_read(row) for row in rows]
    return Page[PersonalTokenRead](items=items, next_cursor=None, total=None)


# No `Idempotency-Key` here: a stored answer would keep the token in the clear.
@router.post("/tokens", summary="Make a personal access token", status_code=201)
async def make_token(
    form: PersonalTokenCreate,
    request: Request,
    actor: FreshOwner,
    session: Session,
    response: Response,
) -> PersonalTokenWithText:
    """For programs of your own. The token is shown this once; send it as a bearer token.

    This needs a token that the hub's password form gave in the last ten minutes (RFC 9470).
    """
    row, token = await personal_tokens.make_token(session, actor, form, caller_of(request.scope))
    response.headers["Location"] = f"/api/v1/users/me/tokens/{row.id}"
    response.headers["Cache-Control"] = "no-store"
    return PersonalTokenWithText(**_token_read(row).model_dump(), token=token)


@router.get("/tokens/{pat_id}", summary="Read a personal access token")
async def read_token(pat_id: UUID, actor: AccountOwner, session: ReadSession) -> PersonalTokenRead:
    """What it may do, until when, and when it was used last; not its text."""
    return _token_read(await personal_tokens.get_token(session, actor.id, pat_id))


@router.delete("/tokens/{pat_id}", summary="Revoke a personal access token", status_code=204)
async def revoke_token(
    pat_id: UUID, request: Request, actor: AccountOwner, session: Session
) -> None:
    """It stops working at once."""
    await personal_tokens.revoke_token(session, actor.id, pat_id, caller_of(request.scope))

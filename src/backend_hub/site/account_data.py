"""The pages for taking one's data along, and for leaving."""

from datetime import timedelta

from fastapi import Request
from pydantic import ValidationError
from starlette.responses import Response

from backend_hub.account.answers import ZipResponse
from backend_hub.account.deletion import delete_account
from backend_hub.account.export import export_data
from backend_hub.account.schemas import AccountDeletion
from backend_hub.auth.browser_sessions import SignedInBrowser
from backend_hub.db import utcnow
from backend_hub.errors import HubError
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session
from backend_hub.site.account import account_page, sent_form
from backend_hub.site.browser import delete_session_cookie
from backend_hub.site.entering import RECENT, signed_in
from backend_hub.site.problems import problems_of
from backend_hub.site.templating import page

router = page_router("/account/data")
SPARE = timedelta(minutes=1)
"""A page that says one may go on leaves at least so long for it."""
LABELS = {"content": "What you wrote", "username": "Your name"}


@router.get("")
async def show_data(request: Request, session: Session) -> Response:
    browser = await signed_in(request, session)
    recent = utcnow() - browser.authenticated_at < RECENT - SPARE
    return account_page(request, browser, "data.html", recent=recent)


@router.post("/export")
async def export(request: Request, session: Session) -> Response:
    browser, _ = await sent_form(request, session, recently=True)
    name = request.app.state.settings.name
    file = await export_data(session, browser.user, name, caller_of(request.scope))
    return ZipResponse(file, f"{browser.user.username}.zip")


@router.get("/delete")
async def show_deletion(request: Request, session: Session) -> Response:
    return _form(request, await signed_in(request, session, recently=True))


@router.post("/delete")
async def delete(request: Request, session: Session) -> Response:
    browser, form = await sent_form(request, session, recently=True)
    given = {name: form.get(name, "") for name in LABELS}
    try:
        await delete_account(session, browser.user.id, AccountDeletion.model_validate(given))
    except ValidationError as error:
        return _form(request, browser, given, problems_of(error, LABELS), 422)
    except HubError as error:
        return _form(request, browser, given, {"username": f"{error.detail}."}, error.status)
    response = page(
        request,
        "error.html",
        title="Your account is deleted",
        detail="You are signed out everywhere. Thank you for having been here.",
    )
    response.headers["Cache-Control"] = "no-store"
    delete_session_cookie(response, request.app.state.settings)
    return response


def _form(
    request: Request,
    browser: SignedInBrowser,
    given: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    return account_page(
        request,
        browser,
        "leave.html",
        status=status,
        given=given or {"content": "keep", "username": ""},
        problems=problems or {},
    )

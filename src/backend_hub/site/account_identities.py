"""Whom else a person signs in with: adding and removing links to other accounts."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Request
from starlette.responses import Response

from backend_hub.auth.ways_in import ways_in
from backend_hub.http.callers import caller_of
from backend_hub.http.routing import page_router
from backend_hub.http.sessions import Session, get_database
from backend_hub.identity.accounts import LastWayIn, unlink
from backend_hub.identity.queries import list_links, list_offered
from backend_hub.site.account import account_page
from backend_hub.site.browser import own_form, see_other
from backend_hub.site.entering import signed_in
from backend_hub.site.sign_in_with import LINKS, failed, send_away

router = page_router()


@router.get(LINKS)
async def show_links(request: Request, session: Session) -> Response:
    browser = await signed_in(request, session)
    return account_page(
        request,
        browser,
        "identities.html",
        links=await list_links(session, browser.user.id),
        offered=await list_offered(session),
        ways=await ways_in(session, browser.user),
    )


@router.post(f"{LINKS}/with/{{slug}}")
async def add_link(request: Request, slug: Annotated[str, Path(max_length=40)]) -> Response:
    await own_form(request)
    async with get_database(request).transaction() as session:
        browser = await signed_in(request, session, recently=True)
    return await send_away(request, slug, LINKS, browser.user.id)


@router.post(f"{LINKS}/{{link_id}}/remove")
async def remove_link(request: Request, session: Session, link_id: UUID) -> Response:
    await own_form(request)
    browser = await signed_in(request, session, recently=True)
    try:
        await unlink(session, browser.user, link_id, caller_of(request.scope))
    except LastWayIn as error:
        return failed(request, 409, f"{error.detail}.", LINKS)
    return see_other(LINKS)

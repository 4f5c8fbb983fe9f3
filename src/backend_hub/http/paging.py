"""The query parameters that every list takes."""

from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Depends, Query, Request
from starlette.responses import Response

from backend_hub.http.cursors import DEFAULT_LIMIT, MAX_CURSOR, MAX_LIMIT, PageParams


async def page_params(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items a page.")] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None,
        Query(
            max_length=MAX_CURSOR,
            pattern=r"^[A-Za-z0-9_-]+$",
            description="The `next_cursor` of the page before.",
        ),
    ] = None,
    include_total: Annotated[
        bool, Query(description="Count all items too; costs more on long lists.")
    ] = False,
) -> PageParams:
    page = PageParams(limit, cursor, include_total)
    request.state.page = page
    return page


Paging = Annotated[PageParams, Depends(page_params)]


def add_link_header(request: Request, response: Response) -> None:
    """`Link: <...>; rel="next"` (RFC 8288), when there is a next page."""
    page: PageParams | None = getattr(request.state, "page", None)
    if page is not None and page.next_cursor is not None:
        # Not of request.url: that is made of the Host header, which is the client's to choose.
        query = f"cursor={page.next_cursor}"
        if request.scope["query_string"]:
            kept = [(k, v) for k, v in request.query_params.multi_items() if k != "cursor"]
            query = urlencode([*kept, ("cursor", page.next_cursor)])
        response.headers["Link"] = f'<{quote(request.scope["path"])}?{query}>; rel="next"'

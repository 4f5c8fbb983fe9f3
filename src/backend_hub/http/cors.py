"""Cross-origin requests: Starlette's middleware, whose refusals are problem documents here."""

from fastapi.middleware.cors import CORSMiddleware
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response


class HubCORSMiddleware(CORSMiddleware):
    """A refused preflight is raised, for the problem layer outside to answer."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code >= 400:
            raise HTTPException(response.status_code, bytes(response.body).decode())
        return response

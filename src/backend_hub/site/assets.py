"""The files under /static: our own, and those of Swagger UI and ReDoc (`fastapi-offline`)."""

import hashlib
import os
from functools import cache
from importlib.metadata import version
from importlib.resources import files

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from backend_hub.http.compression import GZIP_SUFFIX

OURS = files("backend_hub.site") / "static"
VENDOR = files("fastapi_offline") / "static"
REDOC_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"
"""ReDoc draws it below its menu; without it the place stays empty."""
A_YEAR = "public, max-age=31536000, immutable"


@cache
def release() -> str:
    """Changes with any of our files and with the version of the others."""
    digest = hashlib.blake2b(version("fastapi-offline").encode(), digest_size=6)
    for file in sorted(OURS.iterdir(), key=lambda file: file.name):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def asset(path: str) -> str:
    """The URL of a file under /static, which changes when the file does."""
    return f"/static/{path}?v={release()}"


def _caching(scope: Scope) -> str:
    """A year for a URL that names this release; whoever leaves it out asks each time."""
    named = scope["query_string"] == f"v={release()}".encode()
    return A_YEAR if named else "no-cache"


class Assets(StaticFiles):
    def is_not_modified(self, response_headers: Headers, request_headers: Headers) -> bool:
        """The tag of the compressed form names the same file."""
        known = request_headers.getlist("if-none-match")
        plain = ", ".join(known).replace(f'{GZIP_SUFFIX}"', '"')
        raw = [pair for pair in request_headers.raw if pair[0] != b"if-none-match"]
        raw += [(b"if-none-match", plain.encode("latin-1"))] if known else []
        return super().is_not_modified(response_headers, Headers(raw=raw))

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = _caching(scope)
        return response


class VendorAssets(Assets):
    """Other people's scripts, without the one request that they would make to another site."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        if os.path.basename(full_path) != "redoc.standalone.js":
            return super().file_response(full_path, stat_result, scope, status_code)
        headers = {"Cache-Control": _caching(scope), "ETag": f'"{release()}"'}
        response = Response(redoc_bundle(), status_code, headers, "text/javascript")
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response


@cache
def redoc_bundle() -> bytes:
    """ReDoc's script with an empty image for its logo."""
    return (VENDOR / "redoc.standalone.js").read_bytes().replace(REDOC_LOGO.encode(), b"data:,")


def install(app: FastAPI) -> None:
    vendor = VendorAssets(packages=[("fastapi_offline", "static")])
    app.mount("/static/vendor", vendor, name="vendor")
    app.mount("/static", Assets(packages=[("backend_hub.site", "static")]), name="static")

"""Swagger UI and ReDoc, from this origin alone.

Their pages differ from FastAPI's in one thing: no script stands in the page, so that the policy
need not allow any. Measured with Chromium: both set styles from script, hence 'unsafe-inline' for
styles; Swagger UI draws its icons from data: URLs; ReDoc searches in a worker made from a blob:.
"""

import base64
import hashlib
import re

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_oauth2_redirect_html
from starlette.responses import HTMLResponse

from backend_hub.site.templating import page

_BASE = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SWAGGER_POLICY = _BASE
REDOC_POLICY = f"{_BASE}; worker-src blob:"

REDIRECT_PAGE = bytes(get_swagger_ui_oauth2_redirect_html().body).decode()
_script = re.search(r"<script>(.*?)</script>", REDIRECT_PAGE, re.DOTALL)
_digest = hashlib.sha256((_script[1] if _script else "").encode()).digest()
REDIRECT_POLICY = (
    f"default-src 'none'; script-src 'sha256-{base64.b64encode(_digest).decode()}';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""FastAPI's own page: its one script is named by its hash, and no other runs."""

# Pages about the API are not part of it, and are for anyone: see pages.py on access.py.
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
READ = ["GET", "HEAD"]


@router.api_route("/docs", methods=READ)
async def show_swagger_ui(request: Request) -> HTMLResponse:
    return page(
        request,
        "reference.html",
        policy=SWAGGER_POLICY,
        tool="Swagger UI",
        place="swagger-ui",
        styles=["vendor/swagger-ui.css", "docs.css"],
        scripts=["vendor/swagger-ui-bundle.js", "swagger.js"],
    )


@router.api_route("/redoc", methods=READ)
async def show_redoc(request: Request) -> HTMLResponse:
    return page(
        request,
        "reference.html",
        policy=REDOC_POLICY,
        tool="ReDoc",
        place="redoc",
        styles=["docs.css"],
        scripts=["vendor/redoc.standalone.js", "redoc.js"],
    )


@router.api_route("/docs/oauth2-redirect", methods=READ)
async def finish_swagger_sign_in() -> HTMLResponse:
    headers = {"Content-Security-Policy": REDIRECT_POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(REDIRECT_PAGE, headers=headers)

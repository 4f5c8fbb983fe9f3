"""The pages: landing page, Swagger UI and ReDoc."""

from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """Add the pages."""

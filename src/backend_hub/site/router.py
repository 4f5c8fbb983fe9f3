"""The pages: landing page, topics, resources, questions, Swagger UI and ReDoc."""

from fastapi import FastAPI

from backend_hub.site import assets, errors, pages, reference


def install(app: FastAPI) -> None:
    """Add the pages, their files and their errors."""
    assets.install(app)
    errors.install(app)
    app.include_router(pages.router)
    app.include_router(reference.router)

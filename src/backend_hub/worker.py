"""What uvicorn starts in each process that serves."""

import gc
from typing import TYPE_CHECKING

from backend_hub.logs import configure_logging
from backend_hub.settings import get_settings

if TYPE_CHECKING:
    from fastapi import FastAPI


def serve() -> "FastAPI":
    """The service of a worker: what lives as long as it does is not looked through for garbage,
    and for the rest many requests go by between two looks."""
    gc.disable()  # while nearly all that is made stays: to look through it took 0.2 s of a start
    from backend_hub.app import create_app  # noqa: PLC0415 - after that

    settings = get_settings()
    configure_logging(settings)  # one of several workers is a process that knows nothing yet
    app = create_app(settings)
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()
    return app

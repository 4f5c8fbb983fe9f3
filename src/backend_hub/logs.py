"""One log for the hub and its libraries, for people or as JSON lines."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from backend_hub.settings import Settings


def _on_one_line(
    _logger: Any, _method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    """Escape control characters: a path with a line break must not forge a line of the log."""
    for name, value in event.items():
        if (
            isinstance(value, str)
            and not value.isprintable()
            and name not in {"exception", "stack"}
        ):
            event[name] = "".join(
                c if c.isprintable() else c.encode("unicode_escape").decode() for c in value
            )
    return event


_SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    _on_one_line,
]


def _to_json(event: Any, default: Any, **_options: Any) -> str:
    try:
        return orjson.dumps(event, default=default).decode()
    except TypeError:  # a lone surrogate in a traceback, or a number of more than 64 bits
        return json.dumps(event, default=default)


class LogHandler(logging.StreamHandler[Any]):
    """Standard error, for the records of `logging` and for events that need none."""

    def __init__(self, renderer: structlog.types.Processor) -> None:
        super().__init__(sys.stderr)
        self.renderer = renderer

    def write(self, event: structlog.types.EventDict) -> None:
        line: Any = self.renderer(None, "info", _on_one_line(None, "info", event))
        with self.lock:  # type: ignore[union-attr]
            self.stream.write(f"{line}\n")  # standard error is flushed at the end of a line


def log_request(**fields: Any) -> None:
    """The line of a request: the one of which there are so many that `logging`'s own way, a
    record with its caller, a lock and a formatter, would cost a tenth of a read."""
    root = logging.getLogger()
    if root.level > logging.INFO:
        return
    event = {
        "event": "request",
        **fields,
        "level": "info",
        "logger": "backend_hub.access",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    for handler in root.handlers:
        if isinstance(handler, LogHandler):
            handler.write(event)


def configure_logging(settings: Settings) -> None:
    """Send every logger through structlog; to standard error."""
    as_json = settings.log_format == "json"
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(serializer=_to_json)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([structlog.processors.format_exc_info] if as_json else []),
            renderer,
        ],
    )
    handler = LogHandler(renderer)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        # A request has a line of the hub's own; uvicorn's would hold the query too.
        logger.handlers, logger.propagate = [], name != "uvicorn.access"
    # At DEBUG these print tokens, or a line for every statement.
    for name in ("alembic", "authlib", "asyncio", "httpcore", "httpx", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )

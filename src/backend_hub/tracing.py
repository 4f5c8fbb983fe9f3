"""OpenTelemetry traces: one span a request (FastAPI's own), one a statement, one a call outside.

Spans carry SQL without its values, and no query of a page: those hold codes and tokens. Which
requests are sampled is OpenTelemetry's own to say (`OTEL_TRACES_SAMPLER`).
"""

import time
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from backend_hub.errors import ConfigurationError
from backend_hub.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

FLUSH_SECONDS = 5


def make_provider(settings: Settings) -> "TracerProvider | None":
    """Where spans go, or None without an endpoint; raises ConfigurationError without the extra."""
    if not settings.otlp_endpoint:
        return None
    try:  # it comes with the extra `telemetry`, and is 9 MiB that only a hub with an endpoint needs
        from backend_hub import spans  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "HUB_OTLP_ENDPOINT is set: pip install 'backend-hub[telemetry]', or unset it"
        ) from None
    return spans.make_provider(settings.otlp_endpoint)


def watch(provider: "TracerProvider", engine: AsyncEngine) -> None:
    """A span for each statement of this pool, and for each call of an HTTP client."""
    from backend_hub import spans  # noqa: PLC0415 - as above

    _watch_statements(provider.get_tracer("backend_hub.sql"), engine)
    spans.watch_calls(provider)


async def leave(provider: "TracerProvider | None") -> None:
    """Send what is left; a collector that is away does not hold up the end."""
    if provider is not None:
        with anyio.move_on_after(FLUSH_SECONDS):
            await anyio.to_thread.run_sync(provider.shutdown, abandon_on_cancel=True)


def _watch_statements(tracer: Tracer, engine: AsyncEngine) -> None:
    """Sessions tell of theirs by SQLAlchemy's events, prepared reads by asyncpg's own logger."""

    def write(sql: str, seconds: float, error: BaseException | None) -> None:
        now = time.time_ns()
        span = tracer.start_span(
            sql.split(None, 1)[0].rstrip(";").upper() or "SQL",
            kind=SpanKind.CLIENT,
            start_time=now - int(seconds * 1e9),
            attributes={"db.system.name": "postgresql", "db.query.text": sql},
        )
        if error is not None:
            span.set_status(StatusCode.ERROR, type(error).__name__)
        span.end(now)

    def began(
        _connection: Any, _cursor: Any, _sql: str, _values: Any, context: Any, *_: Any
    ) -> None:
        context.began = time.perf_counter()

    def ended(
        _connection: Any, _cursor: Any, sql: str, _values: Any, context: Any, *_: Any
    ) -> None:
        write(sql, time.perf_counter() - context.began, None)

    def failed(context: Any) -> None:
        execution = context.execution_context
        if context.statement and (since := getattr(execution, "began", None)):
            write(context.statement, time.perf_counter() - since, context.original_exception)

    def connected(connection: Any, _record: Any) -> None:
        connection.driver_connection.add_query_logger(
            lambda query: write(query.query, query.elapsed, query.exception)
        )

    event.listen(engine.sync_engine, "before_cursor_execute", began)
    event.listen(engine.sync_engine, "after_cursor_execute", ended)
    event.listen(engine.sync_engine, "handle_error", failed)
    event.listen(engine.sync_engine, "connect", connected)

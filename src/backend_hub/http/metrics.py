"""`GET /metrics` for Prometheus: rate, errors and duration by route, the pool, the events.

Labels are route templates, never paths: their number is that of the routes. Several workers write
to files in one folder (prometheus-client's multiprocess mode), so that whichever of them is asked
answers for all.
"""

import hmac
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend_hub.db import Database
from backend_hub.http.context import route_template
from backend_hub.http.problems import problem_response

PATH = "/metrics"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter("hub_requests", "Requests that were answered.", ["method", "route", "status"])
DURATION = Histogram(
    "hub_request_seconds",
    "From the header to the end of the answer.",
    ["method", "route"],
    buckets=BUCKETS,
)
IN_PROGRESS = Gauge(
    "hub_requests_in_progress", "Requests being answered.", multiprocess_mode="livesum"
)
POOL_SIZE = Gauge("hub_pool_size", "Database connections allowed.", multiprocess_mode="livesum")
POOL_IN_USE = Gauge("hub_pool_in_use", "Database connections at work.", multiprocess_mode="livesum")
REPLICA_LAG = Gauge(
    "hub_replica_lag_seconds",
    "How old what the replica shows may be.",
    multiprocess_mode="livemax",
)
EVENTS = Gauge(
    "hub_events", "Number of the newest event of the hub.", multiprocess_mode="mostrecent"
)


class MetricsMiddleware:
    """Counts every request, and answers the one for the counts to who knows the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.credentials = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] == PATH:
            await (await self._answer(scope))(scope, receive, send)
            return
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        IN_PROGRESS.inc()
        try:
            await self.app(scope, receive, watch)
        finally:
            IN_PROGRESS.dec()
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = route_template(scope) or "none"
            REQUESTS.labels(method, route, status).inc()
            DURATION.labels(method, route).observe(time.perf_counter() - began)

    async def _answer(self, scope: Scope) -> Response:
        given = Headers(scope=scope).get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self.credentials):
            challenge = {"WWW-Authenticate": 'Bearer realm="metrics"'}
            return problem_response(
                scope, 401, "unauthorized", "Sign in first", "Send the token", headers=challenge
            )
        if scope["method"] not in {"GET", "HEAD"}:
            return problem_response(
                scope,
                405,
                "method_not_allowed",
                "Method Not Allowed",
                "Only GET",
                headers={"Allow": "GET, HEAD"},
            )
        await _count_events(scope["app"].state.database)
        headers = {"Cache-Control": "no-store"}
        return Response(_latest(), media_type=CONTENT_TYPE_LATEST, headers=headers)


async def _count_events(database: Database) -> None:
    """From the index of their numbers; without a database the other counts still matter."""
    try:
        with anyio.fail_after(1):
            async with database.reading() as session:
                EVENTS.set(await session.scalar(text("SELECT max(id) FROM events")) or 0)
    except (SQLAlchemyError, OSError):  # TimeoutError is an OSError
        pass


def _latest() -> bytes:
    if FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def watch_pool(database: Database) -> None:
    """Keep the gauges of the pool; a request that waits for a connection is one too many."""
    POOL_SIZE.set(database.pool_size)
    event.listen(database.engine.sync_engine, "checkout", lambda *_: POOL_IN_USE.inc())
    event.listen(database.engine.sync_engine, "checkin", lambda *_: POOL_IN_USE.dec())


@contextmanager
def shared_metrics(workers: int) -> Iterator[None]:
    """A folder where several workers, which inherit the environment, count together."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="hub-metrics-") as folder:
        os.environ[FOLDER] = folder
        yield


def leave() -> None:
    """Take this worker's gauges out of the sums."""
    if FOLDER in os.environ:
        multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]

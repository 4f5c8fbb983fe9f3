"""The application: its lifespan, its layers, its routers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy.exc import SQLAlchemyError
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from backend_hub import access, health, tracing
from backend_hub.account import router as account
from backend_hub.auth import recovery_router as recovery
from backend_hub.auth import router as auth
from backend_hub.auth.browser_sessions import purge_expired_sessions
from backend_hub.auth.dependencies import account_of, optional_actor
from backend_hub.auth.email_links import purge_expired_links
from backend_hub.auth.keys import load_key_ring
from backend_hub.auth.passkeys import purge_expired_challenges
from backend_hub.auth.personal_tokens import TokenOwners, purge_expired_tokens
from backend_hub.auth.proofs import purge_used_proofs
from backend_hub.auth.second_step import purge_expired_pending
from backend_hub.auth.security_log import purge_old_events
from backend_hub.auth.service import purge_expired_families
from backend_hub.auth.throttling import purge_old_throttles
from backend_hub.auth.tokens import TokenService
from backend_hub.contributions import router as contributions
from backend_hub.db import AsyncSession, Database
from backend_hub.http import idempotency, problems
from backend_hub.http.compression import CompressionMiddleware
from backend_hub.http.context import RequestContextMiddleware
from backend_hub.http.cors import CorsMiddleware, Origins
from backend_hub.http.direct import DirectMiddleware
from backend_hub.http.etag import ETagMiddleware
from backend_hub.http.head import HeadMiddleware
from backend_hub.http.hosts import HostMiddleware
from backend_hub.http.metrics import REPLICA_LAG, MetricsMiddleware, leave, watch_pool
from backend_hub.http.openapi import build_openapi
from backend_hub.http.plain_errors import PlainErrorMiddleware
from backend_hub.http.rate_limits import RateLimitMiddleware
from backend_hub.http.routing import PrefixRouter
from backend_hub.http.security_headers import SecurityHeadersMiddleware
from backend_hub.http.shutdown import before_shutdown
from backend_hub.http.slow_senders import BodyDeadlineMiddleware
from backend_hub.identity import router as identity
from backend_hub.identity.flow import purge_trips
from backend_hub.identity.metadata import Directory
from backend_hub.identity.presets import keep_configured_providers
from backend_hub.mail.delivery import delivers, keep_delivering, purge_expired_mails
from backend_hub.oauth import client_router as clients
from backend_hub.oauth import registration_router as registration
from backend_hub.oauth import router as oauth
from backend_hub.oauth.devices import purge_expired_devices
from backend_hub.oauth.grants import purge_expired_codes
from backend_hub.oauth.queries import registered_origins
from backend_hub.oauth.registration import purge_unused_registrations
from backend_hub.oauth.requests import purge_expired_requests
from backend_hub.posts import router as posts
from backend_hub.posts.streams import Bell
from backend_hub.questions import router as questions
from backend_hub.replica import Replica
from backend_hub.resources import router as resources
from backend_hub.search import router as search
from backend_hub.settings import Settings, get_settings
from backend_hub.site import router as site
from backend_hub.site.errors import refusal_response
from backend_hub.topics import router as topics
from backend_hub.users import router as users

log = structlog.get_logger(__name__)

PURGE_INTERVAL = 3_600
"""Seconds between two purges of what has expired."""
EXPOSED_HEADERS = (
    *("ETag", "Link", "Location", "Retry-After", "X-Request-ID", "Idempotency-Replayed"),
    *("RateLimit", "RateLimit-Policy", "WWW-Authenticate"),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
)

# Routes are matched in order: the ones asked for most come first.
ROUTERS: tuple[APIRouter, ...] = (
    questions.router,
    questions.answers,
    resources.router,
    search.router,
    posts.router,
    posts.comments,
    posts.bookmarks,
    posts.events,
    contributions.router,
    topics.topics,
    topics.tags,
    auth.router,
    recovery.router,
    recovery.mine,
    clients.router,
    identity.router,
    identity.offered,
    account.router,
    users.router,
    posts.people,
    users.accounts,
)


SIGNING_IN = (auth.router, recovery.router)
"""Routers of people who have no token yet."""


async def purge(session: AsyncSession) -> None:
    """Delete what has expired."""
    await idempotency.purge_expired(session)
    await purge_expired_sessions(session)
    await purge_expired_codes(session)
    await purge_expired_requests(session)
    await purge_expired_devices(session)
    await purge_expired_families(session)
    await purge_used_proofs(session)
    await purge_unused_registrations(session)
    await purge_expired_tokens(session)
    await purge_old_events(session)
    await purge_trips(session)
    await purge_expired_links(session)
    await purge_expired_mails(session)
    await purge_old_throttles(session)
    await purge_expired_pending(session)
    await purge_expired_challenges(session)


async def _purge_expired(database: Database) -> None:
    while True:
        await asyncio.sleep(PURGE_INTERVAL)
        try:
            async with database.transaction() as session:
                await purge(session)
        except (SQLAlchemyError, OSError):
            log.warning("what has expired was not purged; will try again")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    given: Database | None = getattr(app.state, "database", None)
    database = given or Database(settings, settings.database_url)
    app.state.database = database
    app.state.replica = replica = (
        Replica(settings, database) if settings.database_replica_url else None
    )
    if app.state.tracer_provider is not None:
        for one in (database, *([replica.database] if replica else [])):
            tracing.watch(app.state.tracer_provider, one.engine)
    async with database.transaction() as session:
        keys = await load_key_ring(session, settings.secret_key.get_secret_value())
        await keep_configured_providers(session, settings)
    app.state.tokens = TokenService(keys, settings.issuer)
    if settings.metrics_token.get_secret_value():
        watch_pool(database)
    app.state.bell = Bell(database)
    work = [asyncio.create_task(job) for job in (_purge_expired(database), app.state.bell.watch())]
    if replica is not None:
        work.append(asyncio.create_task(replica.watch(REPLICA_LAG.set)))
    if given is None and delivers(settings):  # whoever handed one over delivers
        work.append(asyncio.create_task(keep_delivering(database, settings)))
    try:
        with before_shutdown(app.state.bell.close):
            yield
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        if replica is not None:
            await replica.dispose()
        if given is None:  # whoever handed one over closes it
            await database.dispose()
        leave()
        await tracing.leave(app.state.tracer_provider)


def _layers(settings: Settings, origins: Origins) -> list[Middleware]:
    """From the outside in.

    Problems are answered twice: inside the rate limits, so that a 500 and a 503 tell of them and
    of CORS too, and outside, for the refusals of those two layers.
    """
    token = settings.metrics_token.get_secret_value()
    return [
        Middleware(RequestContextMiddleware),
        *([Middleware(MetricsMiddleware, token=token)] if token else []),
        Middleware(SecurityHeadersMiddleware, https=settings.issuer.startswith("https://")),
        Middleware(PlainErrorMiddleware),
        Middleware(problems.ProblemMiddleware, refuse=refusal_response),
        Middleware(CorsMiddleware, origins=origins, expose=EXPOSED_HEADERS),
        Middleware(
            RateLimitMiddleware, settings=settings, identify=account_of, refuse=refusal_response
        ),
        Middleware(problems.ProblemMiddleware, refuse=refusal_response),
        Middleware(HostMiddleware, allowed=settings.hosts),
        Middleware(HeadMiddleware),
        Middleware(CompressionMiddleware),
        Middleware(ETagMiddleware, cookies=settings.api_cookies),
        Middleware(DirectMiddleware, methods=("GET",)),
        # Not FastAPI's `max_body_size`: that answers outside of all these layers.
        Middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_body_bytes),
        Middleware(BodyDeadlineMiddleware, seconds=settings.request_body_timeout),
        Middleware(DirectMiddleware, methods=("POST", "PUT")),
    ]


def create_app(settings: Settings | None = None, database: Database | None = None) -> FastAPI:
    """The whole service; a database handed over is used instead of one made from the settings."""
    settings = settings or get_settings()
    origins = Origins(settings.cors_origins, registered_origins)
    provider = tracing.make_provider(settings)
    app = FastAPI(
        telemetry={
            "tracing": provider is not None,
            "tracer_provider": provider,
            "metrics": False,  # http/metrics.py
            "logs": False,  # logs.py
        },
        title=settings.name,
        version=version("backend-hub"),
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        middleware=_layers(settings, origins),
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.token_owners = TokenOwners()
    app.state.origins = origins
    app.state.directory = Directory(settings)
    app.state.tracer_provider = provider
    app.state.replica = None
    if database is not None:
        app.state.database = database
    problems.install(app)
    api = PrefixRouter(prefix="/api/v1")
    app.include_router(api)  # while it is empty: else FastAPI builds all of its routes twice
    for router in ROUTERS:
        # A token that is not valid is refused wherever it is sent; signing in takes none.
        known = [] if router in SIGNING_IN else [Depends(optional_actor)]
        api.include_router(router, dependencies=known)
    app.include_router(health.router)
    app.include_router(auth.well_known)
    app.include_router(oauth.router)
    app.include_router(registration.router)
    site.install(app)
    access.check(app)
    app.openapi = lambda: _openapi(app, settings)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI, settings: Settings) -> dict[str, Any]:
    if app.openapi_schema is None:
        open_to_all = {name for name, rule in access.ACCESS.items() if rule.audience == "anyone"}
        app.openapi_schema = build_openapi(app, settings, anonymous=open_to_all)
    return app.openapi_schema

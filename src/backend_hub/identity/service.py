"""Providers are added, changed and removed here, while the hub runs."""

from typing import Any

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from backend_hub.auth.actor import Actor
from backend_hub.auth.secret_box import seal
from backend_hub.db import AsyncSession, constraint_name, new_id
from backend_hub.errors import Conflict, NotFound, Unprocessable
from backend_hub.events.service import record
from backend_hub.http.etag import require_version
from backend_hub.identity.fetching import allowed_url
from backend_hub.identity.models import IdentityProvider, ProviderKind
from backend_hub.identity.presets import OPENID, PRESETS, SECRET
from backend_hub.identity.schemas import IdentityProviderCreate, IdentityProviderUpdate
from backend_hub.settings import Settings


class ProviderExists(Conflict):
    code, title = "provider_exists", "There is a provider of this slug or issuer"


class Configured(Conflict):
    code, title = "configured", "This provider comes from the hub's settings"


async def create_provider(
    session: AsyncSession, settings: Settings, actor: Actor, form: IdentityProviderCreate
) -> IdentityProvider:
    """Raises ProviderExists, and Unprocessable for an issuer that is not reached by https."""
    values = _of_preset(form) if form.preset else _of_its_own(settings, form)
    provider = IdentityProvider(
        client_id=form.client_id, enabled=form.enabled, id=new_id(), **values
    )
    provider.sealed_secret = _sealed(settings, provider, form.client_secret)
    session.add(provider)
    try:
        await session.flush()
    except IntegrityError as error:
        if constraint_name(error) not in CONSTRAINTS:
            raise
        raise ProviderExists from None
    _record(session, actor, provider, "identity_provider.created")
    return provider


CONSTRAINTS = {"uq_identity_providers_slug", "uq_identity_providers_issuer"}


def _of_preset(form: IdentityProviderCreate) -> dict[str, Any]:
    assert form.preset is not None  # noqa: S101 - the caller saw it
    if form.client_secret is None:
        raise Unprocessable("a preset needs a secret", loc=("body", "client_secret"))
    values = {**PRESETS[form.preset]._asdict(), "slug": form.preset, "trusts_email": True}
    return values | ({"scope": form.scope} if form.scope else {})


def _of_its_own(settings: Settings, form: IdentityProviderCreate) -> dict[str, Any]:
    issuer = form.issuer or ""
    if not allowed_url(settings, issuer) or "?" in issuer:
        raise Unprocessable("an issuer is an https address", loc=("body", "issuer"))
    if issuer.rstrip("/") in {preset.issuer for preset in PRESETS.values()}:
        raise Unprocessable("use the preset of this provider", loc=("body", "preset"))
    if form.kind is ProviderKind.github:
        issuer = issuer.rstrip("/")
    return {
        "slug": form.slug,
        "name": (form.name or "").strip(),
        "kind": form.kind,
        "issuer": issuer,
        "scope": form.scope or (OPENID if form.kind is ProviderKind.oidc else GITHUB_SCOPE),
        "trusts_email": form.trusts_email,
    }


GITHUB_SCOPE = "read:user user:email"


async def get_provider(session: AsyncSession, slug: str) -> IdentityProvider:
    """Raises NotFound."""
    return await _find(session, slug, lock=False)


async def update_provider(
    session: AsyncSession,
    settings: Settings,
    actor: Actor,
    slug: str,
    form: IdentityProviderUpdate,
    if_match: str,
) -> IdentityProvider:
    """Raises Configured for one of the settings."""
    provider = await _locked(session, slug, if_match)
    changes = form.changes()
    if "client_secret" in changes:
        provider.sealed_secret = _sealed(settings, provider, changes.pop("client_secret"))
    for name, value in changes.items():
        setattr(provider, name, value)
    provider.version += 1
    await session.flush()
    _record(session, actor, provider, "identity_provider.updated")
    return provider


async def delete_provider(session: AsyncSession, actor: Actor, slug: str, if_match: str) -> None:
    """Nobody signs in with it from now on; who was linked to it is known again if it returns."""
    provider = await _locked(session, slug, if_match)
    _record(session, actor, provider, "identity_provider.deleted")
    gone = delete(IdentityProvider).where(col(IdentityProvider.id) == provider.id)
    await session.execute(gone)


def _sealed(settings: Settings, provider: IdentityProvider, secret: str | None) -> bytes | None:
    return seal(settings, SECRET, str(provider.id), secret) if secret is not None else None


async def _locked(session: AsyncSession, slug: str, if_match: str) -> IdentityProvider:
    provider = await _find(session, slug, lock=True)
    require_version(if_match, provider.version)
    if provider.configured:
        raise Configured
    return provider


async def _find(session: AsyncSession, slug: str, lock: bool) -> IdentityProvider:
    found = select(IdentityProvider).where(IdentityProvider.slug == slug)
    provider = (await session.exec(found.with_for_update() if lock else found)).first()
    if provider is None:
        raise NotFound("There is no such provider")
    return provider


def _record(session: AsyncSession, actor: Actor, provider: IdentityProvider, event: str) -> None:
    record(
        session,
        event,
        actor_id=actor.id,
        subject_id=provider.id,
        private=True,
        name=provider.name,
    )

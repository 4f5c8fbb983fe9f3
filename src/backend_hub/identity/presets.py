"""Providers that need an id and a secret only."""

from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from backend_hub.auth.secret_box import seal
from backend_hub.db import AsyncSession, new_id
from backend_hub.identity.models import IdentityProvider, ProviderKind
from backend_hub.settings import Settings

SECRET = "identity-provider"  # noqa: S105 - the purpose of auth/secret_box.py
OPENID = "openid email profile"


class PresetName(StrEnum):
    github = "github"
    google = "google"
    gitlab = "gitlab"


class Preset(NamedTuple):
    """What is the same for every hub; these providers verify addresses before they say so."""

    name: str
    kind: ProviderKind
    issuer: str
    scope: str = OPENID


PRESETS = {
    PresetName.github: Preset(
        "GitHub", ProviderKind.github, "https://github.com", "read:user user:email"
    ),
    PresetName.google: Preset("Google", ProviderKind.oidc, "https://accounts.google.com"),
    PresetName.gitlab: Preset("GitLab", ProviderKind.oidc, "https://gitlab.com"),
}


async def keep_configured_providers(session: AsyncSession, settings: Settings) -> None:
    """Make the providers of the settings what the settings say; switch off those that left."""
    known = select(IdentityProvider.slug, IdentityProvider.id)
    ids = dict((await session.exec(known)).all())
    kept = []
    for slug, (client_id, secret) in configured(settings).items():
        preset = PRESETS[slug]
        provider_id = ids.get(slug) or new_id()
        values = {
            **preset._asdict(),
            "client_id": client_id,
            "sealed_secret": seal(settings, SECRET, str(provider_id), secret),
            "trusts_email": True,
            "enabled": True,
            "configured": True,
        }
        row = insert(IdentityProvider).values(id=provider_id, slug=slug.value, version=1, **values)
        await session.execute(row.on_conflict_do_update(index_elements=["slug"], set_=values))
        kept.append(slug.value)
    gone = update(IdentityProvider).where(
        col(IdentityProvider.configured), col(IdentityProvider.slug).not_in(kept)
    )
    await session.execute(gone.values(enabled=False, configured=False))


def configured(settings: Settings) -> dict[PresetName, tuple[str, str]]:
    """Client id and secret of each preset that has both."""
    pairs = {
        PresetName.github: (settings.github_client_id, settings.github_client_secret),
        PresetName.google: (settings.google_client_id, settings.google_client_secret),
        PresetName.gitlab: (settings.gitlab_client_id, settings.gitlab_client_secret),
    }
    return {
        name: (client_id, secret.get_secret_value())
        for name, (client_id, secret) in pairs.items()
        if client_id and secret.get_secret_value()
    }

"""What OpenID providers say of themselves, remembered for a while (OpenID Connect Discovery)."""

import time
from dataclasses import dataclass, field
from typing import Any

from backend_hub.identity.fetching import ProviderRefused, ProviderTrouble, read_json, talking
from backend_hub.settings import Settings

FRESH = 3_600.0
"""Seconds until metadata and keys are read again."""
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass
class _Remembered:
    metadata: dict[str, Any]
    read_at: float
    keys: list[dict[str, Any]] | None = None


@dataclass
class Directory:
    """The metadata and the keys of each issuer, in this process."""

    settings: Settings
    known: dict[str, _Remembered] = field(default_factory=dict)

    async def metadata(self, issuer: str) -> dict[str, Any]:
        """Raises ProviderTrouble; ProviderRefused when it calls itself something else."""
        remembered = self.known.get(issuer)
        if remembered is None or time.monotonic() - remembered.read_at > FRESH:
            remembered = _Remembered(await self._discover(issuer), time.monotonic())
            self.known[issuer] = remembered
        return remembered.metadata

    async def keys(self, issuer: str, *, anew: bool = False) -> list[dict[str, Any]]:
        """The issuer's JSON Web Keys; `anew` when one of them was not known."""
        metadata = await self.metadata(issuer)
        remembered = self.known[issuer]
        if remembered.keys is None or anew:
            async with talking(self.settings) as client:
                found = await read_json(client, self.settings, metadata["jwks_uri"])
            keys = found.get("keys") if isinstance(found, dict) else None
            if not isinstance(keys, list):
                raise ProviderTrouble("Its keys cannot be read")
            remembered.keys = [key for key in keys[:100] if isinstance(key, dict)]
        return remembered.keys

    async def _discover(self, issuer: str) -> dict[str, Any]:
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        async with talking(self.settings) as client:
            metadata = await read_json(client, self.settings, url)
        if not isinstance(metadata, dict):
            raise ProviderTrouble("Its metadata cannot be read")
        if metadata.get("issuer") != issuer:
            raise ProviderRefused("The other site calls itself something else")
        if not all(isinstance(metadata.get(name), str) for name in ENDPOINTS):
            raise ProviderTrouble("Its metadata lacks an endpoint")
        return metadata

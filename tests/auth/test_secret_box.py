"""Secrets at rest."""

import pytest

from backend_hub.auth.secret_box import UnreadableSecret, seal, unseal
from backend_hub.settings import Settings


def test_a_sealed_secret_opens_for_its_purpose_its_owner_and_its_hub_only(
    settings: Settings,
) -> None:
    sealed = seal(settings, "totp", "ann", "JBSWY3DP")
    assert unseal(settings, "totp", "ann", sealed) == "JBSWY3DP"
    assert b"JBSWY3DP" not in sealed
    assert seal(settings, "totp", "ann", "JBSWY3DP") != sealed
    other = settings.model_copy(update={"secret_key": type(settings.secret_key)("k" * 40)})
    for hub, purpose, owner, box in (
        (other, "totp", "ann", sealed),
        (settings, "provider", "ann", sealed),
        (settings, "totp", "bob", sealed),
        (settings, "totp", "ann", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (settings, "totp", "ann", b""),
    ):
        with pytest.raises(UnreadableSecret):
            unseal(hub, purpose, owner, box)

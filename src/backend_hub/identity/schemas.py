"""Providers on the wire."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from backend_hub.auth.schemas import not_reserved
from backend_hub.http.schemas import (
    UNSET,
    Id,
    Moment,
    PatchModel,
    ReadModel,
    Slug,
    Username,
    Version,
    WriteModel,
)
from backend_hub.identity.models import ProviderKind
from backend_hub.identity.presets import OPENID, PresetName

EXAMPLE_PROVIDER = "campus"

ProviderSlug = Annotated[
    Slug,
    Field(
        max_length=40,
        description="Part of the address that the provider sends people back to.",
        examples=["school"],
    ),
]
ProviderName = Annotated[
    str, Field(min_length=1, max_length=60, pattern=r"\S", examples=["The school"])
]
Issuer = Annotated[
    str,
    Field(
        min_length=1,
        max_length=300,
        pattern=r"^https?://[!-~]+$",
        description="Exactly as the provider's metadata has it; https outside of development.",
        examples=["https://login.school.example.org"],
    ),
]
ClientId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=300,
        pattern=r"^[!-~]+$",
        description="The provider's name for this hub.",
        examples=["backend-hub"],
    ),
]
ClientSecret = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^[!-~]+$",
        description="Kept encrypted and never shown; null for a public client.",
        json_schema_extra={"format": "password"},
    ),
]
ProviderScope = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^[!-~]+( [!-~]+)*$",
        description="What the hub asks for, separated by spaces.",
        examples=[OPENID],
    ),
]
TrustsEmail = Annotated[
    bool,
    Field(
        description="Whether its word on verified addresses is enough to join a sign-in to the "
        "account that verified the same address; otherwise that account signs in first."
    ),
]


class IdentityProviderCreate(WriteModel):
    """A provider: a preset with `client_id` and `client_secret`, or any by its issuer."""

    preset: PresetName | None = None
    kind: ProviderKind = ProviderKind.oidc
    slug: Annotated[ProviderSlug | None, Field(description="Without a preset.")] = None
    name: Annotated[ProviderName | None, Field(description="Without a preset.")] = None
    issuer: Annotated[Issuer | None, Field(description="Without a preset.")] = None
    client_id: ClientId
    client_secret: ClientSecret | None = None
    scope: ProviderScope | None = None
    trusts_email: TrustsEmail = False
    enabled: bool = True

    @model_validator(mode="after")
    def _whole(self) -> Self:
        own = (self.slug, self.name, self.issuer)
        if self.preset is None and None in own:
            raise ValueError("slug, name and issuer are needed without a preset")
        if self.preset is not None and any(value is not None for value in own):
            raise ValueError("a preset brings its slug, name and issuer along")
        if self.preset is None and self.slug in set(PresetName):
            raise ValueError("this slug is a preset's")
        return self


class IdentityProviderUpdate(PatchModel):
    """What to change of a provider; who it is (slug, kind, issuer) stays."""

    name: ProviderName = UNSET
    client_id: ClientId = UNSET
    client_secret: ClientSecret | None = UNSET
    scope: ProviderScope = UNSET
    trusts_email: TrustsEmail = UNSET
    enabled: bool = UNSET


class IdentityProviderRead(ReadModel):
    """A provider, for admins."""

    id: Id
    slug: ProviderSlug
    name: ProviderName
    kind: ProviderKind
    issuer: Issuer
    client_id: ClientId
    has_secret: bool
    scope: ProviderScope
    trusts_email: TrustsEmail
    enabled: bool
    configured: bool = Field(description="Comes from the hub's settings; cannot be changed here.")
    redirect_uri: str = Field(
        max_length=500, description="What to register at the provider: where it sends people back."
    )
    version: Version
    created_at: Moment


class OfferedProvider(ReadModel):
    """A provider that the sign-in page offers."""

    slug: ProviderSlug
    name: ProviderName


class OfferedProviders(ReadModel):
    items: list[OfferedProvider] = Field(max_length=100)


class NewMember(WriteModel):
    """Who they want to be here, of somebody whom a provider named."""

    username: Annotated[Username, AfterValidator(not_reserved)]

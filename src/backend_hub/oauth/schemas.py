"""Apps on the wire."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from backend_hub.http.schemas import UNSET, Id, Moment, PatchModel, ReadModel, Version, WriteModel
from backend_hub.oauth.clients import GRANTABLE_SCOPES
from backend_hub.oauth.models import ClientType
from backend_hub.oauth.redirects import mistake_in

ClientName = Annotated[
    str, Field(min_length=1, max_length=80, pattern=r"\S", examples=["Study planner"])
]
RedirectUri = Annotated[str, Field(min_length=1, max_length=500)]
RedirectUris = Annotated[
    list[RedirectUri],
    Field(
        max_length=20,
        description="Compared character by character; none for a machine.",
        examples=[["https://planner.example.org/callback"]],
    ),
]


def _known(scope: str) -> str:
    if scope not in GRANTABLE_SCOPES:
        raise ValueError("is not a scope of this hub")
    return scope


ScopeName = Annotated[
    str,
    Field(min_length=1, max_length=60, json_schema_extra={"enum": sorted(GRANTABLE_SCOPES)}),
    AfterValidator(_known),
]
ScopeNames = Annotated[
    list[ScopeName],
    Field(
        min_length=1,
        max_length=50,
        description="The most it may ask for.",
        examples=[["openid", "profile", "questions:write"]],
    ),
]
HomepageUrl = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^https?://[!-~]+$",
        examples=["https://planner.example.org/"],
    ),
]


def check_redirects(uris: list[str], client_type: ClientType) -> None:
    """Raise ValueError for a URI that an app of this type may not have people sent to."""
    if (client_type is ClientType.machine) != (not uris):
        raise ValueError("a machine has no redirect_uris, and every other app has some")
    for uri in uris:
        if mistake := mistake_in(uri, client_type):
            raise ValueError(f"a redirect URI {mistake}")


class ClientCreate(WriteModel):
    """An app to register."""

    name: ClientName
    type: Annotated[ClientType, Field(examples=["spa"])]
    redirect_uris: RedirectUris = []
    scopes: ScopeNames
    homepage_url: HomepageUrl | None = None

    @model_validator(mode="after")
    def _redirects_fit(self) -> Self:
        check_redirects(self.redirect_uris, self.type)
        return self


class ClientUpdate(PatchModel):
    """What to change of an app; `verified` is for admins."""

    name: ClientName = UNSET
    redirect_uris: RedirectUris = UNSET
    scopes: ScopeNames = UNSET
    homepage_url: HomepageUrl | None = UNSET
    verified: bool = UNSET


class ClientRead(ReadModel):
    """An app that people sign in to through the hub."""

    id: str = Field(max_length=64, description="The `client_id`.")
    owner_id: Id | None
    name: ClientName
    type: ClientType
    redirect_uris: RedirectUris
    scopes: list[Annotated[str, Field(max_length=60)]] = Field(max_length=50)
    homepage_url: str | None = Field(max_length=500)
    verified: bool = Field(description="Consent is remembered; others ask each time.")
    version: Version
    created_at: Moment


class ClientWithSecret(ClientRead):
    """An app and, this once, its secret."""

    client_secret: str | None = Field(
        max_length=200, description="Shown once; null for apps that cannot keep one."
    )

"""Apps on the wire."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from backend_hub.http.schemas import UNSET, Id, Moment, PatchModel, ReadModel, Version, WriteModel
from backend_hub.oauth.clients import GRANTABLE_SCOPES
from backend_hub.oauth.models import ClientType
from backend_hub.oauth.redirects import mistake_in, mistake_in_origin

ClientName = Annotated[
    str, Field(min_length=1, max_length=80, pattern=r"\S", examples=["Study planner"])
]
RedirectUri = Annotated[str, Field(min_length=1, max_length=500)]
RedirectUris = Annotated[
    list[RedirectUri],
    Field(
        max_length=20,
        description="Compared character by character. A machine has none; native apps may.",
        examples=[["https://planner.example.org/callback"]],
    ),
]


LogoutUris = Annotated[
    list[RedirectUri],
    Field(
        max_length=20,
        description="Where it may have people sent after it signed them out.",
        examples=[["https://planner.example.org/bye"]],
    ),
]
PushedOnly = Annotated[
    bool, Field(description="Whether its requests must be pushed first (RFC 9126).")
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
LogoUrl = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?/[!-~]*$",
        description="Shown when people are asked for consent, once an admin verified the app.",
        examples=["https://planner.example.org/logo.svg"],
    ),
]


def _origin(origin: str) -> str:
    if mistake := mistake_in_origin(origin):
        raise ValueError(mistake)
    return origin


Origin = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_origin)]
AllowedOrigins = Annotated[
    list[Origin],
    Field(
        max_length=20,
        description="Whose pages may read the API's answers (CORS). Those of a `spa` follow from "
        "its redirect URIs unless you name them.",
        examples=[["https://planner.example.org"]],
    ),
]


def check_redirects(uris: list[str], client_type: ClientType) -> None:
    """Raise ValueError for a URI that an app of this type may not have people sent to.

    A native app without any signs people in on devices only.
    """
    if client_type is ClientType.machine and uris:
        raise ValueError("a machine has no redirect_uris")
    if client_type in {ClientType.spa, ClientType.web} and not uris:
        raise ValueError("an app in a browser or on a server has redirect_uris")
    check_uris(uris, client_type)


def check_uris(uris: list[str], client_type: ClientType) -> None:
    for uri in uris:
        if mistake := mistake_in(uri, client_type):
            raise ValueError(f"a redirect URI {mistake}")


class ClientCreate(WriteModel):
    """An app to register."""

    name: ClientName
    type: Annotated[ClientType, Field(examples=["spa"])]
    redirect_uris: RedirectUris = []
    post_logout_redirect_uris: LogoutUris = []
    require_pushed_authorization_requests: PushedOnly = False
    allowed_origins: AllowedOrigins | None = None
    scopes: ScopeNames
    homepage_url: HomepageUrl | None = None
    logo_url: LogoUrl | None = None

    @model_validator(mode="after")
    def _redirects_fit(self) -> Self:
        check_redirects(self.redirect_uris, self.type)
        check_uris(self.post_logout_redirect_uris, self.type)
        return self


class ClientUpdate(PatchModel):
    """What to change of an app; `verified` is for admins."""

    name: ClientName = UNSET
    redirect_uris: RedirectUris = UNSET
    post_logout_redirect_uris: LogoutUris = UNSET
    require_pushed_authorization_requests: PushedOnly = UNSET
    allowed_origins: AllowedOrigins = UNSET
    scopes: ScopeNames = UNSET
    homepage_url: HomepageUrl | None = UNSET
    logo_url: LogoUrl | None = UNSET
    verified: bool = UNSET


class ClientRead(ReadModel):
    """An app that people sign in to through the hub."""

    id: str = Field(max_length=64, description="The `client_id`.")
    owner_id: Id | None
    name: ClientName
    type: ClientType
    redirect_uris: RedirectUris
    post_logout_redirect_uris: LogoutUris
    require_pushed_authorization_requests: PushedOnly
    allowed_origins: list[Annotated[str, Field(max_length=300)]] = Field(max_length=20)
    scopes: list[Annotated[str, Field(max_length=60)]] = Field(max_length=50)
    homepage_url: str | None = Field(max_length=500)
    logo_url: str | None = Field(max_length=500)
    verified: bool = Field(description="Consent is remembered; others ask each time.")
    version: Version
    created_at: Moment


class ClientWithSecret(ClientRead):
    """An app and, this once, its secret."""

    client_secret: str | None = Field(
        max_length=200, description="Shown once; null for apps that cannot keep one."
    )

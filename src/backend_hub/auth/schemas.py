"""Registration, tokens and keys on the wire."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, EmailStr, Field, model_validator

from backend_hub.auth.passwords import MAXIMUM_LENGTH, MINIMUM_LENGTH, MINIMUM_WITH_FACTOR, weakness
from backend_hub.auth.scopes import APP_SCOPES
from backend_hub.http.schemas import Id, Moment, NotBoolean, ReadModel, Username, WriteModel

RESERVED_NAMES = frozenset(
    {"me", "admin", "administrator", "moderator", "support", "security", "backend-hub"}
)
"""`backend-hub` is the author of the shipped catalogue and of imported lists."""
DELETED_PREFIX = "deleted-"
"""How the names of deleted accounts begin."""


def not_reserved(username: str) -> str:
    if username.lower() in RESERVED_NAMES or username.lower().startswith(DELETED_PREFIX):
        raise ValueError("this name is reserved")
    return username


Password = Annotated[
    str,
    Field(
        min_length=MINIMUM_LENGTH,
        max_length=MAXIMUM_LENGTH,
        description="Any characters; common passwords are refused.",
        json_schema_extra={"format": "password"},
        examples=["seven calm otters swim"],
    ),
]


class NewAccount(WriteModel):
    """An account that an operator makes: any name will do."""

    username: Annotated[Username, Field(examples=["ada"])]
    email: Annotated[EmailStr, Field(max_length=254, examples=["ada@example.org"])]
    password: Password
    display_name: Annotated[str, Field(max_length=80)] = ""

    @model_validator(mode="after")
    def _strong_enough(self) -> Self:
        if reason := weakness(self.password, self.username, self.email):
            raise ValueError(f"the password {reason}")
        return self


class UserRegister(NewAccount):
    """A new account."""

    username: Annotated[Username, Field(examples=["ada"]), AfterValidator(not_reserved)]


Address = Annotated[EmailStr, Field(max_length=254, examples=["demo@example.org"])]
LinkToken = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="What the link of the mail has as its `token`.",
        examples=["kR3vT0Zs9yq1XhG6uWm4oPcB7dNfLaEj2iQxYt5C8sM"],
    ),
]


class ForgotPassword(WriteModel):
    """Whose password is forgotten."""

    email: Address


class PasswordReset(WriteModel):
    """A new password, and the link that allows it."""

    token: LinkToken
    password: Annotated[
        str,
        Field(
            min_length=MINIMUM_WITH_FACTOR,
            max_length=MAXIMUM_LENGTH,
            description="At least 15 characters, or 8 for an account with a second factor.",
            json_schema_extra={"format": "password"},
            examples=["seven calm otters swim"],
        ),
    ]


class EmailVerification(WriteModel):
    """The link that shows whose address it is."""

    token: LinkToken


class Accepted(ReadModel):
    """What happens next; the same for everybody."""

    message: str = Field(max_length=300)


class PasskeyRegister(WriteModel):
    """A new account that does without a password."""

    username: Annotated[Username, AfterValidator(not_reserved)]
    email: Annotated[EmailStr, Field(max_length=254)]


class TokenRead(ReadModel):
    """A successful token answer (RFC 6749 section 5.1)."""

    access_token: str = Field(max_length=4_096)
    token_type: Literal["Bearer"]
    expires_in: int = Field(ge=1, le=3_600, description="Seconds.")
    refresh_token: str = Field(max_length=200)
    scope: str = Field(max_length=1_000)


TokenName = Annotated[
    str, Field(min_length=1, max_length=80, pattern=r"\S", examples=["Nightly backup"])
]
TokenScope = Annotated[
    str,
    Field(min_length=1, max_length=60, json_schema_extra={"enum": sorted(APP_SCOPES)}),
    AfterValidator(lambda scope: _grantable(scope)),
]


def _grantable(scope: str) -> str:
    if scope not in APP_SCOPES:
        raise ValueError("is not a scope that a personal access token can have")
    return scope


class PersonalTokenCreate(WriteModel):
    """A personal access token to make."""

    name: TokenName
    scopes: list[TokenScope] = Field(
        min_length=1, max_length=50, examples=[["questions:write"]], description="Of your own."
    )
    expires_in_days: Annotated[int, Field(ge=1, le=365, examples=[90]), NotBoolean]


class PersonalTokenRead(ReadModel):
    """A personal access token, without its text."""

    id: Id
    name: TokenName
    scopes: list[Annotated[str, Field(max_length=60)]] = Field(max_length=50)
    created_at: Moment
    expires_at: Moment
    used_at: Moment | None = Field(description="To the minute; null: never.")


class PersonalTokenWithText(PersonalTokenRead):
    """A personal access token and, this once, its text."""

    token: str = Field(max_length=100, description="Shown once. Send it as a bearer token.")


class JsonWebKey(ReadModel):
    """A public RSA key (RFC 7517, RFC 7518 section 6.3)."""

    kty: Literal["RSA"]
    use: Literal["sig"]
    alg: Literal["RS256"]
    kid: str = Field(max_length=64)
    n: str = Field(max_length=1_000)
    e: str = Field(max_length=20)


class JsonWebKeySet(ReadModel):
    keys: list[JsonWebKey] = Field(max_length=20)

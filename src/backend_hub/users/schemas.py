"""People on the wire."""

from typing import Annotated

from pydantic import Field, Strict

from backend_hub.http.schemas import (
    UNSET,
    Count,
    Id,
    Moment,
    PatchModel,
    ReadModel,
    Username,
    Version,
)
from backend_hub.users.models import Role

DisplayName = Annotated[str, Field(min_length=1, max_length=80, pattern=r"\S")]
Bio = Annotated[str, Field(max_length=1_000)]


class UserRead(ReadModel):
    """What everybody sees of a person."""

    id: Id
    username: Username
    display_name: DisplayName
    bio: Bio
    role: Role
    resource_count: Count
    question_count: Count
    answer_count: Count
    created_at: Moment


class MeRead(ReadModel):
    """What a person sees of their own account."""

    id: Id
    username: Username
    display_name: DisplayName
    bio: Bio
    role: Role
    email: str | None = Field(max_length=254)
    email_verified: bool
    scopes: list[Annotated[str, Field(max_length=60)]] = Field(
        max_length=50, description="What this request's token may do."
    )
    version: Version
    created_at: Moment


class MeUpdate(PatchModel):
    """What people change of their own profile."""

    display_name: DisplayName = UNSET
    bio: Annotated[Bio, Field(examples=["Learns backend development."])] = UNSET


class AccountRead(ReadModel):
    """What admins see of an account."""

    id: Id
    username: Username
    display_name: DisplayName
    role: Role
    email: str | None = Field(max_length=254)
    disabled_at: Moment | None
    version: Version
    created_at: Moment


class AccountUpdate(PatchModel):
    """What admins change of an account."""

    role: Role = UNSET
    disabled: Annotated[bool, Strict()] = UNSET

"""A person's own sign-ins and apps on the wire."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from backend_hub.http.schemas import Id, Moment, ReadModel, Username, WriteModel


class SessionKind(StrEnum):
    """`browser`: the hub's own pages; `hub`: its password form; `app`: through an app."""

    browser = "browser"
    hub = "hub"
    app = "app"


Scopes = Annotated[list[Annotated[str, Field(max_length=60)]], Field(max_length=50)]


class SessionRead(ReadModel):
    """A sign-in that lasts."""

    id: Id
    kind: SessionKind
    client_id: str | None = Field(max_length=64, description="The app; null for the hub's own.")
    client_name: str | None = Field(max_length=80)
    device: str = Field(max_length=80, description="What the program is, by its own account.")
    user_agent: str = Field(max_length=300)
    address: str = Field(max_length=45, description="Empty for a sign-in through an app.")
    scopes: Scopes
    current: bool = Field(description="Whether this request belongs to it.")
    created_at: Moment
    seen_at: Moment = Field(description="About when it was used last.")
    expires_at: Moment


class AllowedAppRead(ReadModel):
    """An app that a person allowed to act for them."""

    client_id: str = Field(max_length=64)
    name: str = Field(max_length=80)
    homepage_url: str | None = Field(max_length=500)
    verified: bool = Field(description="The operators of the hub looked at it.")
    scopes: Scopes
    created_at: Moment = Field(description="When it was allowed first.")
    used_at: Moment | None = Field(description="When it last got a token.")


Content = Literal["keep", "remove"]


class AccountDeletion(WriteModel):
    """The end of an account."""

    username: Annotated[
        Username,
        Field(description="Your own name, so that nothing is deleted by mistake."),
    ]
    content: Annotated[
        Content,
        Field(
            description="`keep`: what you wrote stays, by a deleted user. `remove`: it goes, but"
            " for what others built upon.",
            examples=["keep"],
        ),
    ]

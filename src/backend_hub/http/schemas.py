"""The bases and the small types of everything that crosses the wire."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from backend_hub.http.cursors import BIGINT_MAX


class WriteModel(BaseModel):
    """What a client sends: unknown fields are refused, and so is text PostgreSQL cannot hold."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_nul(cls, data: Any) -> Any:
        if any("\x00" in text for text in _texts(data)):
            raise ValueError("text must be free of NUL")
        return data


UNSET: Any = None
"""The default of every field of a patch: never validated, never shown, only ever absent."""


def _without_defaults(schema: dict[str, Any]) -> None:
    for member in schema.get("properties", {}).values():
        member.pop("default", None)
    schema["minProperties"] = 1


class PatchModel(WriteModel):
    """A JSON merge patch (RFC 7396): absent keeps, null clears where the type allows it."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("there is nothing to change")
        return self

    def changes(self) -> dict[str, Any]:
        """The fields that the client sent."""
        return self.model_dump(mode="json", exclude_unset=True)


class ReadModel(BaseModel):
    """What the hub answers. No defaults: generated clients see every field as present."""

    model_config = ConfigDict(from_attributes=True)


def _texts(data: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif depth < 8 and isinstance(data, dict):
        for key, value in data.items():
            yield from _texts(key, depth + 1)
            yield from _texts(value, depth + 1)
    elif depth < 8 and isinstance(data, list):
        for value in data:
            yield from _texts(value, depth + 1)


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


NotBoolean = BeforeValidator(_no_boolean)
"""For whole numbers in bodies: JSON's true is not 1, and 1.0 is."""

Id = Annotated[UUID, Field(description="UUIDv7.")]
Count = Annotated[int, Field(ge=0, le=BIGINT_MAX)]
Number = Annotated[int, Field(ge=-BIGINT_MAX, le=BIGINT_MAX)]
Version = Annotated[
    int, Field(ge=1, le=BIGINT_MAX, description="Grows with every change; the head of the ETag.")
]
Moment = datetime
Title = Annotated[
    str, Field(min_length=3, max_length=200), AfterValidator(lambda text: _one_line(text))
]
Markdown = Annotated[
    str,
    Field(
        min_length=1,
        max_length=60_000,
        pattern=r"\S",
        description="Markdown (CommonMark), under 64 kB.",
    ),
    AfterValidator(lambda text: _small(text)),
]
Html = Annotated[
    str, Field(max_length=1_000_000, description="Rendered from the Markdown, and sanitised.")
]
Slug = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
TagName = Annotated[
    str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9+#.]*(-[a-z0-9+#.]+)*$")
]
Username = Annotated[
    str,
    Field(
        min_length=3,
        max_length=30,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="Letters, digits, `-` and `_`; unique whatever the case.",
    ),
]
Language = Annotated[
    str,
    Field(
        min_length=2,
        max_length=35,
        pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$",
        description="BCP 47, such as `en`, `pt-BR` or `zh-Hant`.",
        examples=["en"],
    ),
]
License = Annotated[
    str,
    Field(
        min_length=1,
        max_length=60,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$",
        description="SPDX identifier.",
        examples=["CC-BY-SA-4.0"],
    ),
]
DEFAULT_LICENSE = "CC-BY-SA-4.0"


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    if len(text) < 3:
        raise ValueError("must have at least 3 characters")
    return text


def _small(text: str) -> str:
    if len(text.encode("utf-8", "replace")) >= 64_000:
        raise ValueError("must be under 64 kB")
    return text

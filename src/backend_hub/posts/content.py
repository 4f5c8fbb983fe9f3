"""What an edit may change: the content of a post, as its revisions keep it."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from backend_hub.http.schemas import (
    DEFAULT_LICENSE,
    Language,
    License,
    Markdown,
    Slug,
    TagName,
    Title,
    WriteModel,
)

MAX_TAGS = 8


def _distinct(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


Tags = Annotated[list[TagName], Field(max_length=MAX_TAGS), AfterValidator(_distinct)]
Summary = Annotated[str, Field(max_length=300, description="What was changed, and why.")]


class TextContent(WriteModel):
    """The content of an answer, and the part that all posts share."""

    body: Markdown
    language: Language = "en"
    license: License = DEFAULT_LICENSE


class PostContent(TextContent):
    """The content of a post that has a title and is found by topic and tags."""

    title: Title
    topic: Annotated[Slug | None, Field(description="Slug of a topic.")] = None
    tags: Tags = Field(default_factory=list)


def as_texts(content: dict[str, Any]) -> dict[str, str]:
    """A content as field -> text: what is compared, and later merged, line by line.

    Each file of a code sample is a field of its own, `files/<name>`, and so is each field of a
    contribution's proposal, `proposal/<name>`; lists have a line an entry.
    """
    texts: dict[str, str] = {}
    for name, value in content.items():
        if name == "files":
            texts |= {f"files/{file['name']}": file["content"] for file in value or []}
        elif isinstance(value, dict):
            texts |= {f"{name}/{inner}": text for inner, text in as_texts(value).items()}
        elif isinstance(value, str):
            texts[name] = value
        elif isinstance(value, list):
            texts[name] = "\n".join(_line(entry) for entry in value)
        elif value is not None:
            texts[name] = _line(value)
    return texts


def _line(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

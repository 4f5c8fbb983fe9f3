"""Reading the shipped catalogue: folders are topics, TOML files are what they hold."""

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from backend_hub.errors import ConfigurationError
from backend_hub.http.schemas import TagName, WriteModel
from backend_hub.resources.schemas import LinkContent, resource_content
from backend_hub.resources.service import Content
from backend_hub.resources.urls import url_key
from backend_hub.topics.schemas import Description, TopicCreate

T = TypeVar("T")
CATALOGUE = Path(__file__).parents[1] / "catalogue"
Key = Annotated[str, Field(min_length=3, max_length=120, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class ShippedTag(WriteModel):
    """What a tag means, and other words for it."""

    name: TagName
    description: Description
    synonyms: Annotated[list[TagName], Field(max_length=50)]


class Shipped(NamedTuple):
    """A resource of the catalogue; `key` is stable for ever."""

    key: str
    content: Content


@dataclass(frozen=True, slots=True)
class Catalogue:
    topics: tuple[TopicCreate, ...]
    """Parents come before their sub-topics."""
    tags: tuple[ShippedTag, ...]
    resources: tuple[Shipped, ...]


_key: TypeAdapter[str] = TypeAdapter(Key)
_tags: TypeAdapter[list[ShippedTag]] = TypeAdapter(list[ShippedTag])


def read_catalogue(root: Path = CATALOGUE) -> Catalogue:
    """Everything below `root`, validated; raises ConfigurationError naming the file."""
    topics: list[TopicCreate] = []
    resources: list[Shipped] = []
    for folder, parent in _folders(root, None):
        topics.append(_topic(folder, parent))
        resources += _resources(folder)
    tags = _read_tags(root / "tags.toml")
    _refuse_repeats([topic.slug for topic in topics], "topic")
    _refuse_repeats([resource.key for resource in resources], "key")
    links = [r.content.url for r in resources if isinstance(r.content, LinkContent)]
    _refuse_repeats(links, "link", url_key)
    _refuse_repeats([word for tag in tags for word in (tag.name, *tag.synonyms)], "tag")
    return Catalogue(tuple(topics), tuple(tags), tuple(resources))


def _folders(root: Path, parent: str | None) -> Iterator[tuple[Path, str | None]]:
    """Folders that are topics, each with its parent's slug."""
    for path in sorted(root.glob("*/topic.toml")):
        yield path.parent, parent
        yield from _folders(path.parent, path.parent.name)


def _topic(folder: Path, parent: str | None) -> TopicCreate:
    path = folder / "topic.toml"
    overview = folder / "overview.md"
    fields = {
        **_load(path),
        "slug": folder.name,
        "parent": parent,
        "overview": _text(overview) if overview.exists() else "",
    }
    return _valid(path, TopicCreate.model_validate, fields)


def _resources(folder: Path) -> Iterator[Shipped]:
    """The links, the sample and the project of a topic."""
    links = folder / "links.toml"
    if links.exists():
        for fields in _load(links).get("link", []):
            yield _shipped(links, "link", fields)
    sample = folder / "sample" / "sample.toml"
    if sample.exists():
        fields = _load(sample)
        fields.pop("check", None)
        names = fields.get("files", [])
        fields["files"] = [{"name": name, "content": _text(sample.parent / name)} for name in names]
        yield _shipped(sample, "code_sample", fields, topic=folder.name)
    project = folder / "project.toml"
    if project.exists():
        yield _shipped(project, "project", _load(project))


def _shipped(path: Path, kind: str, fields: dict[str, Any], topic: str | None = None) -> Shipped:
    key = _valid(path, _key.validate_python, fields.pop("key", ""))
    fields |= {"kind": kind, "topic": topic or path.parent.name}
    return Shipped(key, _valid(path, resource_content.validate_python, fields))


def _read_tags(path: Path) -> list[ShippedTag]:
    fields = _load(path).get("tag", []) if path.exists() else []
    return _valid(path, _tags.validate_python, fields)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _valid(path: Path, validate: Callable[[Any], T], fields: Any) -> T:
    try:
        return validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path}: {place}: {first['msg']}") from None


def _refuse_repeats(words: list[str], what: str, same: Callable[[str], str] = str) -> None:
    seen: set[str] = set()
    for word in words:
        if same(word) in seen:
            raise ConfigurationError(f"The {what} {word} is in the catalogue twice")
        seen.add(same(word))

"""Full-text search of posts: which configuration serves a language, and the vector of a post."""

import re
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlmodel import col

from backend_hub.posts.models import Post

# Only those that PostgreSQL 15 ships.
CONFIGURATIONS: dict[str, str] = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "nb": "norwegian",
    "nn": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}


def configuration_for(language: str) -> str:
    """The configuration for a BCP 47 tag; `simple`, without stemming, for all others."""
    return CONFIGURATIONS.get(language.partition("-")[0].lower(), "simple")


def search_vector(configuration: str, title: str, tags: list[str], body: str) -> ColumnElement[Any]:
    """Title weighs A, tags B, body C. A body is under 64 kB, so a vector is far under 1 MiB."""
    return vector_of(literal(configuration), literal(title), literal(" ".join(tags)), literal(body))


def vector_of(
    configuration: ColumnElement[str],
    title: ColumnElement[str],
    tags: ColumnElement[str],
    body: ColumnElement[str],
) -> ColumnElement[Any]:
    """`search_vector` of expressions; `tags` are separated by spaces."""

    def weighted(
        text: ColumnElement[str], weight: str, config: ColumnElement[Any]
    ) -> ColumnElement[Any]:
        return func.setweight(func.to_tsvector(config, text), literal_column(f"'{weight}'"))

    config = cast(configuration, REGCONFIG)
    return (
        weighted(title, "A", config)
        .op("||")(weighted(tags, "B", _regconfig("simple")))
        .op("||")(weighted(body, "C", config))
    )


def _regconfig(configuration: str) -> ColumnElement[Any]:
    return cast(literal(configuration), REGCONFIG)


def matches(query: str) -> ColumnElement[bool]:
    """Whether a post matches, in the language it is written in; each branch is an index scan."""
    return or_(
        *(
            and_(
                col(Post.search_config) == configuration,
                col(Post.search).op("@@")(
                    func.websearch_to_tsquery(_regconfig(configuration), query)
                ),
            )
            for configuration in sorted({*CONFIGURATIONS.values(), "simple"})
        )
    )


def post_query(query: str) -> ColumnElement[Any]:
    """The query in the language of each post.

    It is parsed once for each language that occurs, as a subquery, and not once for each post.
    """
    parsed = {
        configuration: select(
            func.websearch_to_tsquery(_regconfig(configuration), query)
        ).scalar_subquery()
        for configuration in sorted({*CONFIGURATIONS.values(), "simple"})
    }
    return case(parsed, value=col(Post.search_config))


def rank(query: str) -> ColumnElement[float]:
    """Cover density, damped by the length of the text: 0 to 1, more is better."""
    ranked = func.ts_rank_cd(col(Post.search), post_query(query), 1 | 32)
    return cast(ranked, Double)


def any_of(title: str) -> str:
    """A query for posts with any word of a title; matches nothing when it has none."""
    words = re.findall(r"\w+", title.lower())
    return " or ".join(word for word in dict.fromkeys(words) if word != "or")


def similarity(query: str) -> ColumnElement[float]:
    """How much of an `any_of` query a post has: each word counts, the title's words most.

    Unlike cover density, `ts_rank` gives more for two words than for one word twice.
    """
    return cast(func.ts_rank(col(Post.search), post_query(query), 1), Double)

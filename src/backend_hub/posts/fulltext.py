"""Full-text search of posts: which configuration serves a language, and the vector of a post."""

import re
from typing import Any

from sqlalchemy import ColumnElement, Double, and_, cast, func, literal, literal_column, or_
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

_LONG_RUN = re.compile(r"\S{200}")


def configuration_for(language: str) -> str:
    """The configuration for a BCP 47 tag; `simple`, without stemming, for all others."""
    return CONFIGURATIONS.get(language.partition("-")[0].lower(), "simple")


def search_vector(configuration: str, title: str, tags: list[str], body: str) -> ColumnElement[Any]:
    """Title weighs A, tags B, body C. A body is under 64 kB, so a vector is far under 1 MiB."""
    config = cast(literal(configuration), REGCONFIG)

    def weighted(text: str, weight: str, with_config: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.setweight(func.to_tsvector(with_config, text), literal_column(f"'{weight}'"))

    simple = cast(literal("simple"), REGCONFIG)
    return (
        weighted(title, "A", config)
        .op("||")(weighted(" ".join(tags), "B", simple))
        .op("||")(weighted(parsable(body), "C", config))
    )


def parsable(text: str) -> str:
    """The text as PostgreSQL's parser reads it in linear time.

    It tries every place in a run of `<!--`, `a_` or `~/` as the start of a comment, a file or a
    host, up to the run's end: minutes for 64 kB. Words are shorter than the runs that remain.
    """
    return _LONG_RUN.sub(r"\g<0> ", text.replace("<", " "))


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
    """The query in the language of each post."""
    return func.websearch_to_tsquery(cast(col(Post.search_config), REGCONFIG), query)


def rank(query: str) -> ColumnElement[float]:
    """Cover density, damped by the length of the text: 0 to 1, more is better."""
    ranked = func.ts_rank_cd(col(Post.search), post_query(query), 1 | 32)
    return cast(ranked, Double)

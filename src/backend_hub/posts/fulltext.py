"""Full-text search of posts: which configuration serves a language, and the vector of a post."""

import re
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Double,
    Text,
    and_,
    any_,
    case,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, REGCONFIG
from sqlmodel import col

from backend_hub.posts.models import Post
from backend_hub.statements import text_parameter

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


def search_words(configuration: str, title: str, tags: list[str], body: str) -> dict[str, str]:
    """The parameters of SEARCH_VECTOR. A body is under 64 kB, so a vector is far under 1 MiB."""
    return {
        "vector_config": configuration,
        "vector_title": title,
        "vector_tags": " ".join(tags),
        "vector_body": parsable(body),
    }


def parsable(text: str) -> str:
    """The text as PostgreSQL's parser reads it in linear time.

    It tries every place in a run of `<!--`, `a_` or `~/` as the start of a comment, a file or a
    host, up to the run's end: minutes for 64 kB. Words are shorter than the runs that remain.
    """
    return _LONG_RUN.sub(r"\g<0> ", text.replace("<", " "))


def vector_of(
    configuration: ColumnElement[str],
    title: ColumnElement[str],
    tags: ColumnElement[str],
    body: ColumnElement[str],
) -> ColumnElement[Any]:
    """Title weighs A, tags B, body C; `tags` are separated by spaces.

    Tags are stemmed as the rest is: a query has one form for the whole post.
    """
    config = _regconfig(configuration)

    def weighted(text: ColumnElement[str], weight: str) -> ColumnElement[Any]:
        return func.setweight(func.to_tsvector(config, text), literal_column(f"'{weight}'"))

    return weighted(title, "A").op("||")(weighted(tags, "B")).op("||")(weighted(body, "C"))


def _regconfig(configuration: Any) -> ColumnElement[Any]:
    return cast(configuration, REGCONFIG)


SEARCH_VECTOR = vector_of(
    *(text_parameter(f"vector_{part}") for part in ("config", "title", "tags", "body"))
)
"""The vector of a post, of the parameters that `search_words` gives."""


def queries_in_use(words: Any) -> CTE:
    """The words as a `query` in each language that posts have, and the `configs` it serves.

    The configurations in use are found by skipping through their index, and those that make the
    same query of the words share one scan of the full-text index
    (docs/decisions/0007-search-in-many-languages.md has the measurements).
    """
    smallest = func.min(Post.search_config)
    used = select(smallest.label("config")).cte("used_configs", recursive=True)
    following = select(smallest).where(col(Post.search_config) > used.c.config)
    used = used.union_all(
        select(following.correlate(used).scalar_subquery()).where(used.c.config.is_not(None))
    )
    query = func.websearch_to_tsquery(_regconfig(used.c.config), words)
    return (
        select(
            query.label("query"), func.array_agg(used.c.config, type_=ARRAY(Text)).label("configs")
        )
        .where(used.c.config.is_not(None))
        .group_by(query)
        .cte("queries")
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


def matched_by(queries: CTE) -> ColumnElement[bool]:
    """Joins posts with the query in their own language."""
    return and_(
        col(Post.search).op("@@")(queries.c.query),
        col(Post.search_config) == any_(queries.c.configs),
    )


def matches(words: str) -> ColumnElement[bool]:
    """Whether a post matches, in the language it is written in."""
    queries = queries_in_use(words)
    found = select(col(Post.id)).select_from(queries).join(Post, matched_by(queries))
    return col(Post.id).in_(found.correlate(None))


def rank(words: str) -> ColumnElement[float]:
    """How well a post matches the words, read in its own language."""
    return rank_by(post_query(words))


def rank_by(query: ColumnElement[Any]) -> ColumnElement[float]:
    """Cover density, damped by the length of the text: 0 to 1, more is better."""
    return cast(func.ts_rank_cd(col(Post.search), query, 1 | 32), Double)


def any_of(title: str) -> str:
    """A query for posts with any word of a title; matches nothing when it has none."""
    words = re.findall(r"\w+", title.lower())
    return " or ".join(word for word in dict.fromkeys(words) if word != "or")


def similarity(query: ColumnElement[Any]) -> ColumnElement[float]:
    """How much of a query of `any_of` a post has: each word counts, the title's words most.

    Unlike cover density, `ts_rank` gives more for two words than for one word twice.
    """
    return cast(func.ts_rank(col(Post.search), query, 1), Double)

"""What is typed into the search box: which part is a word, which a qualifier."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backend_hub.errors import Unprocessable
from backend_hub.search.query_language import READERS, Interval, Qualifier, parse

PIECES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            *("tag:sql", "-tag:c++", "is:open", "score:>3", "created:2026-01-01", "kind:zzz"),
            *('"', "-", "or", "std::vector", "https://a.example/b?c=d", "foo:bar", "score:>1e9"),
            *('"a tag:sql b"', 'tag:"sql"', "TAG:Sql", "created:9999-12-31", "score:1..2..3"),
        ]
    ),
)
TEXTS = st.lists(PIECES, max_size=10).map(" ".join) | st.lists(PIECES, max_size=10).map("".join)
KNOWN = re.compile(rf"-?({'|'.join(READERS)}):", re.IGNORECASE)


@given(TEXTS)
@example('tag:"sql')
@example("score:>" + "9" * 400)
@example("created:0000-00-00")
@example("a\u2028tag:sql\u00a0b")
def test_no_text_breaks_the_parser_and_no_word_is_lost(text: str) -> None:
    try:
        query = parse(text)
    except Unprocessable:
        return
    kept = query.words.split()
    for word in text.split():
        if word not in kept:
            assert KNOWN.match(word), word
    assert len(query.qualifiers) <= len(KNOWN.findall(text))


@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1, max_size=8))
def test_words_stay_in_order_around_qualifiers(words: list[str]) -> None:
    query = parse(" tag:sql ".join(words))
    assert query.words.split() == words
    assert query.qualifiers == (Qualifier("tag", "sql"),) * (len(words) - 1)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "std::vector",
            "https://example.org/a:b",
            "foo:bar",
            '"tag:sql"',
            "x-tag:sql",
            "::",
            ":x",
        ),
        *('-"is:open"', "12:30", "C:\\windows", "--tag:sql", 'a"tag:sql"', "tag"),
    ],
)
def test_what_is_no_qualifier_of_the_hub_is_a_word(text: str) -> None:
    assert parse(text).words == text
    assert parse(text).qualifiers == ()


@pytest.mark.parametrize(
    ("text", "qualifier"),
    [
        ("tag:C++", Qualifier("tag", "c++")),
        ("-tag:sql", Qualifier("tag", "sql", negated=True)),
        ('Author:"Ann"', Qualifier("author", "ann")),
        ("language:pt-BR", Qualifier("lang", "pt-br")),
        ("score:>3", Qualifier("score", Interval(4, None))),
        ("score:>=3", Qualifier("score", Interval(3, None))),
        ("score:<-3", Qualifier("score", Interval(None, -3))),
        ("score:<=3", Qualifier("score", Interval(None, 4))),
        ("score:3", Qualifier("score", Interval(3, 4))),
        ("score:3..10", Qualifier("score", Interval(3, 11))),
        (
            "created:2026-01-31..2026-02-28",
            Qualifier(
                "created",
                Interval(datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
            ),
        ),
        (
            "created:>2026-01-31",
            Qualifier("created", Interval(datetime(2026, 2, 1, tzinfo=UTC), None)),
        ),
    ],
)
def test_each_form_of_a_value_is_understood(text: str, qualifier: Qualifier) -> None:
    assert parse(text).qualifiers == (qualifier,)


@pytest.mark.parametrize(
    "text",
    [
        *("score:abc", "score:>", "score:>10^30", "score:1e3", "score:>3..5", "score:9999999999"),
        *("score:9999999999999999999999", "score:\u0663", "kind:zzz", "is:", "is:deleted"),
        *("created:yesterday", "created:2026-02-30", "created:9999-12-31", "created:0001-01-01"),
        *("tag:", 'tag:"a b"', "tag:-", "author:a/b", "topic:UP_CASE", "level:expert", "lang:1"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(text: str) -> None:
    with pytest.raises(Unprocessable, match=f"^{text.partition(':')[0]}: "):
        parse(f"words {text} more")


def test_twenty_qualifiers_are_enough() -> None:
    assert len(parse("tag:a " * 20).qualifiers) == 20
    with pytest.raises(Unprocessable, match="At most 20"):
        parse("tag:a " * 21)

"""Each of the seventy promises of docs/identity.md is a test with its number in its name."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs/identity.md"
PROMISES = set(range(1, 71))


def test_no_promise_is_without_a_test() -> None:
    named = re.compile(r"def test_((?:\d\d_)+)")
    text = " ".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    tested = {int(number) for names in named.findall(text) for number in names.split("_") if number}
    assert PROMISES - tested == set()


def test_no_promise_is_missing_from_the_page() -> None:
    rows = re.findall(r"^\| (\d+(?:, \d+)*) ", DOCS.read_text(), re.MULTILINE)
    assert {int(number) for row in rows for number in row.split(",")} == PROMISES

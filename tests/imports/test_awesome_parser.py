"""The awesome-list parser: small lists in the styles of the well-known ones."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from backend_hub.imports.awesome import AwesomeList, Item, parse

U = "https://x.example"


def one(line: str) -> Item:
    """The single item of a one-line list."""
    items = parse(f"# T\n\n## S\n\n{line}\n").items
    assert len(items) == 1, items
    return items[0]


def rows(parsed: AwesomeList) -> list[tuple[str, str]]:
    return [(item.title, item.url) for item in parsed.items]


def reasons(parsed: AwesomeList) -> list[tuple[int, str]]:
    return [(skip.line, skip.reason) for skip in parsed.skipped]


# --- one item


@pytest.mark.parametrize(
    ("line", "title", "url", "description"),
    [
        (f"- [A b]({U}) - Desc.", "A b", U, "Desc."),
        (f"* [A]({U}): desc", "A", U, "desc"),
        (f"+ [A]({U}) – en", "A", U, "en"),
        (f"1. [A]({U}) — em", "A", U, "em"),
        (f"1) [A]({U})", "A", U, ""),
        (f"- **[A]({U})** - d", "A", U, "d"),
        (f"- **[A]({U}) - d**", "A", U, "d"),
        (f"* [**C++**: _Ray Tracing_]({U}) _[pdf]_", "C++: Ray Tracing", U, "_[pdf]_"),
        (f"- [`code`]({U}) - d `x` *y*", "code", U, "d `x` *y*"),
        (f"- [A \\* &amp; b]({U})", "A * & b", U, ""),
        (f"- [A]({U})) - surplus bracket", "A", U, "surplus bracket"),
        (f"- [A]({U}/x_(y)) - parens", "A", f"{U}/x_(y)", "parens"),
        (f"- [A](<{U}/a b>) - angle", "A", f"{U}/a%20b", "angle"),
        (f"- [A]({U}/a b.pdf) - space", "A", f"{U}/a%20b.pdf", "space"),
        (f"- [A] ({U}) - gap", "A", U, "gap"),
        ("- [A](//x.example/p)", "A", "https://x.example/p", ""),
        (f"- <{U}> - auto", U, U, "auto"),
        (f"- {U}/a_b_(c). Bare", f"{U}/a_b_(c)", f"{U}/a_b_(c)", "Bare"),
        (f"- Name: {U}", "Name", U, ""),
        ("- www.x.example", "www.x.example", "http://www.x.example", ""),
        (f"- 🔥 [A]({U}) - d", "A", U, "d"),
        (f"- :star: [A]({U})", "A", U, ""),
        (f"- [ ] [A]({U}) todo", "A", U, "todo"),
        (f"- [x] [A]({U})", "A", U, ""),
        (f"- \\[Demo] [A]({U})", "A", U, "\\[Demo] A"),
        (f'- "[A]({U})" - d', "A", U, "d"),
        (f"- ~~[A]({U})~~ gone", "A", U, "gone"),
        (f"- Foo by [Bar]({U}) in 2020", "Bar", U, "Foo by Bar in 2020"),
        (f"- **Foo** - a thing ([link]({U}))", "Foo", U, "a thing"),
        (f"- Foo: [website]({U})", "Foo", U, ""),
        (f"- [here]({U}): The Thing - it is", "The Thing", U, "it is"),
        (f"- [🔗]({U}) Foo - d", "Foo", U, "d"),
        (f"- You find it [here]({U}) now.", "You find it", U, "You find it here now."),
        (f"- [Documentation]({U}) - All of it.", "Documentation", U, "All of it."),
        (f"- [![Nice](logo.png)]({U}) - d", "Nice", U, "d"),
        (f"- [![](logo.png)]({U}) Foo - d", "Foo", U, "d"),
        (f"- ![icon](i.png) [A]({U}) d", "A", U, "d"),
        (f"- [![b](https://img.shields.io/1)](http://ci.example) [A]({U})", "A", U, ""),
        (f"- Foo [![s](https://img.shields.io/1)]({U}) - d", "Foo", U, "d"),
        (f'- <a href="{U}">A <b>b</b></a> - d <kbd>k</kbd><br>more', "A b", U, "d k more"),
        (f"- [A]({U}) - two\n  lines", "A", U, "two lines"),
        (f"- [A]({U})\n\n  Second.\n\n  > Third.", "A", U, "Second. Third."),
    ],
)
def test_item_styles(line: str, title: str, url: str, description: str) -> None:
    item = one(line)
    assert (item.title, item.url, item.description) == (title, url, description)
    assert (item.path, item.line, item.parent) == (("S",), 5, None)


def test_links_in_the_description_stay_and_are_listed() -> None:
    item = one(f"- [A]({U}) - On [B](http://b.example) ([Source Code](http://c.example)) `MIT`")
    assert item.description == "On [B](http://b.example) ([Source Code](http://c.example)) `MIT`"
    assert item.extra_links == (("B", "http://b.example"), ("Source Code", "http://c.example"))


@pytest.mark.parametrize("joiner", [" and ", ", ", " / ", " | ", " & ", " "])
def test_two_resources_in_one_item(joiner: str) -> None:
    parsed = parse(f"- [A]({U}){joiner}[B](http://b.example) - both")
    assert rows(parsed) == [("A", U), ("B", "http://b.example")]
    assert {item.description for item in parsed.items} == {"both"}


def test_a_side_of_the_resource_is_not_a_second_one() -> None:
    item = one(f"- [A]({U}), [docs](http://b.example) - d")
    assert item.extra_links == (("docs", "http://b.example"),)
    assert one(f"- Foo ([website]({U}), [docs](http://b.example)): d").title == "Foo"


def test_a_label_before_several_links() -> None:
    parsed = parse(f"- Python: [A]({U}), [B](http://b.example)")
    assert rows(parsed) == [("A", U), ("B", "http://b.example")]


def test_reference_links() -> None:
    text = f"- [A][r] - d\n- [B]\n- [C][none]\n\n[r]: {U}\n[b]: <http://b.example> 't'\n"
    parsed = parse(text + "[unused]: http://u.example\n")
    assert rows(parsed) == [("A", U), ("B", "http://b.example")]
    assert reasons(parsed) == [(3, "no link"), (7, "unused reference")]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("#section", "anchor link"),
        ("docs/x.md", "relative link"),
        ("/x", "relative link"),
        ("mailto:a@b.example", "unsupported URL: mailto"),
        ("ftp://x.example", "unsupported URL: ftp"),
        ("javascript:alert(1)", "unsupported URL: javascript"),
        ("data:text/html,x", "unsupported URL: data"),
        ("", "empty link"),
    ],
)
def test_unusable_links_are_reported(target: str, reason: str) -> None:
    parsed = parse(f"- [A]({target}) - d")
    assert parsed.items == ()
    assert reasons(parsed) == [(1, reason)]
    assert parsed.skipped[0].text == f"[A]({target})"


def test_badges_are_reported() -> None:
    parsed = parse(f"- [A]({U}) [![s](https://img.shields.io/1)](http://b.example)")
    assert rows(parsed) == [("A", U)]
    assert reasons(parsed) == [(1, "badge or image link")]


def test_limits_of_the_fields() -> None:
    item = one(f"- [{'t' * 500}]({U}) - {'d' * 15_000}")
    assert (len(item.title), len(item.description)) == (200, 10_000)


# --- nesting


def test_groups_and_parents() -> None:
    parsed = parse(
        "## P\n- Linux\n\t- [A](http://a.example)\n\t\t- [B](http://b.example)\n"
        "- macOS - Apple's.\n  1. Deep:\n     - [C](http://c.example)\n"
        "- [D](http://d.example)\n  - [E](http://e.example)\n  - more\n    - [F](http://f.example)\n"
    )
    assert [(i.title, i.path, i.parent, i.line) for i in parsed.items] == [
        ("A", ("P", "Linux"), None, 3),
        ("B", ("P", "Linux"), "A", 4),
        ("C", ("P", "macOS", "Deep"), None, 7),
        ("D", ("P",), None, 8),
        ("E", ("P",), "D", 9),
        ("F", ("P", "more"), "D", 11),
    ]


def test_deep_nesting_is_reported_not_lost() -> None:
    depth = 100
    text = "".join(f"{'  ' * i}- [n{i}](http://x.example/{i})\n" for i in range(depth))
    parsed = parse(text)
    kept = {i.url for i in parsed.items}
    reported = {m for s in parsed.skipped for m in re.findall(r"http[^)]*", s.text)}
    assert len(kept | reported) == depth
    assert {s.reason for s in parsed.skipped} == {"nested too deeply"}


# --- headings


def test_title_and_description() -> None:
    parsed = parse(
        "<!--lint disable-->\n[![x](y)](http://ci.example)\n\n"
        "# Awesome FastAPI | [![Awesome](https://awesome.re/b.svg)](http://a.example)\n\n"
        "> A *curated* list.\n\nMore.\n"
    )
    assert (parsed.title, parsed.description) == ("Awesome FastAPI", "A *curated* list.")


def test_title_falls_back() -> None:
    assert parse("- [A](http://a.example)", name="list.md").title == "list.md"
    assert parse("Awesome Setext\n===\n\nDesc here.\n").title == "Awesome Setext"
    html = '<h1 align="center"><img src="l.png"><br>Awesome Html</h1>\n'
    assert parse(html, name="n").title == "Awesome Html"
    assert parse("# ![Logo](l.png)\n", name="n").title == "Logo"


def test_heading_paths() -> None:
    heads = [
        "# T", "## 🚀 Deployment <a name='d'></a> [⬆](#top)", "#### :whale: Skipped ![b](b.svg)",
        "### Tools", "## Other", "### Tools", "# Second H1", "## C#",
    ]  # fmt: skip
    text = "".join(f"{h}\n- [A](http://a.example/{n})\n" for n, h in enumerate(heads))
    assert [i.path for i in parse(text).items] == [
        (),
        ("Deployment",),
        ("Deployment", "Skipped"),
        ("Deployment", "Tools"),
        ("Other",),
        ("Other", "Tools"),
        ("Second H1",),
        ("Second H1", "C#"),
    ]


def test_setext_and_html_headings() -> None:
    text = "T\n=\n\nA\n---\n- [a](http://a.example)\n\n<h3>B</h3>\n\n- [b](http://b.example)\n"
    assert [i.path for i in parse(text).items] == [("A",), ("A", "B")]


def test_a_linked_heading_is_a_topic_and_a_resource() -> None:
    parsed = parse(f"# T\n## S\n### [Topic]({U})\n- [A](http://a.example)\n")
    assert rows(parsed) == [("Topic", U), ("A", "http://a.example")]
    assert {i.path for i in parsed.items} == {("S", "Topic")}


@pytest.mark.parametrize("name", ["Contents", "Table of Contents", "Index", ":books: Contents:"])
def test_contents_are_skipped(name: str) -> None:
    text = f"# T\n## {name}\n- [A](#a)\n  - [B](http://x.example/#b)\n## A\n- [C](http://c.example)"
    parsed = parse(text)
    assert [(i.title, i.path) for i in parsed.items] == [("C", ("A",))]
    assert reasons(parsed) == [(3, "contents section"), (4, "contents section")]


def test_other_sections_are_kept() -> None:
    for name in ("Sponsors", "License", "Contributing", "Footnotes"):
        assert len(parse(f"## {name}\n- [A](http://a.example)").items) == 1


# --- prose, code, comments, front matter


def test_prose_is_skipped_with_its_line() -> None:
    text = f"# T\n## S\nSee [a]({U}) and\n[b](http://b.example) for {U}/bare.\n"
    parsed = parse(text)
    assert parsed.items == ()
    assert reasons(parsed) == [(3, "link in prose"), (4, "link in prose"), (4, "link in prose")]
    assert parse(f"# T\n## S\n[A]({U}) is a framework.").items == ()
    assert parse(f"# T\n## S\n[A]({U})").items == ()


def test_paragraphs_written_like_items() -> None:
    text = f"# T\n## S\n[A]({U}) - d\nwrapped\n\n[B](http://b.example)\n[C](http://c.example)\n"
    assert [(i.title, i.description) for i in parse(text).items] == [
        ("A", "d wrapped"),
        ("B", ""),
        ("C", ""),
    ]


def test_code_comments_and_front_matter_are_reported() -> None:
    text = (
        "---\ntitle: x\nurl: http://a.example\n---\n<!-- [b](http://b.example) -->\n"
        "- [A](http://c.example)\n\n```\ncurl http://d.example\n```\n\n---\n"
    )
    parsed = parse(text)
    assert [(i.title, i.line) for i in parsed.items] == [("A", 6)]
    assert reasons(parsed) == [(3, "front matter"), (5, "HTML comment"), (9, "link in code")]


def test_a_rule_at_the_top_is_not_front_matter() -> None:
    assert len(parse("---\n- [A](http://a.example)\n---\n").items) == 1


# --- tables


def test_table_rows() -> None:
    parsed = parse(
        "API | Description | Auth | HTTPS | Call\n|:---|---|---|:-:|---|\n"
        "| [Cat Facts](http://a.example) | Daily \\| cats | `key` | Yes "
        "| [Run](http://r.example) |\n"
        "| Dogs | Woof | No | | [Link](http://b.example) |\n"
        "| Birds | of [Europe](http://e.example) | | | http://c.example |\n"
    )
    assert [(i.title, i.url, i.line) for i in parsed.items] == [
        ("Cat Facts", "http://a.example", 3),
        ("Dogs", "http://b.example", 4),
        ("Birds", "http://c.example", 5),
    ]
    assert parsed.items[0].description == (
        "Daily | cats · Auth: `key` · HTTPS: Yes · Call: [Run](http://r.example)"
    )
    assert parsed.items[0].extra_links == (("Run", "http://r.example"),)
    assert parsed.items[1].description == "Woof · Auth: No"


def test_table_link_columns_and_logos() -> None:
    parsed = parse(
        "| Logo | Name | Repository |\n|-|-|-|\n"
        "| ![l](l.png) | Foo | [org/foo](https://github.com/org/foo) |\n"
        "| [![](l.png)](http://b.example) | Bar | text |\n"
    )
    assert rows(parsed) == [("Foo", "https://github.com/org/foo"), ("Bar", "http://b.example")]


def test_grids_are_an_item_a_cell() -> None:
    parsed = parse(
        "|[A](http://a.example)|[B](http://b.example)|\n|-|-|\n|[C](http://c.example)||\n"
    )
    assert [title for title, _ in rows(parsed)] == ["A", "B", "C"]


# --- raw HTML


def test_html_header_is_not_a_list() -> None:
    parsed = parse(
        '<div align="center">\n<h2><a href="http://a.example">Sponsor</a></h2>\n'
        '<table><tr><td><a href="http://b.example">B</a></td></tr></table>\n</div>\n'
        '<p>Try <a href="http://c.example">this</a></p>\n\n## S\n- [A](http://d.example)\n'
    )
    assert [(i.title, i.path) for i in parsed.items] == [("A", ("S",))]
    assert [r for _, r in reasons(parsed)] == ["HTML header or banner"] * 3


def test_html_lists_and_tables() -> None:
    parsed = parse(
        '## S\n\n<ul>\n<li><a href="http://a.example">A</a> - d\n'
        '<li>Group<ul><li><a href="http://b.example">B</a></li></ul>\n</ul>\n\n'
        '<table><tr><th>Name</th><th>Use</th></tr>\n<tr><td><a href="http://c.example">C</a></td>'
        "<td>x</td></tr></table>\n\n<ul>\n<li>\n\n"
        "[D](http://d.example) in Markdown\n\n</li>\n</ul>\n"
    )
    assert [(i.title, i.path, i.description, i.line) for i in parsed.items] == [
        ("A", ("S",), "d", 4),
        ("B", ("S", "Group"), "", 5),
        ("C", ("S",), "Use: x", 9),
        ("D", ("S",), "in Markdown", 14),
    ]


def test_html_lines_of_the_secret_knowledge_kind() -> None:
    parsed = parse(
        "# T\n#### CLI &nbsp;[<sup>[TOC]</sup>](#toc)\n##### :black_small_square: Shells\n\n<p>\n"
        "&nbsp;&nbsp;:small_orange_diamond: "
        '<a href="http://a.example"><b>Bash</b></a> - a shell.<br>\n'
        "&nbsp;&nbsp;:small_orange_diamond: "
        '<a href="http://b.example"><b>Zsh</b></a> - too.<br>\n</p>\n'
    )
    assert [(i.title, i.description, i.path, i.line) for i in parsed.items] == [
        ("Bash", "a shell.", ("CLI", "Shells"), 6),
        ("Zsh", "too.", ("CLI", "Shells"), 7),
    ]


def test_details_and_banners() -> None:
    parsed = parse(
        "## S\n<details><summary>More</summary>\n\n- [A](http://a.example)\n\n</details>\n\n"
        '<a href="http://b.example">\n<img src="b.svg">\n</a>\n'
    )
    assert rows(parsed) == [("A", "http://a.example")]
    assert [r for _, r in reasons(parsed)] == ["badge or image link"]


# --- hostile input


@pytest.mark.parametrize(
    "text",
    [
        "", "\n" * 100_000, "[" * 50_000, ("[" * 5_000 + "\n") * 5, "- " * 9_000 + "x",
        ">" * 3_000 + "\n", "- [a](http://b) " + "![" * 900 + "a" + "](b)" * 900,
        "*a **b " * 2_800, "<a " * 6_000, "- " + "<!--\n" * 2_000,
        "<div>\n<a " + "a" * 19_000 + ">",
        "- [a](http://b)" + ", [a](http://b)" * 1_200, "[a](http://x (" * 1_400,
        "- http://x" + "(" * 9_000 + ")" * 10_000, "<ul><li>" * 3_000,
        "|" * 1_400 + "\n" + "|-" * 1_400,
        "\0\x0b\x0c\u2028\ud800- [a](http://b)", "- [a](http://[)", "- [a](http://xn--\u2603%zz)",
    ],
)  # fmt: skip
def test_hostile_input_ends_quickly(text: str) -> None:
    start = time.process_time()
    parse(text)
    assert time.process_time() - start < 5


def test_time_grows_with_the_length() -> None:
    def seconds(count: int) -> float:
        text = "- g\n  - [a](http://b.example/x) - [c](http://d.example)\n" * count
        start = time.process_time()
        assert len(parse(text).items) == count
        return time.process_time() - start

    seconds(100)
    assert seconds(8_000) < 4 * 3 * max(seconds(2_000), 0.05)


def test_long_lines_are_skipped_and_lines_stay() -> None:
    parsed = parse(f"- [A]({U})\n- {'[a](http://b.example) ' * 1_000}\n- [B](http://b.example)\n")
    assert [(i.title, i.line) for i in parsed.items] == [("A", 1), ("B", 3)]
    assert reasons(parsed) == [(2, "line too long")]
    assert len(parsed.skipped[0].text) <= 200


def test_bom_crlf_and_nul() -> None:
    parsed = parse("\ufeff# T\r\n\r\n## S\r\n- [A\0](http://a.example) - d\r\n")
    assert parsed.title == "T"
    assert [(i.title, i.line, i.description) for i in parsed.items] == [("A\ufffd", 4, "d")]


# --- nothing is lost

_label = st.sampled_from(["Foo", "link", "docs", "a *b*", "`c`", "", "🔗", "![i](i.png)", "x_y"])
_target = st.builds(
    lambda scheme, n: f"{scheme}{n}",
    st.sampled_from(["http://h.example/", "https://h.example/?q=", "#", "x/", "mailto:a@", "//p/"]),
    st.integers(0, 999),
)
_link = st.builds(lambda label, target: f"[{label}]({target})", _label, _target)
_html_link = st.builds(lambda target: f'<a href="{target}">t</a>', _target)
_words = st.sampled_from(["Foo", " - ", " and ", ", ", "(", ")", "**", ": ", "text", "\\[", "🔥"])
_inline = st.lists(st.one_of(_link, _words, _words), min_size=1, max_size=6).map("".join)
_line = st.one_of(
    st.builds(
        lambda indent, mark, text: "  " * indent + mark + text,
        st.integers(0, 3),
        st.sampled_from(["- ", "* ", "1. ", "", "> ", "## ", "### ", "- [ ] ", "# "]),
        _inline,
    ),
    st.builds(lambda a, b: f"| a | b |\n|---|---|\n| {a} | {b} |\n", _inline, _inline),
    st.sampled_from(["", "", "## Contents", "<div>", "</div>", "- group", "<ul><li>", "---"]),
)
_document = st.lists(_line, max_size=15).map("\n".join)
_ORACLE = MarkdownIt("commonmark").enable("table")


def _expected(text: str) -> set[str]:
    tokens = _ORACLE.parse(text)
    links = [c for t in tokens for c in t.children or () if c.type == "link_open"]
    found = {str(c.attrs["href"]) for c in links}
    return {url for url in found if url.startswith("http")}


def _found(parsed: AwesomeList) -> set[str]:
    urls = {i.url for i in parsed.items} | {u for i in parsed.items for _, u in i.extra_links}
    for skip in parsed.skipped:
        urls.update(re.findall(r"https?://[^)\]\s\"]+", skip.text))
    return urls


@settings(max_examples=400, deadline=None)
@given(_document)
def test_no_link_is_lost(text: str) -> None:
    parsed = parse(text)
    found = _found(parsed)
    assert _expected(text) <= found
    written = set(re.findall(r"https?://[^)\]\s\"]+", text)) | {
        f"https:{target}" for target in re.findall(r"\]\((//[^)]+)", text)
    }
    assert found <= written
    total = text.count("\n") + 1
    assert all(1 <= i.line <= total and i.title for i in parsed.items)
    assert all(1 <= s.line <= total and len(s.text) <= 200 for s in parsed.skipped)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(_link, _html_link), min_size=1, max_size=5), st.sampled_from(["- ", ""]))
def test_every_written_link_is_accounted_for_on_its_line(links: list[str], mark: str) -> None:
    text = "## S\n\n" + "\n\n".join(mark + link for link in links)
    parsed = parse(text)
    lines = {i.line for i in parsed.items} | {s.line for s in parsed.skipped}
    assert lines == {3 + 2 * n for n in range(len(links))}


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="[]()<>!*_`|-# \n\\a:/.\"'&;=~+h", max_size=120))
def test_never_fails(text: str) -> None:
    parse(text)
    parse(text.replace("a", "<a href='http://x'>").replace("h", "http://h.example/"))

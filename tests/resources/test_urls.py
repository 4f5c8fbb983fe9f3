"""URLs of links: properties that hold for every URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_hub.resources.urls import MAX_URL_LENGTH, normalize_url, url_key

labels = st.text("abcxyz0189", min_size=1, max_size=8)
hosts = st.lists(labels, min_size=2, max_size=4).map(".".join).map(lambda host: f"{host}.org")
segments = st.text("abcXYZ019-_~%2F.é ", max_size=8).map(lambda s: s.replace(" ", "%20"))
paths = st.lists(segments, max_size=4).map("/".join)
queries = st.lists(st.tuples(labels, labels), max_size=3).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)


def normal(url: str) -> str | None:
    try:
        return normalize_url(url)
    except ValueError:
        return None


@given(st.text(max_size=200) | st.text(max_size=100).map(lambda rest: f"http://{rest}"))
def test_any_text_is_normalised_or_refused_with_a_reason(text: str) -> None:
    url = normal(text)
    assert url is None or (len(url) <= MAX_URL_LENGTH and normalize_url(url) == url)


@given(hosts, paths, queries)
def test_normalising_again_changes_nothing(host: str, path: str, query: str) -> None:
    url = normal(f"HTTP://{host.upper()}/{path}?{query}#x")
    if url is not None:
        assert normalize_url(url) == url
        assert url_key(normalize_url(url)) == url_key(url)


@given(hosts, st.lists(labels, min_size=1, max_size=3).map("/".join), queries)
def test_spellings_of_one_page_have_one_key(host: str, path: str, query: str) -> None:
    def key(url: str) -> str:
        return url_key(normalize_url(url))

    first = key(f"https://{host}/{path}?{query}")
    more = f"{query}&" if query else ""
    assert {
        key(f"https://{host.upper()}/{path}?{query}"),
        key(f"https://{host}:443/{path}?{query}"),
        key(f"http://{host}:80/{path}?{query}"),
        key(f"https://www.{host}/{path}?{query}"),
        key(f"https://{host}./{path}?{query}"),
        key(f"https://{host}/{path}/?{query}"),
        key(f"https://{host}/{path}?{query}#part"),
        key(f"https://{host}/{path}?{more}utm_source=x&fbclid="),
        key(f"https://{host}/{path}?{more}UTM_Campaign"),
    } == {first}
    assert key(f"https://{host}/{path}x?{query}") != first
    assert key(f"https://{host}:8443/{path}?{query}") != first


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://BÜCHER.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("http://[2001:DB8::1]:80/x", "http://[2001:db8::1]/x"),
        ("http://192.0.2.1/%7euser/./a/../b", "http://192.0.2.1/~user/b"),
        ("https://example.org/?q=%FF&utm_source=x", "https://example.org/?q=%FF"),
        ("https://example.org/#/page", "https://example.org/#/page"),
        ("https://example.org/#top", "https://example.org/"),
    ],
)
def test_the_form_that_is_kept(url: str, expected: str) -> None:
    assert normalize_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "ftp://example.org/",
        "//example.org/",
        "https://",
        "https:///path",
        "https://localhost/",
        "https://user:password@example.org/",
        "https://user@example.org/",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https://example.org:x/",
        "https://[::1/",
        "https://[zz]/",
        "https://a b.org/",
        "https://example.org/\nx",
        "https://example.org/" + "é" * 600,
        "https://example.org/" + "x" * 2_000,
        f"https://{'x' * 64}.org/",
    ],
)
def test_what_no_browser_should_open_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|is not"):
        normalize_url(url)

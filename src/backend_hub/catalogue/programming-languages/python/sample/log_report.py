"""Summarise a web server's access log, one line at a time."""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

LINE = re.compile(
    r'(?P<client>\S+) \[(?P<time>[^\]]+)\] '
    r'"(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[\d.]+" '
    r'(?P<status>\d{3}) (?P<millis>\d+)'
)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    status: int
    millis: int

    @property
    def failed(self) -> bool:
        return self.status >= 400


@dataclass(slots=True)
class Summary:
    durations: list[int] = field(default_factory=list)
    failures: int = 0

    def add(self, request: Request) -> None:
        self.durations.append(request.millis)
        self.failures += request.failed


def parse_line(line: str) -> Request | None:
    """Return the request on this line, or None when it is not one."""
    match = LINE.fullmatch(line.strip())
    if match is None:
        return None
    return Request(
        method=match["method"],
        path=urlsplit(match["target"]).path,  # /search?q=a and ?q=b are one page
        status=int(match["status"]),
        millis=int(match["millis"]),
    )


def parse(lines: Iterable[str]) -> Iterator[Request]:
    """Yield requests lazily, so that a huge file never has to fit in memory."""
    for number, line in enumerate(lines, start=1):
        request = parse_line(line)
        if request is None:
            print(f"line {number}: skipped, not a request", file=sys.stderr)
            continue
        yield request


def summarise(requests: Iterable[Request]) -> dict[str, Summary]:
    summaries: defaultdict[str, Summary] = defaultdict(Summary)
    for request in requests:
        summaries[f"{request.method} {request.path}"].add(request)
    return dict(summaries)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path, help="the access log to read")
    args = parser.parse_args()

    try:
        with args.log.open(encoding="utf-8") as lines:
            summaries = summarise(parse(lines))
    except OSError as error:
        print(f"cannot read {args.log}: {error.strerror}", file=sys.stderr)
        return 1

    print(f"{'endpoint':<16} {'hits':>4} {'failed':>6} {'median':>9} {'slowest':>9}")
    by_slowest = sorted(summaries.items(), key=lambda item: -max(item[1].durations))
    for endpoint, summary in by_slowest:
        print(
            f"{endpoint:<16} {len(summary.durations):>4} {summary.failures:>6} "
            f"{median(summary.durations):>6.1f} ms {max(summary.durations):>6} ms"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

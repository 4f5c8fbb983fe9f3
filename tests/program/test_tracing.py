"""Traces as a collector gets them: the started program sends to a real OTLP receiver."""

import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.program.conftest import Program
from tests.program.test_serve import add_link

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector:
    """Keeps the spans that it is sent (OTLP over HTTP, protobuf)."""

    def __init__(self) -> None:
        spans: list[Any] = []

        class Receive(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                message = ExportTraceServiceRequest.FromString(body)
                for resource in message.resource_spans:
                    for scope in resource.scope_spans:
                        spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.spans = spans
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()


def attributes(span: Any) -> dict[str, str]:
    return {entry.key: entry.value.string_value for entry in span.attributes}


def test_a_request_is_a_trace_of_its_statements_that_continues_the_callers(
    program: Program, collector: Collector
) -> None:
    program.environment["HUB_OTLP_ENDPOINT"] = f"http://127.0.0.1:{collector.server.server_port}"
    program.environment["HUB_LOG_FORMAT"] = "json"
    program.start()
    called = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert httpx.get(f"{program.url}/api/v1/questions", headers=called).status_code == 200
    add_link(program, "Traced")
    secret = "not-for-the-collector"
    httpx.get(f"{program.url}/oauth/authorize", params={"code_challenge": secret})
    assert program.stop(signal.SIGTERM) in {0, 128 + signal.SIGTERM}

    (listed,) = collector.named("GET /api/v1/questions")
    assert listed.trace_id.hex() == TRACE
    mine = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    statements = [attributes(span).get("db.query.text", "") for span in mine]
    assert any("FROM posts" in sql for sql in statements), "a prepared read"
    (written,) = collector.named("POST /api/v1/resources")
    beneath = [span for span in collector.spans if span.trace_id == written.trace_id]
    assert any(span.name == "INSERT" for span in beneath), "a session's statement"
    lines = [json.loads(line) for line in program.log.splitlines() if '"event":"request"' in line]
    by_route = {(line["method"], line["route"]): line for line in lines}
    assert by_route["GET", "/api/v1/questions"]["trace_id"] == TRACE
    posted = by_route["POST", "/api/v1/resources"]
    assert (posted["trace_id"], "parent_id" in posted) == (written.trace_id.hex(), False)
    everything = b"".join(span.SerializeToString() for span in collector.spans)
    assert secret.encode() not in everything
    assert b"Traced" not in everything, "a value went along with the SQL"


def test_a_collector_that_is_away_harms_nobody(program: Program) -> None:
    program.environment["HUB_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
    program.start()
    assert httpx.get(f"{program.url}/api/v1/questions").status_code == 200
    assert program.stop(signal.SIGTERM) in {0, 128 + signal.SIGTERM}

"""Where spans go: what comes with the extra `telemetry`."""

from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

API = "/api/v1/"


class _Discreet(SpanProcessor):
    """Takes the query off spans of pages and of OAuth, where it holds codes and tokens."""

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        attributes = span.attributes or {}
        path = str(attributes.get("url.path", API))
        if "url.query" in attributes and not path.startswith(API):
            span.set_attribute("url.query", "REDACTED")


def make_provider(endpoint: str) -> TracerProvider:
    """One that sends to a collector's address."""
    provider = TracerProvider(resource=Resource.create({"service.name": "backend-hub"}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(_Discreet())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def watch_calls(provider: TracerProvider) -> None:
    """A span for each call of an HTTP client."""
    for instrumentor in (HTTPXClientInstrumentor(), HTTPX2ClientInstrumentor()):
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(tracer_provider=provider)

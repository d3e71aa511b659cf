"""Traces by OpenTelemetry: spans of harvest runs, their pages, requests and queries. Off unless the
standard variables name an exporter.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

Value = str | int | float | bool

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_provider: Any = None  # of the SDK; None while nothing is traced
_tracer: Any = None


def configure_tracing(environment: Mapping[str, str]) -> str:
    """Export spans over HTTP if *environment* names an endpoint. Return why that is impossible, ""
    if it is not.

    OTEL_SDK_DISABLED=true and OTEL_TRACES_EXPORTER=none switch it off; the SDK reads all other
    variables itself.
    """
    if (
        not any(environment.get(name) for name in _ENDPOINTS)
        or environment.get("OTEL_TRACES_EXPORTER", "otlp") == "none"
        or environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    ):
        return ""
    try:
        sdk = import_module("opentelemetry.sdk.trace")
        exports = import_module("opentelemetry.sdk.trace.export")
        exporter = import_module(
            "opentelemetry.exporter.otlp.proto.http.trace_exporter"
        ).OTLPSpanExporter()
        resource = import_module("opentelemetry.sdk.resources").Resource.create(
            {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": "stocktake"}
        )
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed; pip install 'stocktake[tracing]', or unset {_ENDPOINTS[0]}"
    provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(exports.BatchSpanProcessor(exporter))
    use_provider(provider)
    return ""


def use_provider(provider: Any) -> None:
    """Trace with a TracerProvider of the SDK; None traces nothing."""
    global _provider, _tracer
    _provider, _tracer = provider, provider and provider.get_tracer("stocktake")


class Span:
    """A span that is open; one that is not traced ignores everything."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes, named as in https://opentelemetry.io/docs/specs/semconv/."""
        if self._span is not None:
            self._span.set_attributes(attributes)

    def fail(self, reason: str) -> None:
        if self._span is not None:
            self._span.set_status(import_module("opentelemetry.trace").StatusCode.ERROR, reason)


@contextmanager
def open_span(
    name: str, attributes: Mapping[str, Value], headers: Mapping[str, str] | None = None
) -> Iterator[Span]:
    """Open a span below the current one; it fails with an exception that leaves the block.

    With the *headers* of a request it is a server's span, and continues the trace of
    ``traceparent`` (https://www.w3.org/TR/trace-context/).
    """
    if _tracer is None:
        yield Span()
        return
    kinds = import_module("opentelemetry.trace").SpanKind
    context = (
        import_module("opentelemetry.propagate").extract(headers) if headers is not None else None
    )
    kind = kinds.INTERNAL if headers is None else kinds.SERVER
    with _tracer.start_as_current_span(name, context, kind, attributes) as span:
        yield Span(span)


def add_span(name: str, started: int, ended: int, attributes: Mapping[str, Value]) -> None:
    """Add a span below the current one of something that is over; times are nanoseconds since 1970."""
    if _tracer is not None:
        _tracer.start_span(name, start_time=started, attributes=attributes).end(ended)

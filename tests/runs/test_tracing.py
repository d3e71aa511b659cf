from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_server import QuietHandler, serving
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest_and_log
from harvesters.source import Source
from journal import tracing
from journal.errors import JournalError
from web.middleware import RequestMetrics, RequestMiddleware

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use_provider(provider)
    yield exporter
    tracing.use_provider(None)
    provider.shutdown()


def attributes(item: ReadableSpan | Event) -> Mapping[str, Any]:
    assert item.attributes is not None
    return item.attributes


def parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def test_a_run_is_a_span_with_one_below_it_for_each_page(
    source: Source, context: HarvestContext, spans: InMemorySpanExporter
) -> None:
    harvest_and_log(source, context)

    finished = spans.get_finished_spans()
    (run,) = [span for span in finished if span.name == "harvest projects"]
    pages = [span for span in finished if span.name == "harvest page"]
    assert [attributes(span)["stocktake.page"] for span in pages] == [1, 2, 3, 4]
    assert {parent(span) for span in pages} == {run.context.span_id}
    assert (
        attributes(run)["stocktake.run"], attributes(run)["stocktake.outcome"], attributes(run)["stocktake.new"],
    ) == (
        "projects.1", "committed", 10,
    )  # fmt: skip


def test_a_run_that_fails_is_a_failed_span(
    source: Source, context: HarvestContext, registry: Any, spans: InMemorySpanExporter
) -> None:
    registry.answer = lambda page: httpx.Response(404)

    with pytest.raises(Exception, match="404"):
        harvest_and_log(source, context)

    (run,) = [span for span in spans.get_finished_spans() if span.name == "harvest projects"]
    assert run.status.status_code.name == "ERROR"


@pytest.mark.parametrize(("status", "code"), [(200, "UNSET"), (404, "UNSET"), (503, "ERROR")])
async def test_a_request_is_a_span_in_the_trace_of_its_client(
    spans: InMemorySpanExporter, status: int, code: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with tracing.open_span("query", {"stocktake.internal": False}):
            await PlainTextResponse("", status)(scope, receive, send)

    transport = httpx.ASGITransport(
        RequestMiddleware(app, RequestMetrics(tracing.open_span, ["search"]))
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://traced.example") as client:
        await client.get("/search?q=private", headers={"traceparent": PARENT})

    query, request = spans.get_finished_spans()
    assert (query.name, parent(query)) == ("query", request.context.span_id)
    assert (request.name, request.kind.name, request.status.status_code.name) == (
        "GET /search",
        "SERVER",
        code,
    )
    assert f"{request.context.trace_id:032x}-{parent(request):016x}" in PARENT
    expected = {
        "http.request.method": "GET",
        "url.path": "/search",
        "http.route": "/search",
        "http.response.status_code": status,
    }
    assert dict(attributes(request)) == expected


def test_nothing_is_traced_unless_the_variables_ask_for_it() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}

    messages = [
        tracing.configure_tracing({}),
        tracing.configure_tracing({**endpoint, "OTEL_SDK_DISABLED": "true"}),
        tracing.configure_tracing({**endpoint, "OTEL_TRACES_EXPORTER": "none"}),
    ]

    with tracing.open_span("nothing", {}) as span:
        span.set({"a": 1})
        span.fail("for no reason")
    tracing.add_span("nothing", 1, 2, {})
    assert messages == ["", "", ""]
    assert tracing._tracer is None


def test_an_exception_leaves_the_block_as_it_was(spans: InMemorySpanExporter) -> None:
    with pytest.raises(JournalError), tracing.open_span("broken", {}):
        raise JournalError("no such entry")

    (span,) = spans.get_finished_spans()
    assert (span.status.status_code.name, attributes(span.events[0])["exception.message"]) == (
        "ERROR",
        "no such entry",
    )


def test_spans_are_sent_to_the_collector_that_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    received: list[tuple[str, bytes]] = []

    class CollectorHandler(QuietHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.body()))
            self.answer()

    with serving(CollectorHandler) as endpoint:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        try:
            message = tracing.configure_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
            with tracing.open_span("harvest projects", {}):
                pass
            tracing._provider.force_flush()
        finally:
            tracing.use_provider(None)

    ((path, body),) = received
    assert (message, path) == ("", "/v1/traces")
    assert b"harvest projects" in body
    assert b"stocktake" in body

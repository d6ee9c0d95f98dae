"""An OTLP/HTTP endpoint that keeps what it receives, or does not take it."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.network import free_port


@dataclass
class OtlpEndpoint:
    """What came, and with which headers."""

    port: int
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    hangs: bool = False
    ends: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> list[Span]:
        """All spans, in the order of their start."""
        spans = [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(spans, key=lambda span: span.start_time_unix_nano)

    def metric_names(self) -> set[str]:
        return {
            metric.name
            for request in self.metrics
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def resources(self) -> list[dict[str, Any]]:
        """What the senders say they are."""
        senders = [each.resource for request in self.traces for each in request.resource_spans]
        senders += [each.resource for request in self.metrics for each in request.resource_metrics]
        return [attributes(sender.attributes) for sender in senders]

    async def take(self, request: web.Request) -> web.Response:
        """Keep one request."""
        self.requests += 1
        if self.hangs:
            await self.ends.wait()
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if request.path == "/v1/traces":
            self.traces.append(ExportTraceServiceRequest.FromString(body))
        else:
            assert request.path == "/v1/metrics"
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))
        return web.Response(content_type="application/x-protobuf")


def attributes(pairs: Any) -> dict[str, Any]:
    """A span's or a resource's attributes."""

    def plain(pair: KeyValue) -> Any:
        return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")

    return {pair.key: plain(pair) for pair in pairs}


@asynccontextmanager
async def otlp_endpoint() -> AsyncIterator[OtlpEndpoint]:
    """Run one on 127.0.0.1."""
    endpoint = OtlpEndpoint(free_port())
    application = web.Application()
    application.router.add_post("/{path:.*}", endpoint.take)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", endpoint.port).start()
        yield endpoint
    finally:
        endpoint.ends.set()
        await runner.cleanup()

"""Sends spans and metrics to an OTLP/HTTP endpoint, from threads of its own.

Nothing here is ever waited for: queues are bounded and drop what is too much, and what the endpoint
has not taken shortly after the stop is lost.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

_QUIET_SECONDS = 60.0
_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.metrics._internal.export",
)


def metric_reader(endpoint: str, headers: Mapping[str, str]) -> MetricReader:
    """Return a reader that sends metrics every minute, or every ``OTEL_METRIC_EXPORT_INTERVAL``."""
    _quieten()
    exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", headers=dict(headers))
    return PeriodicExportingMetricReader(exporter)


def tracer_provider(
    endpoint: str, headers: Mapping[str, str], resource: Resource
) -> TracerProvider:
    """Return a provider that sends spans every few seconds (``OTEL_BSP_SCHEDULE_DELAY``)."""
    _quieten()
    exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", headers=dict(headers))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def within(seconds: float, *shutdowns: Callable[[], None]) -> None:
    """Run each of ``shutdowns`` in a thread of its own, and wait for all so long at most.

    The SDK's own shutdowns wait for 30 seconds for an endpoint that hangs. The threads are daemons:
    the process ends without them.
    """
    threads = [threading.Thread(target=shutdown, daemon=True) for shutdown in shutdowns]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


class _Sometimes(logging.Filter):
    """Lets a line through once a minute: an endpoint that is not there is worth no more."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is to be logged."""
        now = time.monotonic()
        if now - self._last.get(record.msg, -_QUIET_SECONDS) < _QUIET_SECONDS:
            return False
        self._last[record.msg] = now
        return True


def _quieten() -> None:
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, _Sometimes) for known in logger.filters):
            logger.addFilter(_Sometimes())

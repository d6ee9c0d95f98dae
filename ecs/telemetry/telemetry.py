"""Puts the pieces together: one instrumentation, read by ``/metrics`` and, if wanted, by OTLP."""

from collections.abc import Callable, Mapping

import prometheus_client
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.trace import NoOpTracerProvider, TracerProvider

import ecs
from ecs.telemetry import otlp
from ecs.telemetry.metrics import Metrics
from ecs.telemetry.tracing import Tracing

EXPOSITION_CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
_LAST_EXPORT_SECONDS = 2.0
"""How long the stop may wait for the endpoint to take what is left."""


class Telemetry:
    """The service's metrics and traces; one for the whole process, which ends with ``close``."""

    def __init__(
        self, *, endpoint: str = "", headers: Mapping[str, str] | None = None, instance: str = ""
    ) -> None:
        """Send to the OTLP/HTTP ``endpoint`` (its base URL, with these headers) if there is one."""
        resource = Resource.create(
            {
                SERVICE_NAME: "ecs",
                SERVICE_VERSION: ecs.__version__,
                SERVICE_INSTANCE_ID: instance,
            }
        )
        # One more line for each histogram, which nobody asks for.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)
        readers: list[MetricReader] = [
            PrometheusMetricReader(
                disable_target_info=True, scope_info_enabled=False, registry=self._registry
            )
        ]
        traces: TracerProvider = NoOpTracerProvider()
        self._shutdowns: list[Callable[[], None]] = []
        if endpoint:
            readers.append(otlp.metric_reader(endpoint, headers or {}))
            recording = otlp.tracer_provider(endpoint, headers or {}, resource)
            self._shutdowns.append(recording.shutdown)
            traces = recording
        meters = MeterProvider(
            readers,
            resource=resource,
            shutdown_on_exit=False,
            exemplar_filter=AlwaysOffExemplarFilter(),
        )
        self._shutdowns.append(meters.shutdown)
        self.metrics = Metrics(meters.get_meter("ecs"), self._registry)
        self.tracing = Tracing(traces.get_tracer("ecs"))

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return prometheus_client.generate_latest(self._registry)

    def close(self) -> None:
        """Send what is left, if the endpoint takes it within two seconds."""
        otlp.within(_LAST_EXPORT_SECONDS, *self._shutdowns)

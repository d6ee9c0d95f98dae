"""``GET /metrics``: for Prometheus."""

from ecs.request_handlers.base import EcsRequestHandler
from ecs.telemetry.telemetry import EXPOSITION_CONTENT_TYPE


class MetricsRequestHandler(EcsRequestHandler):
    """The service's metrics; nginx lets nobody in here."""

    def get(self) -> None:
        """Answer 200."""
        self.set_header("Content-Type", EXPOSITION_CONTENT_TYPE)
        self.write(self.services.telemetry.exposition())

"""``GET /v1.1/_noop``: what a request costs that does nothing."""

from ecs.request_handlers.base import EcsRequestHandler


class NoopRequestHandler(EcsRequestHandler):
    """Does nothing."""

    def get(self) -> None:
        """Answer 200."""
        self.write_json({})

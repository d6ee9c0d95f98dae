"""``GET /v1.1/_version``."""

import ecs
from ecs.request_handlers.base import EcsRequestHandler


class VersionRequestHandler(EcsRequestHandler):
    """Tells the service's version."""

    def get(self) -> None:
        """Answer 200 with ``{version, links.self.href}``."""
        self.write_json({"version": ecs.__version__})

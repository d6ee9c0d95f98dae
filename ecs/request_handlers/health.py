"""``GET /v1.1/_health``, ``/livez``, ``/readyz``: is the service well?"""

from typing import Any

from ecs.docker_remote_api.connection import format_version
from ecs.errors import EngineError, EngineUnreachableError, FieldError, InvalidRequestError
from ecs.request_handlers.base import EcsRequestHandler

_SERVICE_UNAVAILABLE = 503


class HealthRequestHandler(EcsRequestHandler):
    """The service's health; ``quick=false`` asks the engine too."""

    async def get(self) -> None:
        """Answer 200 when green, 503 when red, with ``{status, details, links.self.href}``."""
        quick = self.get_query_argument("quick", "true")
        if quick not in ("true", "false"):
            raise InvalidRequestError(
                "the query argument 'quick' must be 'true' or 'false'",
                (FieldError("/quick", "must be 'true' or 'false'"),),
            )
        if quick == "true":
            self.write_json({"status": "green", "details": {}})
            return
        engine = await self._engine()
        healthy = engine["connectivity"] == engine["api_version"] == "green"
        if not healthy:
            self.set_status(_SERVICE_UNAVAILABLE)
        self.write_json(
            {
                "status": "green" if healthy else "red",
                "details": {"docker_remote_api": engine},
            }
        )

    async def _engine(self) -> dict[str, Any]:
        try:
            version = await self.services.api.ping()
        except EngineUnreachableError as error:
            return {"connectivity": "red", "api_version": "red", "error": str(error)}
        except EngineError as error:
            return {"connectivity": "green", "api_version": "red", "error": str(error)}
        return {
            "connectivity": "green",
            "api_version": "green",
            "engine_api_version": format_version(version),
        }


class LivezRequestHandler(EcsRequestHandler):
    """Whether the process answers; depends on nothing."""

    def get(self) -> None:
        """Answer 200."""
        self.write({"status": "ok"})


class ReadyzRequestHandler(EcsRequestHandler):
    """Whether new work should be sent here."""

    def get(self) -> None:
        """Answer 200, or 503 while the engine was not met yet or the service drains."""
        if self.services.dispatcher.draining:
            self.set_status(_SERVICE_UNAVAILABLE)
            self.write({"status": "draining"})
        elif not self.services.engine_met:
            self.set_status(_SERVICE_UNAVAILABLE)
            self.write({"status": "waiting for the engine"})
        else:
            self.write({"status": "ok"})

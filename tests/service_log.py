"""Questions to a service's log."""

from collections.abc import Callable
from typing import Any

from tests.services import ECService


def logged(service: ECService, event: str, **fields: Any) -> list[dict[str, Any]]:
    """The lines about an event."""
    fields["event"] = event
    return [line for line in service.log_lines() if fields.items() <= line.items()]


def seen(service: ECService, count: int, event: str, **fields: Any) -> Callable[[], bool]:
    """Whether there are so many of them."""
    return lambda: len(logged(service, event, **fields)) >= count


def errors(service: ECService) -> list[dict[str, Any]]:
    """The lines that an operator is to worry about."""
    return [line for line in service.log_lines() if line["level"] == "error"]

"""Bodies of requests."""

import json
from typing import Any

from ecs.request_handlers.task_request import parse_task_request
from ecs.tasks.model import TaskRequest
from tests.unit import builders

GOOD: dict[str, Any] = {"docker_image": "busybox:latest", "cmd": ["true"]}


def body(**changes: Any) -> bytes:
    """A good body, with changes."""
    return json.dumps(GOOD | changes).encode()


def parse(data: bytes, **rules: Any) -> TaskRequest:
    """What the body asks for under the operator's rules."""
    return parse_task_request(data, builders.request_rules(**rules))

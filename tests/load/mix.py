"""What the load consists of: kinds of requests, their weights, and what a right answer to each is.

Knows nothing of who sends it, so that a kind can be tried against a service without a crowd.
"""

import base64
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.images import BUSYBOX

# What the check of a kind is given for a client that went away before the answer.
NO_ANSWER = 0

UNKNOWN_IMAGE = "ecs-load/no-such-image:latest"
# Bad in different ways, taken in turn.
BAD_BODIES = (
    b"{",
    b"[]",
    json.dumps({"docker_image": BUSYBOX}).encode(),
    json.dumps({"docker_image": BUSYBOX, "cmd": []}).encode(),
    json.dumps({"docker_image": BUSYBOX, "cmd": "echo hello"}).encode(),
    json.dumps({"docker_image": BUSYBOX, "cmd": ["true"], "surprise": 1}).encode(),
)

STDIN_BYTES = 300_000
# Beyond the 64 KiB that a stream has in memory, so that the spool is on disk; beyond the 1 MiB of
# an answer, so that it has head and tail.
LONG_OUTPUT_BYTES = 4 * 1024 * 1024
TIMEOUT_SECONDS = 0.5
# When the client that goes away does so; its task would run for LONG_SLEEP_SECONDS.
PATIENCE_SECONDS = 0.7
LONG_SLEEP_SECONDS = "600"

Check = Callable[[int, bytes], str | None]
"""Takes an answer's status and body; returns what is wrong with it, or None."""


@dataclass(frozen=True)
class Kind:
    """One kind of request."""

    name: str
    path: str
    check: Check
    bodies: tuple[bytes, ...] = ()
    """Of a POST, taken in turn; a GET has none."""
    accept: str = "application/json"
    patience_seconds: float = 120.0
    """The client goes away when it was sent nothing for so long."""
    is_task: bool = field(default=False)
    """Whether a container is made for it."""


@dataclass(frozen=True)
class Mix:
    """Kinds with their weights."""

    weights: Mapping[Kind, int]

    @property
    def task_share(self) -> float:
        """The part of all requests that runs a container."""
        tasks = sum(weight for kind, weight in self.weights.items() if kind.is_task)
        return tasks / sum(self.weights.values())

    def deal(self, seed: int) -> Iterator[tuple[Kind, bytes | None]]:
        """Yield requests for ever: a deck with each kind as often as it weighs, shuffled anew.

        So a short run has the right proportions too, and two runs have the same order.
        """
        rng = random.Random(seed)
        deck = [kind for kind, weight in self.weights.items() for _ in range(weight)]
        dealt = dict.fromkeys(self.weights, 0)
        while True:
            rng.shuffle(deck)
            for kind in deck:
                body = kind.bodies[dealt[kind] % len(kind.bodies)] if kind.bodies else None
                dealt[kind] += 1
                yield kind, body


def _task(*cmd: str, image: str = BUSYBOX, **fields: Any) -> tuple[bytes, ...]:
    return (json.dumps({"docker_image": image, "cmd": list(cmd), **fields}).encode(),)


def _with_status(expected: int, **expected_fields: Any) -> Check:
    def check(status: int, body: bytes) -> str | None:
        if status != expected:
            return f"status {status} instead of {expected}: {body[:200]!r}"
        document = json.loads(body)
        for name, value in expected_fields.items():
            if document.get(name) != value:
                return f"{name} is {document.get(name)!r} instead of {value!r}"
        return None

    return check


def _result(outcome: str = "exited", exit_code: int = 0, stdout: bytes = b"") -> Check:
    encoded = base64.b64encode(stdout).decode()
    return _with_status(201, outcome=outcome, exitCode=exit_code, stdout=encoded)


def _timed_out(status: int, body: bytes) -> str | None:
    return _with_status(201, outcome="timed_out")(status, body)


def _long_output(status: int, body: bytes) -> str | None:
    wrong = _with_status(201, outcome="exited", exitCode=0, truncated=True)(status, body)
    if wrong:
        return wrong
    total = json.loads(body)["output"]["stdout"]["total_bytes"]
    return None if total == LONG_OUTPUT_BYTES else f"{total} bytes of output were counted"


def _whole_output(status: int, body: bytes) -> str | None:
    if (status, len(body)) == (200, LONG_OUTPUT_BYTES):
        return None
    return f"status {status} and {len(body)} bytes"


def _events(status: int, body: bytes) -> str | None:
    if status != 200:
        return f"status {status}: {body[:200]!r}"
    last = body.decode().rstrip("\n").rpartition("\n\n")[2]
    fields = dict(line.partition(": ")[::2] for line in last.split("\n"))
    if fields.get("event") != "result":
        return f"the last event is {fields.get('event')!r}"
    exit_code = json.loads(fields["data"]).get("exitCode")
    return None if exit_code == 0 else f"the exit code is {exit_code!r}"


def _left_early(status: int, body: bytes) -> str | None:
    return None if status == NO_ANSWER else f"answered at once with {status}: {body[:200]!r}"


TASKS_PATH = "/v1.1/tasks"

NOOP = Kind("_noop", "/v1.1/_noop", _with_status(200))
VERSION = Kind("_version", "/v1.1/_version", _with_status(200))
QUICK_HEALTH = Kind("_health, quick", "/v1.1/_health?quick=true", _with_status(200, status="green"))
FULL_HEALTH = Kind("_health, full", "/v1.1/_health?quick=false", _with_status(200, status="green"))
TASK = Kind(
    "task", TASKS_PATH, _result(stdout=b"hello\n"), bodies=_task("echo", "hello"), is_task=True
)
UNKNOWN = Kind(
    "task, unknown image",
    TASKS_PATH,
    _with_status(404, code="image_not_found"),
    # Asking a registry would measure that registry.
    bodies=_task("true", image=UNKNOWN_IMAGE, pull="never"),
)
BAD_BODY = Kind(
    "task, bad body", TASKS_PATH, _with_status(400, code="invalid_request"), bodies=BAD_BODIES
)

# The whole mix of the stepped load, in percent: as many looks at the service as requests for tasks;
# of the latter a tenth names an unknown image, a tenth has a bad body.
STEPS_MIX = Mix(
    {
        NOOP: 20,
        VERSION: 10,
        QUICK_HEALTH: 10,
        FULL_HEALTH: 10,
        TASK: 40,
        UNKNOWN: 5,
        BAD_BODY: 5,
    }
)


def soak_mix(volume_image: str) -> Mix:
    """Return the mix of the soak: the stepped load's, and whatever else could leave something.

    ``volume_image`` is an image whose containers get a volume of their own.
    """
    stdin = base64.b64encode(bytes(STDIN_BYTES)).decode()
    long_output = _task("dd", "if=/dev/zero", "bs=64k", f"count={LONG_OUTPUT_BYTES // 65536}")
    extras = {
        Kind(
            "task, failing",
            TASKS_PATH,
            _result(exit_code=3),
            bodies=_task("sh", "-c", "echo oops >&2; exit 3"),
            is_task=True,
        ): 4,
        Kind(
            "task, not found",
            TASKS_PATH,
            _result("not_found", 127),
            bodies=_task("no-such-program"),
            is_task=True,
        ): 2,
        Kind(
            "task, stdin",
            TASKS_PATH,
            _result(stdout=b"%d\n" % STDIN_BYTES),
            bodies=_task("wc", "-c", stdin=stdin),
            is_task=True,
        ): 4,
        Kind("task, long output", TASKS_PATH, _long_output, bodies=long_output, is_task=True): 3,
        Kind(
            "task, long output as text",
            TASKS_PATH,
            _whole_output,
            bodies=long_output,
            accept="text/plain",
            is_task=True,
        ): 3,
        Kind(
            "task, event stream",
            TASKS_PATH,
            _events,
            bodies=_task("sh", "-c", "for i in 1 2 3; do echo $i; done"),
            accept="text/event-stream",
            is_task=True,
        ): 4,
        Kind(
            "task, timed out",
            TASKS_PATH,
            _timed_out,
            bodies=_task("sleep", LONG_SLEEP_SECONDS, timeout_seconds=TIMEOUT_SECONDS),
            is_task=True,
        ): 2,
        Kind(
            "task, client leaves",
            TASKS_PATH,
            _left_early,
            bodies=_task("sleep", LONG_SLEEP_SECONDS),
            patience_seconds=PATIENCE_SECONDS,
            is_task=True,
        ): 4,
        Kind(
            "task, with a volume",
            TASKS_PATH,
            _result(stdout=b"kept\n"),
            bodies=_task("sh", "-c", "echo kept >/data/f; cat /data/f", image=volume_image),
            is_task=True,
        ): 4,
    }
    return Mix({**STEPS_MIX.weights, **extras})

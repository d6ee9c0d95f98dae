"""The crowd: runs under locust, in a process of its own, since gevent changes all of Python's I/O.

`tests.load.generator` starts it. Every request, and the beginning of every stage, becomes a line of
JSON in the file --records (`tests.load.records` reads it).
"""

import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any, TextIO

import gevent
from locust import HttpUser, LoadTestShape, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.load.mix import NO_ANSWER, STEPS_MIX, soak_mix

SEED = 1
CONNECT_SECONDS = 10.0
# All users of a stage at once; locust warns of more.
SPAWNED_PER_SECOND = 100.0


class Pace:
    """Gives each request its turn, evenly spaced; locust's own pacing sends all users at once."""

    def __init__(self, requests_per_second: float) -> None:
        self._step_seconds = 1 / requests_per_second if requests_per_second else 0.0
        self._turn = 0.0

    def seconds_to_turn(self) -> float:
        now = time.monotonic()
        self._turn = max(self._turn + self._step_seconds, now)  # who is late catches nothing up
        return self._turn - now


class Crowd:
    """What all users share; made when locust has read the command line."""

    records: TextIO
    requests: Any
    pace: "Pace"
    stages: list[tuple[int, float]]


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--records", help="file for the records")
    parser.add_argument("--stages", help="users and seconds, as 1x30,2x30")
    parser.add_argument("--soak-volume-image", default="", help="take the soak's mix")
    parser.add_argument(
        "--requests-per-second", type=float, default=0.0, help="of all users; 0: no pause"
    )


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    options: Namespace = environment.parsed_options
    mix = soak_mix(options.soak_volume_image) if options.soak_volume_image else STEPS_MIX
    Crowd.records = Path(options.records).open("w", buffering=1, encoding="utf-8")  # noqa: SIM115
    Crowd.requests = mix.deal(SEED)
    pairs = [stage.split("x") for stage in options.stages.split(",")]
    Crowd.stages = [(int(users), float(seconds)) for users, seconds in pairs]
    Crowd.pace = Pace(options.requests_per_second)


def record(**fields: Any) -> None:
    print(json.dumps(fields), file=Crowd.records)


@events.request.add_listener
def on_request(
    name: str, response_time: float, start_time: float, exception: Exception | None, **_: Any
) -> None:
    record(
        name=name,
        begun=start_time,
        seconds=response_time / 1000,
        wrong=None if exception is None else str(exception),
    )


class Stages(LoadTestShape):
    """One number of users after another."""

    def __init__(self) -> None:
        super().__init__()
        self._stage = -1

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there should be now, or None at the end."""
        ends = 0.0
        for number, (users, seconds) in enumerate(Crowd.stages):
            ends += seconds
            if self.get_run_time() < ends:
                self._note(number, users)
                return users, SPAWNED_PER_SECOND
        self._note(len(Crowd.stages), 0)
        return None

    def _note(self, number: int, users: int) -> None:
        if number != self._stage:
            self._stage = number
            record(stage=number, users=users, time=time.time())


class Client(HttpUser):
    """Sends one request after another, over one kept connection."""

    def on_start(self) -> None:
        self.client.trust_env = False  # no proxy between it and the service
        gevent.sleep(self.wait_time())

    def wait_time(self) -> float:
        return Crowd.pace.seconds_to_turn()

    @task
    def next_request(self) -> None:
        kind, body = next(Crowd.requests)
        headers = {"Accept": kind.accept}
        if body is not None:
            headers["Content-Type"] = "application/json"
        with self.client.request(
            "GET" if body is None else "POST",
            kind.path,
            name=kind.name,
            data=body,
            headers=headers,
            timeout=(CONNECT_SECONDS, kind.patience_seconds),
            catch_response=True,
        ) as response:
            status = response.status_code or NO_ANSWER
            try:
                wrong = kind.check(status, response.content or b"")
            except (ValueError, LookupError) as error:
                wrong = f"the answer cannot be read: {error!r}"
            if wrong:
                response.failure(wrong)
            else:
                response.success()

"""The mix: its proportions, and what counts as a right answer."""

import base64
import json
from collections import Counter
from itertools import islice

import pytest

from tests.load import mix
from tests.load.mix import STEPS_MIX, Kind, soak_mix

SOAK_KINDS = {kind.name: kind for kind in soak_mix("volume:latest").weights}


def result(**fields: object) -> bytes:
    return json.dumps({"outcome": "exited", "exitCode": 0, "stdout": "", **fields}).encode()


def encoded(stdout: bytes) -> str:
    return base64.b64encode(stdout).decode()


def test_of_the_requests_for_tasks_a_tenth_names_an_unknown_image_and_a_tenth_is_bad() -> None:
    weights = {kind.name: weight for kind, weight in STEPS_MIX.weights.items()}
    posts = sum(weight for kind, weight in STEPS_MIX.weights.items() if kind.bodies)
    assert weights["task, unknown image"] / posts == 0.1
    assert weights["task, bad body"] / posts == 0.1


def test_every_hundred_requests_have_the_right_proportions() -> None:
    dealt = Counter(kind for kind, _ in islice(STEPS_MIX.deal(1), 300))
    assert dealt == {kind: 3 * weight for kind, weight in STEPS_MIX.weights.items()}


def test_bodies_are_taken_in_turn() -> None:
    dealt = islice(STEPS_MIX.deal(1), 200)
    bodies = [body for kind, body in dealt if kind is mix.BAD_BODY]
    assert bodies == [mix.BAD_BODIES[n % len(mix.BAD_BODIES)] for n in range(10)]


def test_the_part_that_runs_a_container_is_known() -> None:
    assert STEPS_MIX.task_share == 0.4


RIGHT = [
    (mix.NOOP, 200, b"{}"),
    (mix.FULL_HEALTH, 200, b'{"status": "green"}'),
    (mix.TASK, 201, result(stdout=encoded(b"hello\n"))),
    (mix.UNKNOWN, 404, b'{"code": "image_not_found"}'),
    (mix.BAD_BODY, 400, b'{"code": "invalid_request"}'),
    (SOAK_KINDS["task, timed out"], 201, result(outcome="timed_out", exitCode=137)),
    (SOAK_KINDS["task, client leaves"], 0, b""),
    (SOAK_KINDS["task, stdin"], 201, result(stdout=encoded(b"300000\n"))),
    (
        SOAK_KINDS["task, long output"],
        201,
        result(truncated=True, output={"stdout": {"total_bytes": mix.LONG_OUTPUT_BYTES}}),
        # The excerpt itself is the service's own tests' matter.
    ),
    (SOAK_KINDS["task, long output as text"], 200, bytes(mix.LONG_OUTPUT_BYTES)),
    (
        SOAK_KINDS["task, event stream"],
        200,
        b'id: 1\nevent: state\ndata: {}\n\nid: 2\nevent: result\ndata: {"exitCode": 0}\n\n',
    ),
]

WRONG = [
    (mix.NOOP, 500, b""),
    (mix.NOOP, 0, b""),
    (mix.FULL_HEALTH, 503, b'{"status": "red"}'),
    (mix.TASK, 201, result(stdout=encoded(b"hell\n"))),
    (mix.TASK, 201, result(stdout=encoded(b"hello\n"), exitCode=1)),
    (mix.TASK, 503, b'{"code": "queue_full"}'),
    (mix.UNKNOWN, 404, b'{"code": "not_found"}'),
    (mix.UNKNOWN, 502, b'{"code": "image_pull_failed"}'),
    (mix.BAD_BODY, 201, result()),
    (SOAK_KINDS["task, timed out"], 201, result(outcome="exited")),
    (SOAK_KINDS["task, client leaves"], 201, result()),
    (
        SOAK_KINDS["task, long output"],
        201,
        result(truncated=True, output={"stdout": {"total_bytes": 1}}),
    ),
    (SOAK_KINDS["task, long output as text"], 200, b"short"),
    (SOAK_KINDS["task, event stream"], 502, b"{}"),
    (SOAK_KINDS["task, event stream"], 200, b"id: 1\nevent: state\ndata: {}\n\n"),
    (SOAK_KINDS["task, event stream"], 200, b'event: result\ndata: {"exitCode": 1}\n\n'),
]


@pytest.mark.parametrize(("kind", "status", "body"), RIGHT)
def test_a_right_answer_is_right(kind: Kind, status: int, body: bytes) -> None:
    assert kind.check(status, body) is None


@pytest.mark.parametrize(("kind", "status", "body"), WRONG)
def test_a_wrong_answer_is_wrong(kind: Kind, status: int, body: bytes) -> None:
    assert kind.check(status, body)

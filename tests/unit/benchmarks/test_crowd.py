"""The closed loop, and what is made of it."""

import asyncio

import pytest

from benchmarks.burst import evaluated
from benchmarks.crowd import Crowd, run_crowd, turns_for
from benchmarks.raw import WrongAnswerError
from benchmarks.throughput import best_clients, sandboxed_share


async def test_clients_share_out_the_turns_and_wait_for_their_answers() -> None:
    at_once = most = 0

    async def run() -> str:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return "warm"

    crowd = await run_crowd(run, range(10), clients=3)

    assert most == 3
    assert crowd.starts == {"warm": 10}
    assert crowd.tasks_per_second == pytest.approx(10 / crowd.seconds_to_answers)


async def test_a_wrong_answer_is_no_task_done() -> None:
    outcomes = iter([WrongAnswerError("other bytes"), None, None])

    async def run() -> str:
        if error := next(outcomes):
            raise error
        return "cold"

    told = (await run_crowd(run, range(3), clients=1)).as_json()

    assert told["done"] == 2
    assert told["failures"] == ["WrongAnswerError('other bytes')"]
    assert told["starts"] == {"cold": 2}


def test_there_are_turns_until_the_time_is_over() -> None:
    assert list(turns_for(0)) == []
    assert next(turns_for(60), "over") is None


def burst(seconds: float, **starts: int) -> Crowd:
    crowd = Crowd(seconds, seconds)
    crowd.starts.update(starts)
    return crowd


def test_a_burst_is_told_in_units_of_docker_run_in_the_same_round() -> None:
    told = evaluated(
        {
            "warm": [burst(0.1, warm=20), burst(0.2, warm=10, sandboxed=10)],
            "sandboxed": [burst(1, sandboxed=20), burst(2, sandboxed=20)],
            "docker_run": [burst(2, **{"": 20}), burst(8, **{"": 20})],
        }
    )

    assert told["warm"]["pairwise_to_docker_run"] == pytest.approx((0.05 + 0.025) / 2)
    assert told["warm"]["hit_rate"] == 0.75
    assert told["sandboxed"]["pairwise_to_docker_run"] == pytest.approx((0.5 + 0.25) / 2)
    assert told["sandboxed"]["hit_rate"] == 1.0
    assert told["docker_run"]["median_seconds"] == 5


def test_the_best_number_of_clients_is_that_which_got_the_most_done() -> None:
    curve = [
        {"clients": clients, "ECS": {"tasks_per_second": rate}}
        for clients, rate in ((1, 4.0), (4, 12.0), (8, 11.0))
    ]

    assert best_clients(curve, "ECS") == 4


def test_the_share_of_sandboxed_tasks_is_of_those_done() -> None:
    assert sandboxed_share({"done": 40, "starts": {"sandboxed": 30, "cold": 10}}) == 0.75
    assert sandboxed_share({"done": 0, "starts": {}}) == 0.0

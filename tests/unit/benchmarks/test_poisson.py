"""Tasks that come at random, and what is told of them."""

import asyncio
import random
import statistics
from itertools import pairwise

import pytest

from benchmarks.poisson import Sent, arrivals, evaluated, open_loop
from benchmarks.raw import WrongAnswerError
from benchmarks.service import RefusedError


def test_as_many_tasks_come_as_the_rate_says_and_all_within_the_step() -> None:
    planned = arrivals(12.5, 20, random.Random(1))

    assert len(planned) == 250
    assert planned == sorted(planned)
    assert planned[0] > 0
    assert planned[-1] < 20


def test_the_same_seed_gives_the_same_moments() -> None:
    assert arrivals(5, 10, random.Random(7)) == arrivals(5, 10, random.Random(7))
    assert arrivals(5, 10, random.Random(7)) != arrivals(5, 10, random.Random(8))


def test_gaps_are_distributed_exponentially() -> None:
    planned = arrivals(100, 200, random.Random(3))
    gaps = [later - earlier for earlier, later in pairwise(planned)]

    # Of an exponential distribution: deviation equals mean, and 1/e of all exceed the mean.
    assert statistics.mean(gaps) == pytest.approx(0.01, rel=0.01)
    assert statistics.stdev(gaps) == pytest.approx(0.01, rel=0.03)
    assert sum(gap > 0.01 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.01)


async def test_a_late_answer_does_not_hold_the_next_task_back() -> None:
    begun = 0
    all_begun = asyncio.Event()

    async def wait_for_the_others() -> str:
        nonlocal begun
        begun += 1
        if begun == 3:
            all_begun.set()
        async with asyncio.timeout(30):
            await all_begun.wait()
        return "warm"

    sent = await open_loop([0.0, 0.01, 0.02], wait_for_the_others)

    assert [each.start for each in sent] == ["warm"] * 3
    assert not any(each.error for each in sent)


async def test_latency_counts_from_the_planned_moment() -> None:
    async def at_once() -> str:
        return "warm"

    (sent,) = await open_loop([-5.0], at_once)

    assert sent.late_seconds >= 5
    assert sent.seconds >= sent.late_seconds


async def test_a_refusal_is_told_by_its_status_and_anything_else_by_its_kind() -> None:
    outcomes = iter(
        [RefusedError(503, "full"), RefusedError(429, "yours"), WrongAnswerError("no"), None]
    )

    async def run() -> str:
        outcome = next(outcomes)
        if outcome:
            raise outcome
        return "cold"

    sent = await open_loop([0.0, 0.0, 0.0, 0.0], run)

    assert [each.error for each in sent] == ["503", "429", "WrongAnswerError", ""]


def test_hits_are_those_of_the_right_answers_that_found_something_ready() -> None:
    sent = [
        *[Sent(0.001, 0.010, start="warm")] * 3,
        Sent(0.002, 0.200, start="cold"),
        Sent(0.003, 9.000, error="503"),
        Sent(0.004, 9.000, error="503"),
        Sent(0.000, 9.000, error="429"),
    ]

    told = evaluated(sent, seconds=2, hit="warm")

    assert told["requests"] == 7
    assert told["offered_tasks_per_second"] == 3.5
    assert told["hit_rate"] == 0.75
    assert told["starts"] == {"warm": 3, "cold": 1}
    assert told["errors"] == {"503": 2, "429": 1}
    assert told["latency"]["p50_seconds"] == 0.010
    assert told["latency"]["p99_seconds"] == pytest.approx(0.1943)
    assert told["latest_seconds"] == 0.004


def test_of_errors_alone_there_is_neither_hit_rate_nor_latency() -> None:
    told = evaluated([Sent(0, 1, error="503")], seconds=1, hit="warm")

    assert told["hit_rate"] is None
    assert told["latency"] is None

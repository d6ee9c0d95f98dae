"""A closed loop: clients share out turns; each sends a task when it has its last one's answer."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field

import aiohttp

from benchmarks.raw import JsonObject, WrongAnswerError
from benchmarks.report import summary

RunTask = Callable[[], Awaitable[str]]
"""Runs a task, checks its answer, and tells how it started (``start``); ``""`` if nobody says."""

CLIENTS_PER_CORE = (1, 2, 4)
"""Among these is the best number: with less the cores idle, with more the engine is slower."""


@dataclass
class Crowd:
    """What became of the tasks that clients shared."""

    seconds_to_answers: float
    seconds_to_clean: float
    task_seconds: list[float] = field(default_factory=list)
    starts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def tasks_per_second(self) -> float:
        """A failed task is not counted as done."""
        return len(self.task_seconds) / self.seconds_to_answers

    def as_json(self) -> JsonObject:
        """Return the figures for the JSON file."""
        done = len(self.task_seconds)
        return {
            "tasks_per_second": self.tasks_per_second,
            "clean_tasks_per_second": done / self.seconds_to_clean,
            "seconds_to_answers": self.seconds_to_answers,
            "seconds_to_clean": self.seconds_to_clean,
            "done": done,
            "starts": dict(self.starts),
            "failures": self.failures,
            "task": summary(self.task_seconds).as_json() if done else None,
        }


async def run_crowd(run_task: RunTask, turns: Iterable[object], clients: int) -> Crowd:
    """Let clients run a task a turn until none is left; wrong answers, refusals are failures."""
    crowd = Crowd(0, 0)
    left = iter(turns)

    async def client() -> None:
        for _ in left:
            started = time.perf_counter()
            try:
                start = await run_task()
            except (WrongAnswerError, aiohttp.ClientError, TimeoutError) as error:
                crowd.failures.append(repr(error))
            else:
                crowd.task_seconds.append(time.perf_counter() - started)
                crowd.starts[start] += 1

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    crowd.seconds_to_answers = crowd.seconds_to_clean = time.perf_counter() - started
    return crowd


def turns_for(seconds: float) -> Iterator[None]:
    """Yield turns until so many seconds have passed."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield


def likely_best_clients() -> list[int]:
    """Return the numbers of clients among which the best one is looked for on this machine."""
    cores = os.cpu_count() or 1
    return [cores * each for each in CLIENTS_PER_CORE]

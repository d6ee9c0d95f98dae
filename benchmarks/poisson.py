"""Tasks that come at random: how many find something ready, and how long all of them wait.

First the rate that the service sustains, by clients that each wait for their answer. Then tasks
come at exponentially distributed gaps at 25, 50, 75 and 100 % of that rate, whether or not earlier
ones are answered. A task's latency counts from the moment at which it was to be sent, so that a
service that falls behind cannot hide it. By services of their own: one with sandboxes alone, one
with warm containers alone (ECS_SANDBOXES=0), so that every task costs its engine a whole start.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate

import aiohttp

from benchmarks.bench import Bench, Section
from benchmarks.crowd import RunTask, likely_best_clients, run_crowd, turns_for
from benchmarks.pools import READY, SANDBOXED, WARM, Pool, sandbox_pool, warm_pool
from benchmarks.raw import WrongAnswerError
from benchmarks.report import ms, percentile, table
from benchmarks.service import RefusedError

LOADS = (0.25, 0.5, 0.75, 1.0)
SEED = 1
PERCENTILES = (50, 95, 99)

STEP_SECONDS, QUICK_STEP_SECONDS = 15.0, 3.0
# A step is as long as it takes to send so many: fewer have no percentiles to speak of.
STEP_REQUESTS, QUICK_STEP_REQUESTS = 75, 10
# With each number of clients: what was ready before does not count, nor what is put off at first.
WARM_UP_SECONDS, QUICK_WARM_UP_SECONDS = 5.0, 2.0
RATE_SECONDS, QUICK_RATE_SECONDS = 8.0, 2.0


@dataclass(frozen=True)
class Sent:
    """What became of one task."""

    late_seconds: float
    """How much later than planned the client sent it: what the client, not the service, costs."""
    seconds: float
    """From the planned moment to the whole, checked answer, or to the error."""
    start: str = ""
    error: str = ""


async def measure(bench: Bench) -> Section:
    """Measure each service's rate, then its steps."""
    print(f"\n== poisson ==\n{__doc__.strip()}")
    section: Section = {"ready": READY, "seed": SEED}
    for name, pool_of in POOLS.items():
        async with pool_of(bench) as pool:
            section[name] = await _measure(bench, pool)
        _show(name, section[name])
    return section


@asynccontextmanager
async def _warm_alone(bench: Bench) -> AsyncIterator[Pool]:
    async with warm_pool(bench, {"ECS_SANDBOXES": "0"}) as pool:
        yield pool


POOLS: dict[str, Callable[[Bench], AbstractAsyncContextManager[Pool]]] = {
    SANDBOXED: sandbox_pool,
    WARM: _warm_alone,
}


async def _measure(bench: Bench, pool: Pool) -> Section:
    rates = await _sustained_rates(bench, pool)
    clients = max(rates, key=lambda each: rates[each])
    steps = []
    for number, load in enumerate(LOADS):
        rate = load * rates[clients]
        seconds = max(
            bench.sized(STEP_SECONDS, QUICK_STEP_SECONDS),
            bench.sized(STEP_REQUESTS, QUICK_STEP_REQUESTS) / rate,
        )
        planned = arrivals(rate, seconds, random.Random(SEED + number))
        await pool.full()
        sent = await open_loop(planned, pool.run)
        steps.append({"load": load, "seconds": seconds, **evaluated(sent, seconds, pool.start)})
    return {
        "clients": clients,
        "sustained_tasks_per_second": rates[clients],
        "tasks_per_second_by_clients": rates,
        "steps": steps,
    }


async def _sustained_rates(bench: Bench, pool: Pool) -> dict[int, float]:
    warm_up_seconds = bench.sized(WARM_UP_SECONDS, QUICK_WARM_UP_SECONDS)
    seconds = bench.sized(RATE_SECONDS, QUICK_RATE_SECONDS)
    rates = {}
    for clients in likely_best_clients():
        await pool.full()
        await run_crowd(pool.run, turns_for(warm_up_seconds), clients)
        crowd = await run_crowd(pool.run, turns_for(seconds), clients)
        rates[clients] = crowd.tasks_per_second
    return rates


def arrivals(per_second: float, seconds: float, chance: random.Random) -> list[float]:
    """Return when tasks come, in seconds from the begin: a Poisson process of known number.

    The gaps are exponentially distributed, and scaled by what they come to, so that
    ``per_second * seconds`` tasks come, to the nearest whole one: a step offers what it says.
    """
    gaps = [chance.expovariate(1.0) for _ in range(round(per_second * seconds) + 1)]
    scale = seconds / sum(gaps)
    return [moment * scale for moment in accumulate(gaps[:-1])]


async def open_loop(planned: Sequence[float], run_task: RunTask) -> list[Sent]:
    """Begin a task at each planned moment, in seconds from now; return when all have ended."""
    begun = time.perf_counter()

    async def one(moment: float) -> Sent:
        await asyncio.sleep(begun + moment - time.perf_counter())
        late_seconds = time.perf_counter() - begun - moment
        start = error = ""
        try:
            start = await run_task()
        except RefusedError as refused:
            error = str(refused.status)
        except (WrongAnswerError, aiohttp.ClientError, TimeoutError) as failure:
            error = type(failure).__name__
        return Sent(late_seconds, time.perf_counter() - begun - moment, start, error)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(moment)) for moment in planned]
    return [task.result() for task in tasks]


def evaluated(sent: Sequence[Sent], seconds: float, hit: str) -> Section:
    """Return what is told of a step of ``seconds``; a task that started as ``hit`` is a hit.

    Latencies and hit rate are of the right answers; ``errors`` counts the others, by status.
    """
    right = [each.seconds for each in sent if not each.error]
    starts = Counter(each.start for each in sent if not each.error)
    return {
        "requests": len(sent),
        "offered_tasks_per_second": len(sent) / seconds,
        "starts": dict(starts),
        "hit_rate": starts[hit] / len(right) if right else None,
        "latency": {f"p{each}_seconds": percentile(right, each) for each in PERCENTILES}
        if right
        else None,
        "errors": dict(Counter(each.error for each in sent if each.error)),
        "latest_seconds": max(each.late_seconds for each in sent),
    }


def _show(name: str, section: Section) -> None:
    header = ["load", "tasks/s", "seconds", "requests", "hit rate"]
    header += [*(f"p{each} ms" for each in PERCENTILES), "errors", "sent late ms"]
    title = (
        f"{name}, {READY} ready; sustained {section['sustained_tasks_per_second']:.2f} tasks a "
        f"second by {section['clients']} clients"
    )
    print(table(title, header, [_row(step) for step in section["steps"]]))


def _row(step: Section) -> list[str]:
    return [
        f"{step['load']:.0%}",
        f"{step['offered_tasks_per_second']:.2f}",
        f"{step['seconds']:.0f}",
        str(step["requests"]),
        "-" if step["hit_rate"] is None else f"{step['hit_rate']:.2f}",
        *(ms(value) for value in (step["latency"] or {}).values()),
        *("-" for _ in PERCENTILES if not step["latency"]),
        ", ".join(f"{kind}: {count}" for kind, count in step["errors"].items()) or "0",
        ms(step["latest_seconds"]),
    ]

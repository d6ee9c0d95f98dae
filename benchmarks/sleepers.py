"""100 tasks that sleep, sent at once: how soon all run, and how the service fares meanwhile.

Two probes go on all the time, one request after another: `_noop`, and a short task. The short task
stands in the same queue as the sleepers while these are being started.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from benchmarks.bench import DEFAULT_NETWORK, Bench, Section
from benchmarks.raw import JsonObject, WrongAnswerError
from benchmarks.report import mb, ms, summary, table
from benchmarks.service import TASK_NAME_PREFIX, decoded
from benchmarks.ways import STDOUT, ecs_request

SLEEPERS = 100
SLEEP_SECONDS = 60
QUICK_SLEEPERS = 20
QUICK_SLEEP_SECONDS = 20

# Between a sleep and the deadline of its run: the default deadline may be as short as the sleep.
RUN_MARGIN_SECONDS = 60
ENGINE_POLL_SECONDS = 0.25
NOOP_PAUSE_SECONDS = 0.05
SHORT_TASK_PAUSE_SECONDS = 0.5

# A finished probe: when it began (since the sleepers were sent), and how long it took.
Probe = tuple[float, float]


@dataclass
class Watch:
    """What was seen while the sleepers slept, on a clock that starts when they were sent."""

    started: float = field(default_factory=time.perf_counter)
    running: list[tuple[float, set[str]]] = field(default_factory=list)
    noops: list[Probe] = field(default_factory=list)
    short_tasks: list[Probe] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    first_end: float = float("inf")

    def elapsed(self) -> float:
        """Return the seconds since the sleepers were sent."""
        return time.perf_counter() - self.started


async def measure(bench: Bench) -> Section:
    """Send the sleepers, watch, wait for all of them."""
    print(f"\n== sleepers ==\n{__doc__.strip()}")
    count = bench.sized(SLEEPERS, QUICK_SLEEPERS)
    sleep_seconds = bench.sized(SLEEP_SECONDS, QUICK_SLEEP_SECONDS)
    before_bytes = bench.service.resident_bytes()
    bench.service.reset_peak()
    watch = Watch()
    slept = await _sleep_watched(bench, watch, count, sleep_seconds)
    section = {
        "sleepers": count,
        "sleep_seconds": sleep_seconds,
        "resident_before_bytes": before_bytes,
        "resident_peak_bytes": bench.service.peak_resident_bytes(),
        "seconds_to_last_answer": watch.elapsed(),
        **_evaluated(watch, slept, count),
    }
    clean = await bench.service.settle()
    section["seconds_to_clean"] = clean - watch.started
    _show(section)
    return section


async def _sleep_watched(
    bench: Bench, watch: Watch, count: int, sleep_seconds: int
) -> list[JsonObject]:
    request = ecs_request(bench.image, DEFAULT_NETWORK, ["sleep", str(sleep_seconds)])
    request["timeout_seconds"] = sleep_seconds + RUN_MARGIN_SECONDS
    async with asyncio.TaskGroup() as group:
        watchers = [
            group.create_task(watching)
            for watching in (_count_running(bench, watch), _probe(bench, watch))
        ]
        slept = await asyncio.gather(*(_sleep(bench, watch, request) for _ in range(count)))
        for watcher in watchers:
            watcher.cancel()
    return [answer for answer in slept if answer is not None]


async def _sleep(bench: Bench, watch: Watch, request: JsonObject) -> JsonObject | None:
    try:
        answer = await bench.service.post(request)
        decoded(answer).must_be(b"")
    except (WrongAnswerError, aiohttp.ClientError, TimeoutError) as error:
        watch.failures.append(repr(error))
        return None
    watch.first_end = min(watch.first_end, watch.elapsed())
    return answer


async def _count_running(bench: Bench, watch: Watch) -> None:
    while True:
        containers = await bench.service.containers()
        names = {
            name.removeprefix(TASK_NAME_PREFIX)
            for container in containers
            for name in container["Names"]
            if container["State"] == "running" and name.startswith(TASK_NAME_PREFIX)
        }
        watch.running.append((watch.elapsed(), names))
        await asyncio.sleep(ENGINE_POLL_SECONDS)


async def _probe(bench: Bench, watch: Watch) -> None:
    short = ecs_request(bench.image, DEFAULT_NETWORK)

    async def short_task() -> None:
        (await bench.service.run(short)).must_be(STDOUT)

    async with asyncio.TaskGroup() as group:
        noops = _repeat(watch, watch.noops, bench.service.noop, NOOP_PAUSE_SECONDS)
        shorts = _repeat(watch, watch.short_tasks, short_task, SHORT_TASK_PAUSE_SECONDS)
        group.create_task(noops)
        group.create_task(shorts)


async def _repeat(
    watch: Watch, probes: list[Probe], once: Callable[[], Awaitable[None]], pause_seconds: float
) -> None:
    while True:
        began = watch.elapsed()
        try:
            await once()
        except (WrongAnswerError, aiohttp.ClientError, TimeoutError) as error:
            watch.failures.append(repr(error))
        else:
            probes.append((began, watch.elapsed() - began))
        await asyncio.sleep(pause_seconds)


def _evaluated(watch: Watch, slept: list[JsonObject], count: int) -> Section:
    sleepers = {answer["id"] for answer in slept}
    seen = [(when, len(names & sleepers)) for when, names in watch.running]
    all_running = next((when for when, running in seen if running == count), None)
    return {
        "seconds_to_all_running": all_running,
        "peak_running": max(running for _, running in seen),
        "failures": watch.failures,
        "noop": _by_phase(watch, watch.noops, all_running),
        "short_task": _by_phase(watch, watch.short_tasks, all_running),
    }


def _by_phase(watch: Watch, probes: list[Probe], all_running: float | None) -> Section:
    up = watch.first_end if all_running is None else all_running
    phases = {
        "starting": [seconds for began, seconds in probes if began < up],
        "all running": [seconds for began, seconds in probes if up <= began < watch.first_end],
        "ending": [seconds for began, seconds in probes if began >= watch.first_end],
    }
    return {name: summary(seconds).as_json() for name, seconds in phases.items() if seconds}


def _show(section: Section) -> None:
    header = ["probe", "phase", "requests", "median ms", "p95 ms", "max ms"]
    rows = [
        [
            probe,
            phase,
            str(row["count"]),
            *(ms(row[key]) for key in ("median_seconds", "p95_seconds", "max_seconds")),
        ]
        for probe in ("noop", "short_task")
        for phase, row in section[probe].items()
    ]
    print(table(f"{section['sleepers']} x sleep {section['sleep_seconds']}", header, rows))
    all_running = section["seconds_to_all_running"]
    print(f"all running after: {'never' if all_running is None else f'{all_running:.1f} s'}")
    print(f"most running at once: {section['peak_running']}")
    print(f"last answer after: {section['seconds_to_last_answer']:.1f} s")
    print(f"nothing left after: {section['seconds_to_clean']:.1f} s")
    before, peak = mb(section["resident_before_bytes"]), mb(section["resident_peak_bytes"])
    print(f"service's memory: {before} MB before, {peak} MB at its peak")
    print(f"failures: {len(section['failures'])}", *section["failures"][:3], sep="\n  ")

"""How many short commands a second get done, by the number of clients that ask at once.

ECS has two figures: until every answer is there, and until the engine holds none of the tasks'
containers any more. A raw worker deletes before it takes its next task, so both are one there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from benchmarks.bench import NETWORKS, Bench, Network, Section
from benchmarks.bodies import hardened_body
from benchmarks.raw import JsonObject, WrongAnswerError
from benchmarks.report import ms, summary, table
from benchmarks.ways import STDOUT, ecs_request

CLIENT_COUNTS = (1, 2, 4, 8, 16, 32)
QUICK_CLIENT_COUNTS = (1, 4, 16)
CELL_TASKS = 60
QUICK_CELL_TASKS = 12
# A cell must be long enough that its crowd is more than a first wave.
MIN_TASKS_PER_CLIENT = 2
WARM_UP_TASKS = 8
WARM_UP_CLIENTS = 4

BATCH_TASKS = 200
QUICK_BATCH_TASKS = 40
BATCH_CLIENTS = 32
BATCH_REPEATS = 3
QUICK_BATCH_REPEATS = 1

ECS = "ECS"
RAW = "raw"

RunTask = Callable[[], Awaitable[None]]


@dataclass
class Crowd:
    """Clients that share a fixed number of tasks, and what became of these."""

    seconds_to_answers: float
    seconds_to_clean: float
    task_seconds: list[float]
    failures: list[str]

    def as_json(self) -> JsonObject:
        """Return the figures; a failed task is not counted as done."""
        done = len(self.task_seconds)
        return {
            "tasks_per_second": done / self.seconds_to_answers,
            "clean_tasks_per_second": done / self.seconds_to_clean,
            "seconds_to_answers": self.seconds_to_answers,
            "seconds_to_clean": self.seconds_to_clean,
            "done": done,
            "failures": self.failures,
            "task": summary(self.task_seconds).as_json() if done else None,
        }


class Throughput:
    """Runs crowds against the service and against the engine, on one network."""

    def __init__(self, bench: Bench, network: Network) -> None:
        """Prepare both ways."""
        self._bench = bench
        self._request = ecs_request(bench.image, network)
        self._body = hardened_body(bench, network)

    async def ecs(self, tasks: int, clients: int) -> Crowd:
        """Send tasks to the service, and wait until nothing is left of them."""
        started = time.perf_counter()
        crowd = await run_crowd(self._run_ecs, tasks, clients)
        crowd.seconds_to_clean = await self._bench.service.settle() - started
        return crowd

    async def raw(self, tasks: int, clients: int) -> Crowd:
        """Drive the engine with as many workers as the service would have clients."""
        return await run_crowd(self._run_raw, tasks, clients)

    async def _run_ecs(self) -> None:
        (await self._bench.service.run(self._request)).must_be(STDOUT)

    async def _run_raw(self) -> None:
        container_id, answer = await self._bench.engine.run(self._body)
        await self._bench.engine.delete(container_id)
        answer.must_be(STDOUT)


async def run_crowd(run_task: RunTask, tasks: int, clients: int) -> Crowd:
    """Let clients take tasks until none is left; wrong answers and refusals are failures."""
    task_seconds: list[float] = []
    failures: list[str] = []
    turns = iter(range(tasks))

    async def client() -> None:
        for _ in turns:
            started = time.perf_counter()
            try:
                await run_task()
            except (WrongAnswerError, aiohttp.ClientError, TimeoutError) as error:
                failures.append(repr(error))
            else:
                task_seconds.append(time.perf_counter() - started)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    seconds = time.perf_counter() - started
    return Crowd(seconds, seconds, task_seconds, failures)


async def measure(bench: Bench) -> Section:
    """Measure the curve over client counts, then the big batch, on every network."""
    print(f"\n== throughput ==\n{__doc__.strip()}")
    return {network: await _measure_on(bench, network) for network in bench.networks}


async def _measure_on(bench: Bench, network: Network) -> Section:
    throughput = Throughput(bench, network)
    await throughput.ecs(WARM_UP_TASKS, WARM_UP_CLIENTS)
    await throughput.raw(WARM_UP_TASKS, WARM_UP_CLIENTS)
    curve = await _curve(bench, throughput)
    _show_curve(network, curve)
    batch = await _batch(bench, throughput, curve)
    _show_batch(network, batch)
    return {"curve": curve, "batch": batch}


async def _curve(bench: Bench, throughput: Throughput) -> list[Section]:
    cells = []
    for clients in bench.sized(CLIENT_COUNTS, QUICK_CLIENT_COUNTS):
        tasks = max(bench.sized(CELL_TASKS, QUICK_CELL_TASKS), MIN_TASKS_PER_CLIENT * clients)
        ecs = await throughput.ecs(tasks, clients)
        raw = await throughput.raw(tasks, clients)
        cell = {"clients": clients, "tasks": tasks, ECS: ecs.as_json(), RAW: raw.as_json()}
        cells.append(cell)
    return cells


async def _batch(bench: Bench, throughput: Throughput, curve: list[Section]) -> Section:
    tasks = bench.sized(BATCH_TASKS, QUICK_BATCH_TASKS)
    best = max(curve, key=lambda cell: float(cell[RAW]["tasks_per_second"]))["clients"]
    runs = []
    for _ in range(bench.sized(BATCH_REPEATS, QUICK_BATCH_REPEATS)):
        ecs = await throughput.ecs(tasks, BATCH_CLIENTS)
        raw = await throughput.raw(tasks, best)
        runs.append({ECS: ecs.as_json(), RAW: raw.as_json()})
    return {"tasks": tasks, "ecs_clients": BATCH_CLIENTS, "raw_workers": best, "runs": runs}


def _show_curve(network: Network, curve: list[Section]) -> None:
    header = ["clients", "tasks", "ECS", "ECS, clean", "raw", "ECS/raw"]
    header += ["ECS median ms", "ECS p95 ms", "raw median ms", "ECS failures", "raw failures"]
    rows = [_curve_row(cell) for cell in curve]
    print(table(f"Tasks per second, {NETWORKS[network]}", header, rows))


def _curve_row(cell: Section) -> list[str]:
    ecs, raw = cell[ECS], cell[RAW]
    return [
        str(cell["clients"]),
        str(cell["tasks"]),
        *_rates(ecs, raw),
        _task_ms(ecs, "median_seconds"),
        _task_ms(ecs, "p95_seconds"),
        _task_ms(raw, "median_seconds"),
        str(len(ecs["failures"])),
        str(len(raw["failures"])),
    ]


def _rates(ecs: Section, raw: Section) -> list[str]:
    raw_rate = raw["tasks_per_second"]
    ratio = f"{ecs['tasks_per_second'] / raw_rate:.2f}" if raw_rate else "-"
    rates = [ecs["tasks_per_second"], ecs["clean_tasks_per_second"], raw_rate]
    return [*(f"{rate:.2f}" for rate in rates), ratio]


def _task_ms(cell: Section, key: str) -> str:
    return ms(cell["task"][key]) if cell["task"] else "-"


def _show_batch(network: Network, batch: Section) -> None:
    header = ["run", "ECS s", "ECS clean s", "raw s", "ECS", "ECS, clean", "raw", "ECS/raw"]
    header += ["ECS failures", "raw failures"]
    rows = [_batch_row(number, run) for number, run in enumerate(batch["runs"], start=1)]
    title = (
        f"{batch['tasks']} tasks, {NETWORKS[network]}: {batch['ecs_clients']} clients of ECS "
        f"beside {batch['raw_workers']} raw workers (their best above); tasks per second"
    )
    print(table(title, header, rows))


def _batch_row(number: int, run: Section) -> list[str]:
    ecs, raw = run[ECS], run[RAW]
    seconds = [ecs["seconds_to_answers"], ecs["seconds_to_clean"], raw["seconds_to_answers"]]
    failures = [str(len(ecs["failures"])), str(len(raw["failures"]))]
    return [str(number), *(f"{value:.1f}" for value in seconds), *_rates(ecs, raw), *failures]

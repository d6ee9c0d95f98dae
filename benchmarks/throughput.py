"""How many short commands a second get done, by the number of clients that ask at once.

ECS has two figures: until every answer is there, and until the engine holds none of the tasks'
containers any more. `docker run --rm` and a raw worker delete before they take their next task, so
both are one there.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.bench import NETWORKS, NO_NETWORK, Bench, Network, Section
from benchmarks.bodies import hardened_body
from benchmarks.crowd import Crowd, run_crowd
from benchmarks.pools import MOST_SANDBOXES, READY, SANDBOXED, sandbox_pool
from benchmarks.report import median_ratio, ms, table
from benchmarks.service import Service, decoded
from benchmarks.ways import STDOUT, DockerRunWay, ecs_request

CLIENT_COUNTS = (1, 2, 4, 8, 16, 32)
QUICK_CLIENT_COUNTS = (1, 4, 16)
CELL_TASKS = 32
QUICK_CELL_TASKS = 12
# A cell must be long enough that its crowd is more than a first wave.
MIN_TASKS_PER_CLIENT = 2
WARM_UP_TASKS = 20
WARM_UP_CLIENTS = 8

BATCH_TASKS = 80
QUICK_BATCH_TASKS = 20
BATCH_REPEATS = 3
QUICK_BATCH_REPEATS = 1

NOTE = f"""\
On the bridge ECS is a service of its own with {READY} sandboxes ready and at most
{MOST_SANDBOXES}: more than the tasks that it starts, and the answered ones that end, at a time. By
itself a pool grows into that, but under load by one a second at most; "sandboxed" is the share of
tasks that found one."""

ECS = "ECS"
DOCKER_RUN = DockerRunWay.name
RAW = "raw"


class Throughput:
    """Runs crowds against the service, `docker run --rm` and the engine, on one network."""

    def __init__(self, bench: Bench, service: Service, network: Network) -> None:
        """Prepare all ways."""
        self._bench = bench
        self._service = service
        self._request = ecs_request(bench.image, network)
        self._docker_run = DockerRunWay(bench, network)
        self._body = hardened_body(bench, network)

    async def ecs(self, tasks: int, clients: int) -> Crowd:
        """Send tasks to the service, and wait until nothing is left of them."""
        started = time.perf_counter()
        crowd = await run_crowd(self._run_ecs, range(tasks), clients)
        crowd.seconds_to_clean = await self._service.settle() - started
        return crowd

    async def docker_run(self, tasks: int, clients: int) -> Crowd:
        """Let workers start one command line client after another."""
        return await run_crowd(self._docker_run.run, range(tasks), clients)

    async def raw(self, tasks: int, clients: int) -> Crowd:
        """Drive the engine with as many workers as the service would have clients."""
        return await run_crowd(self._run_raw, range(tasks), clients)

    async def _run_ecs(self) -> str:
        answer = await self._service.post(self._request)
        decoded(answer).must_be(STDOUT)
        return str(answer["start"])

    async def _run_raw(self) -> str:
        container_id, answer = await self._bench.engine.run(self._body)
        await self._bench.engine.delete(container_id)
        answer.must_be(STDOUT)
        return ""


async def measure(bench: Bench) -> Section:
    """Measure the curve over client counts, then the big batch, on every network."""
    print(f"\n== throughput ==\n{__doc__.strip()}\n{NOTE}")
    section: Section = {}
    for network in bench.networks:
        async with _service(bench, network) as service:
            section[network] = await _measure_on(bench, service, network)
    return section


@asynccontextmanager
async def _service(bench: Bench, network: Network) -> AsyncIterator[Service]:
    if network == NO_NETWORK:  # no task joins a sandbox then
        yield bench.service
        return
    async with sandbox_pool(bench) as pool:
        await pool.full()
        yield pool.service


async def _measure_on(bench: Bench, service: Service, network: Network) -> Section:
    throughput = Throughput(bench, service, network)
    await throughput.ecs(WARM_UP_TASKS, WARM_UP_CLIENTS)
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
        docker_run = await throughput.docker_run(tasks, clients)
        raw = await throughput.raw(tasks, clients)
        cells.append(
            {
                "clients": clients,
                "tasks": tasks,
                ECS: ecs.as_json(),
                DOCKER_RUN: docker_run.as_json(),
                RAW: raw.as_json(),
            }
        )
    return cells


async def _batch(bench: Bench, throughput: Throughput, curve: list[Section]) -> Section:
    tasks = bench.sized(BATCH_TASKS, QUICK_BATCH_TASKS)
    clients, workers = best_clients(curve, ECS), best_clients(curve, DOCKER_RUN)
    ecs, docker_run = [], []
    for _ in range(bench.sized(BATCH_REPEATS, QUICK_BATCH_REPEATS)):
        ecs.append(await throughput.ecs(tasks, clients))
        docker_run.append(await throughput.docker_run(tasks, workers))
    return {
        "tasks": tasks,
        "ecs_clients": clients,
        "docker_run_workers": workers,
        ECS: [crowd.as_json() for crowd in ecs],
        DOCKER_RUN: [crowd.as_json() for crowd in docker_run],
        "pairwise_to_docker_run": median_ratio(_rates(ecs), _rates(docker_run)),
    }


def _rates(crowds: list[Crowd]) -> list[float]:
    return [crowd.tasks_per_second for crowd in crowds]


def best_clients(curve: list[Section], way: str) -> int:
    """Return the number of clients at which a way got the most done."""
    best = max(curve, key=lambda cell: float(cell[way]["tasks_per_second"]))
    return int(best["clients"])


def sandboxed_share(figures: Section) -> float:
    """Return how many of a crowd's tasks found a sandbox, from 0 to 1."""
    done = figures["done"]
    return figures["starts"].get(SANDBOXED, 0) / done if done else 0.0


def _show_curve(network: Network, curve: list[Section]) -> None:
    header = ["clients", "tasks", ECS, "ECS, clean", DOCKER_RUN, RAW, "ECS/run", "ECS/raw"]
    header += ["sandboxed", "ECS median ms", "ECS p95 ms", "failures: ECS", DOCKER_RUN, RAW]
    rows = [_curve_row(cell) for cell in curve]
    print(table(f"Tasks per second, {NETWORKS[network]}", header, rows))


def _curve_row(cell: Section) -> list[str]:
    ecs = cell[ECS]
    task = ecs["task"]
    return [
        str(cell["clients"]),
        str(cell["tasks"]),
        f"{ecs['tasks_per_second']:.2f}",
        f"{ecs['clean_tasks_per_second']:.2f}",
        *(f"{cell[way]['tasks_per_second']:.2f}" for way in (DOCKER_RUN, RAW)),
        *(_ratio(ecs, cell[way]) for way in (DOCKER_RUN, RAW)),
        f"{sandboxed_share(ecs):.2f}",
        *(ms(task[key]) if task else "-" for key in ("median_seconds", "p95_seconds")),
        *(str(len(cell[way]["failures"])) for way in (ECS, DOCKER_RUN, RAW)),
    ]


def _ratio(own: Section, other: Section) -> str:
    rate = other["tasks_per_second"]
    return f"{own['tasks_per_second'] / rate:.2f}" if rate else "-"


def _show_batch(network: Network, batch: Section) -> None:
    header = ["run", ECS, "ECS, clean", DOCKER_RUN, "ECS/run", "sandboxed", "failures: ECS"]
    rows = [
        [
            str(number),
            *(f"{ecs[f'{which}tasks_per_second']:.2f}" for which in ("", "clean_")),
            f"{docker_run['tasks_per_second']:.2f}",
            _ratio(ecs, docker_run),
            f"{sandboxed_share(ecs):.2f}",
            str(len(ecs["failures"])),
            str(len(docker_run["failures"])),
        ]
        for number, (ecs, docker_run) in enumerate(
            zip(batch[ECS], batch[DOCKER_RUN], strict=True), start=1
        )
    ]
    title = (
        f"{batch['tasks']} tasks, {NETWORKS[network]}: {batch['ecs_clients']} clients of ECS, "
        f"{batch['docker_run_workers']} workers of docker run --rm (their best above); tasks per "
        "second"
    )
    print(table(title, [*header, DOCKER_RUN], rows))
    print(f"ECS / docker run, median of the runs' ratios: {batch['pairwise_to_docker_run']:.2f}")

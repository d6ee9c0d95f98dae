"""Warm containers beside `docker run --rm`: one client's wait, the first byte, a burst of 20.

By a service of its own, which keeps WARM containers of the image; before each measurement the pool
is full and the engine still.
"""

import asyncio
import time

from benchmarks.bench import DEFAULT_NETWORK, Bench, Section
from benchmarks.raw import JsonObject
from benchmarks.report import median_ratio, ms, summary, table
from benchmarks.service import Service, decoded, running_service
from benchmarks.ways import COMMAND, STDOUT, DockerRunWay, ecs_request

WARM = 20
ROUNDS, QUICK_ROUNDS = 30, 3
WARM_UP_ROUNDS = 2
BURSTS, QUICK_BURSTS = 5, 1
FULL_LIMIT_SECONDS = 60.0
FULL_POLL_SECONDS = 0.05
WARM_NAME_PREFIX = "/ecs-warm-"

DOCKER_RUN_WORKERS = 4
"""At which `docker run --rm` does the most on 2 CPUs; see the section throughput."""

NOTE = """\
Whole HTTP requests over a keep-alive connection, in turn with `docker run --rm`. A burst is 20
requests at once, beside 20 `docker run --rm` by 4 workers. First byte: until the client has the
first event with output. Not in the clock: refilling the pool, awaited before each measurement."""


async def measure(bench: Bench) -> Section:
    """Measure with a pool that is full each time."""
    print(f"\n== warm ==\n{NOTE}")
    settings = {"ECS_WARM_IMAGES": f"{bench.image}={WARM}"}
    async with running_service(bench.engine, settings) as service:
        warm = _Warm(service, bench.image)
        section = {
            "containers": WARM,
            **await _alternating(warm, DockerRunWay(bench, DEFAULT_NETWORK), bench),
            "burst": await _bursts(warm, DockerRunWay(bench, DEFAULT_NETWORK), bench),
        }
    _show(section)
    return section


class _Warm:
    def __init__(self, service: Service, image: str) -> None:
        self._service = service
        self._request = ecs_request(image, DEFAULT_NETWORK)
        self.hits = self.misses = 0

    async def full(self) -> None:
        """Wait until the pool is full and nothing moves."""
        async with asyncio.timeout(FULL_LIMIT_SECONDS):
            while True:
                await self._service.settle()
                names = [
                    name for found in await self._service.containers() for name in found["Names"]
                ]
                if sum(name.startswith(WARM_NAME_PREFIX) for name in names) == WARM:
                    return
                await asyncio.sleep(FULL_POLL_SECONDS)

    async def timed(self) -> float:
        """Time one request to its whole, checked answer."""
        started = time.perf_counter()
        answer = await self._service.post(self._request)
        seconds = time.perf_counter() - started
        decoded(answer).must_be(STDOUT)
        self._count(answer)
        return seconds

    async def first_byte(self) -> float:
        """Time one request to its first output."""
        headers = {"Accept": "text/event-stream"}
        started = time.perf_counter()
        async with self._service.session.post(
            "v1.1/tasks", json=self._request, headers=headers
        ) as response:
            async for line in response.content:
                if line.startswith(b"event: stdout"):
                    seconds = time.perf_counter() - started
                    await response.read()
                    return seconds
        raise RuntimeError("the stream had no output")

    def _count(self, answer: JsonObject) -> None:
        is_hit = answer["start"] == "warm"
        self.hits += is_hit
        self.misses += not is_hit


async def _alternating(warm: _Warm, docker_run: DockerRunWay, bench: Bench) -> Section:
    samples: dict[str, list[float]] = {"warm": [], "first_byte": [], "docker_run": []}
    for number in range(WARM_UP_ROUNDS + bench.sized(ROUNDS, QUICK_ROUNDS)):
        measured = {}
        for name, timed in (
            ("warm", warm.timed),
            ("docker_run", docker_run.timed),
            ("first_byte", warm.first_byte),
        ):
            await warm.full()
            measured[name] = await timed()
        if number >= WARM_UP_ROUNDS:
            for name, seconds in measured.items():
                samples[name].append(seconds)
    own = {name: summary(seconds).as_json() for name, seconds in samples.items()}
    medians = {name: figures["median_seconds"] for name, figures in own.items()}
    return {
        **own,
        "median_to_docker_run": medians["warm"] / medians["docker_run"],
        "pairwise_to_docker_run": median_ratio(samples["warm"], samples["docker_run"]),
        "hits": warm.hits,
        "misses": warm.misses,
    }


async def _bursts(warm: _Warm, docker_run: DockerRunWay, bench: Bench) -> Section:
    before = warm.hits
    warm_seconds, docker_seconds = [], []
    for _ in range(bench.sized(BURSTS, QUICK_BURSTS)):
        await warm.full()
        warm_seconds.append(await _twenty(warm, WARM))
        await warm.full()
        docker_seconds.append(await _twenty(docker_run, DOCKER_RUN_WORKERS))
    return {
        "requests": WARM,
        "warm": summary(warm_seconds).as_json(),
        "docker_run": summary(docker_seconds).as_json(),
        "pairwise_to_docker_run": median_ratio(warm_seconds, docker_seconds),
        "hit_rate": (warm.hits - before) / (WARM * len(warm_seconds)),
    }


async def _twenty(way: "_Warm | DockerRunWay", workers: int) -> float:
    turns = asyncio.Semaphore(workers)

    async def one() -> None:
        async with turns:
            await way.timed()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(WARM)))
    return time.perf_counter() - started


def _show(section: Section) -> None:
    rows = [
        [name, *(ms(figures[f"{which}_seconds"]) for which in ("median", "p95", "min"))]
        for name, figures in (
            ("ECS, warm", section["warm"]),
            ("ECS, warm: first byte", section["first_byte"]),
            ("docker run --rm", section["docker_run"]),
            (f"ECS, warm: burst of {WARM}", section["burst"]["warm"]),
            (f"docker run --rm: {WARM} by {DOCKER_RUN_WORKERS}", section["burst"]["docker_run"]),
        )
    ]
    title = f"Warm containers ({WARM}, {' '.join(COMMAND)}), ms"
    print(table(title, ["what", "median", "p95", "min"], rows))
    print(
        f"warm / docker run: {section['median_to_docker_run']:.3f} (medians), "
        f"{section['pairwise_to_docker_run']:.3f} (pairs); hits {section['hits']}, misses "
        f"{section['misses']}; burst {section['burst']['pairwise_to_docker_run']:.3f}, hit rate "
        f"{section['burst']['hit_rate']:.2f}"
    )

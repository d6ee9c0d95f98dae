"""Warm containers beside `docker run --rm`: one client's wait, and when the first byte comes."""

import time

from benchmarks.bench import DEFAULT_NETWORK, Bench, Section
from benchmarks.pools import READY, Pool, warm_pool
from benchmarks.report import median_ratio, ms, summary, table
from benchmarks.ways import COMMAND, DockerRunWay

ROUNDS, QUICK_ROUNDS = 30, 3
WARM_UP_ROUNDS = 2

NOTE = f"""\
Whole HTTP requests over a keep-alive connection, in turn with `docker run --rm`, to a service of
its own with {READY} warm containers. First byte: until the client has the first event with output.
Not in the clock: refilling the pool, awaited before each measurement."""


async def measure(bench: Bench) -> Section:
    """Measure with a pool that is full each time."""
    print(f"\n== warm ==\n{NOTE}")
    async with warm_pool(bench) as pool:
        section = {
            "containers": READY,
            **await _alternating(_Warm(pool), DockerRunWay(bench, DEFAULT_NETWORK), bench),
        }
    _show(section)
    return section


class _Warm:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.hits = self.misses = 0

    async def timed(self) -> float:
        """Time one request to its whole, checked answer."""
        started = time.perf_counter()
        start = await self.pool.run()
        seconds = time.perf_counter() - started
        is_hit = start == self.pool.start
        self.hits += is_hit
        self.misses += not is_hit
        return seconds

    async def first_byte(self) -> float:
        """Time one request to its first output."""
        headers = {"Accept": "text/event-stream"}
        started = time.perf_counter()
        async with self.pool.service.session.post(
            "v1.1/tasks", json=self.pool.request, headers=headers
        ) as response:
            async for line in response.content:
                if line.startswith(b"event: stdout"):
                    seconds = time.perf_counter() - started
                    await response.read()
                    return seconds
        raise RuntimeError("the stream had no output")


async def _alternating(warm: _Warm, docker_run: DockerRunWay, bench: Bench) -> Section:
    samples: dict[str, list[float]] = {"warm": [], "first_byte": [], "docker_run": []}
    for number in range(WARM_UP_ROUNDS + bench.sized(ROUNDS, QUICK_ROUNDS)):
        measured = {}
        for name, timed in (
            ("warm", warm.timed),
            ("docker_run", docker_run.timed),
            ("first_byte", warm.first_byte),
        ):
            await warm.pool.full()
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


def _show(section: Section) -> None:
    rows = [
        [name, *(ms(figures[f"{which}_seconds"]) for which in ("median", "p95", "min"))]
        for name, figures in (
            ("ECS, warm", section["warm"]),
            ("ECS, warm: first byte", section["first_byte"]),
            ("docker run --rm", section["docker_run"]),
        )
    ]
    title = f"Warm containers ({READY}, {' '.join(COMMAND)}), ms"
    print(table(title, ["what", "median", "p95", "min"], rows))
    print(
        f"warm / docker run: {section['median_to_docker_run']:.3f} (medians), "
        f"{section['pairwise_to_docker_run']:.3f} (pairs); hits {section['hits']}, misses "
        f"{section['misses']}"
    )

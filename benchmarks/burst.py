"""As many tasks at once as a pool has ready, in units of what `docker run --rm` needs for as many.

`docker run` is given its best number of workers, found first. Then warm containers, sandboxes and
`docker run` take turns; each turn begins with full pools and a still engine.
"""

from collections.abc import Mapping

from benchmarks.bench import DEFAULT_NETWORK, Bench, Section
from benchmarks.crowd import Crowd, RunTask, likely_best_clients, run_crowd
from benchmarks.pools import READY, Pool, sandbox_pool, warm_pool
from benchmarks.raw import WrongAnswerError
from benchmarks.report import median_ratio, ms, summary, table
from benchmarks.ways import DockerRunWay

ROUNDS, QUICK_ROUNDS = 5, 1
# Of each number of workers of `docker run`, before one is chosen.
SEARCHES, QUICK_SEARCHES = 2, 1
DOCKER_RUN = "docker_run"


async def measure(bench: Bench) -> Section:
    """Find the best number of workers, then let the three take turns."""
    print(f"\n== burst ==\n{__doc__.strip()}")
    docker_run = DockerRunWay(bench, DEFAULT_NETWORK).run
    workers = await _best_workers(docker_run, bench.sized(SEARCHES, QUICK_SEARCHES))
    async with warm_pool(bench) as warm, sandbox_pool(bench) as sandboxes:
        pools = {pool.start: pool for pool in (warm, sandboxes)}
        crowds: dict[str, list[Crowd]] = {name: [] for name in (*pools, DOCKER_RUN)}
        for _ in range(bench.sized(ROUNDS, QUICK_ROUNDS)):
            for name, pool in pools.items():
                await _all_full(pools)
                crowds[name].append(await _burst(pool.run, READY))
            await _all_full(pools)
            crowds[DOCKER_RUN].append(await _burst(docker_run, workers))
    section = evaluated(crowds)
    section["docker_run_workers"] = workers
    _show(section)
    return section


async def _best_workers(docker_run: RunTask, searches: int) -> int:
    seconds = dict.fromkeys(likely_best_clients(), 0.0)
    for _ in range(searches):
        for workers in seconds:
            seconds[workers] += (await _burst(docker_run, workers)).seconds_to_answers
    return min(seconds, key=lambda workers: seconds[workers])


async def _all_full(pools: Mapping[str, Pool]) -> None:
    for pool in pools.values():
        await pool.full()


async def _burst(run_task: RunTask, clients: int) -> Crowd:
    crowd = await run_crowd(run_task, range(READY), clients)
    if crowd.failures:
        raise WrongAnswerError(f"{len(crowd.failures)} of a burst: {crowd.failures[0]}")
    return crowd


def evaluated(crowds: Mapping[str, list[Crowd]]) -> Section:
    """Return each pool's seconds, hit rate, and ratio to `docker run` in the same round."""
    seconds = {name: [each.seconds_to_answers for each in own] for name, own in crowds.items()}
    section: Section = {
        "requests": READY,
        DOCKER_RUN: summary(seconds[DOCKER_RUN]).as_json(),
    }
    for name in crowds.keys() - {DOCKER_RUN}:
        hits = sum(crowd.starts[name] for crowd in crowds[name])
        section[name] = {
            **summary(seconds[name]).as_json(),
            "pairwise_to_docker_run": median_ratio(seconds[name], seconds[DOCKER_RUN]),
            "hit_rate": hits / sum(crowd.starts.total() for crowd in crowds[name]),
        }
    return section


def _show(section: Section) -> None:
    names = {
        "warm": f"{READY} warm containers",
        "sandboxed": f"{READY} sandboxes",
        DOCKER_RUN: f"docker run --rm, {section['docker_run_workers']} workers",
    }
    rows = [
        [
            shown,
            *(ms(section[name][f"{which}_seconds"]) for which in ("median", "min", "max")),
            *(
                f"{section[name][key]:.3f}" if key in section[name] else "-"
                for key in ("pairwise_to_docker_run", "hit_rate")
            ),
        ]
        for name, shown in names.items()
    ]
    header = ["way", "median ms", "min", "max", "/ docker run (pairs)", "hit rate"]
    print(table(f"{READY} tasks at once", header, rows))

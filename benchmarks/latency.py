"""How long one client waits for the answer to one short command, way by way.

The ways take turns within each round, in an order that rotates from round to round, so that the
machine's drift meets all of them alike.
"""

from benchmarks.bench import NETWORKS, Bench, Network, Section
from benchmarks.bodies import engine_default_body, hardened_body
from benchmarks.report import median_ratio, ms, summary, table
from benchmarks.service import Service, running_service
from benchmarks.ways import DockerPyWay, DockerRunWay, EcsWay, RawWay, Way

MEASURED_ROUNDS = 30
QUICK_MEASURED_ROUNDS = 5
WARM_UP_ROUNDS = 3
QUICK_WARM_UP_ROUNDS = 1

ECS = "ECS"
ECS_COLD = "ECS, no sandboxes"
RAW = "raw API, same limits as ECS"
RAW_DEFAULTS = "raw API, engine's defaults"

NOTE = """\
The clock stops when the client holds the whole, checked answer. Not in the clock: deletion by ECS
(in the background) and by the raw sequence; both are awaited before the next measurement, as is
whatever ECS makes ready for later tasks. `docker run --rm` and docker-py delete before they return.
"No sandboxes": a service of its own with ECS_SANDBOXES=0.
"Same limits as ECS": the raw container is created with the service's own HostConfig (memory, pids,
CPUs, capabilities, no-new-privileges, ulimits, log driver)."""

Samples = dict[str, list[float]]


async def measure(bench: Bench) -> Section:
    """Measure every way on every network."""
    print(f"\n== latency ==\n{NOTE}")
    settings = {**bench.settings, "ECS_SANDBOXES": "0"}
    async with running_service(bench.engine, settings) as cold:
        return {network: await _measure_on(bench, cold, network) for network in bench.networks}


async def _measure_on(bench: Bench, cold: Service, network: Network) -> Section:
    ways = _ways(bench, cold, network)
    await _rounds(ways, bench.sized(WARM_UP_ROUNDS, QUICK_WARM_UP_ROUNDS))
    samples = await _rounds(ways, bench.sized(MEASURED_ROUNDS, QUICK_MEASURED_ROUNDS))
    section = _evaluated(samples)
    _show(network, section)
    return section


def _ways(bench: Bench, cold: Service, network: Network) -> list[Way]:
    return [
        EcsWay(ECS, bench.service, bench.image, network),
        EcsWay(ECS_COLD, cold, bench.image, network),
        DockerRunWay(bench, network),
        DockerPyWay(bench, network),
        RawWay(RAW, bench, hardened_body(bench, network)),
        RawWay(RAW_DEFAULTS, bench, engine_default_body(bench, network)),
    ]


async def _rounds(ways: list[Way], count: int) -> Samples:
    samples: Samples = {way.name: [] for way in ways}
    for number in range(count):
        first = number % len(ways)
        for way in ways[first:] + ways[:first]:
            samples[way.name].append(await way.timed())
    return samples


def _evaluated(samples: Samples) -> Section:
    return {name: _row(seconds, samples) for name, seconds in samples.items()}


def _row(seconds: list[float], samples: Samples) -> Section:
    own = summary(seconds)
    docker_run = samples[DockerRunWay.name]
    return {
        **own.as_json(),
        "median_to_raw": own.median_seconds / summary(samples[RAW]).median_seconds,
        "median_to_docker_run": own.median_seconds / summary(docker_run).median_seconds,
        "pairwise_to_raw": median_ratio(seconds, samples[RAW]),
        "pairwise_to_docker_run": median_ratio(seconds, docker_run),
        "samples_seconds": seconds,
    }


def _show(network: Network, section: Section) -> None:
    header = ["way", "median", "p95", "min", "/raw", "/run", "pairs/raw", "pairs/run"]
    rows = [
        [
            name,
            ms(row["median_seconds"]),
            ms(row["p95_seconds"]),
            ms(row["min_seconds"]),
            *(f"{row[key]:.3f}" for key in RATIOS),
        ]
        for name, row in section.items()
    ]
    runs = next(iter(section.values()))["count"]
    print(table(f"Latency in ms, {NETWORKS[network]}, {runs} runs each", header, rows))


RATIOS = ["median_to_raw", "median_to_docker_run", "pairwise_to_raw", "pairwise_to_docker_run"]

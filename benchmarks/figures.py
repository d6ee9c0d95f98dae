"""The figures of a run that the API's documentation shows: the content of docs/performance.json."""

from benchmarks.bench import DEFAULT_NETWORK, NETWORKS, Section
from benchmarks.output import OUTPUT_BYTES
from benchmarks.throughput import DOCKER_RUN, ECS, RAW

MACHINE = (
    "cores",
    "memory_gib",
    "operating_system",
    "kernel",
    "engine",
    "runtime",
    "storage_driver",
    "cgroup_version",
    "ecs",
)
RATE_NAMES = {
    ECS: "ecs_tasks_per_second",
    DOCKER_RUN: "docker_run_tasks_per_second",
    RAW: "raw_tasks_per_second",
}


def published_figures(run: Section) -> Section:
    """Return the date, the machine, and the figures of latency, throughput and output."""
    return {
        "date": run["facts"]["date"].split()[0],
        "machine": {name: run["facts"][name] for name in MACHINE},
        "latency": _latency(run["latency"]),
        "throughput": _throughput(run["throughput"]),
        "output": _output(run["output"]),
    }


def _latency(latency: Section) -> Section:
    ways = latency[DEFAULT_NETWORK]
    return {
        "runs": next(iter(ways.values()))["count"],
        "ways": [
            {"way": way, **{network: _way(latency[network][way]) for network in NETWORKS}}
            for way in ways
        ],
    }


def _way(row: Section) -> Section:
    return {
        "median_seconds": round(row["median_seconds"], 4),
        "p95_seconds": round(row["p95_seconds"], 4),
        "median_to_raw": round(row["median_to_raw"], 2),
    }


def _throughput(throughput: Section) -> list[Section]:
    curves = [throughput[network]["curve"] for network in NETWORKS]
    return [
        {
            "clients": cells[0]["clients"],
            **{
                network: {
                    name: round(cell[way]["tasks_per_second"], 2)
                    for way, name in RATE_NAMES.items()
                }
                for network, cell in zip(NETWORKS, cells, strict=True)
            },
        }
        for cells in zip(*curves, strict=True)
    ]


def _output(output: Section) -> Section:
    return {
        "bytes": OUTPUT_BYTES,
        "runs": next(iter(output.values()))["count"],
        "ways": [_drain(way, row) for way, row in output.items()],
    }


def _drain(way: str, row: Section) -> Section:
    seconds = {"way": way, "median_seconds": round(row["median_seconds"], 3)}
    if not way.startswith(ECS):
        return seconds
    return {**seconds, "service_growth_bytes": row["service_growth_bytes"]}

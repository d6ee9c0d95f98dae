"""Puts the figures of runs into the documents, so that nobody types them.

Run as `python -m benchmarks.publish build/bench.json build/bench-cold.json docs`: a run of
`latency warm output throughput`, and one of `--setting ECS_SANDBOXES=0 latency` right after it. It
writes docs/performance.json, which the documentation of the API shows, and the tables of
docs/performance.md.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bench import DEFAULT_NETWORK, NETWORKS, NO_NETWORK, Section
from benchmarks.output import OUTPUT_BYTES
from benchmarks.report import MB_BYTES, MS_PER_SECOND
from benchmarks.throughput import ECS, RAW
from benchmarks.ways import EcsWay

DOCUMENT = "performance.md"
FIGURES = "performance.json"
COLD = f"{EcsWay.name}, no sandboxes"
FACTS = (
    *("cores", "memory_gib", "operating_system", "kernel", "engine", "runtime"),
    *("storage_driver", "cgroup_version", "ecs"),
)
WAY_FIGURES = ("median_seconds", "p95_seconds", "median_to_raw", "median_to_docker_run")


def publish(run: Section, cold: Section, docs: Path) -> None:
    """Write the figures of a run, and of one without sandboxes, into ``docs``.

    Raises:
        ValueError: the document has no place for a table.
    """
    figures = published(run, cold)
    (docs / FIGURES).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    document = docs / DOCUMENT
    text = document.read_text(encoding="utf-8")
    for name, table in tables(figures).items():
        text = with_table(text, name, table)
    document.write_text(text, encoding="utf-8")


def published(run: Section, cold: Section) -> Section:
    """Return the figures that are published, of all that were measured."""
    return {
        "date": run["facts"]["date"].split()[0],
        "machine": {name: run["facts"][name] for name in FACTS},
        "latency": _latency(run["latency"], cold["latency"]),
        "warm": _warm(run["warm"]),
        "throughput": list(_throughput(run["throughput"])),
        "output": _output(run["output"]),
    }


def tables(figures: Section) -> dict[str, str]:
    """Return the Markdown table of each part of the document."""
    return {
        "latency": _latency_table(figures["latency"]),
        "warm": _warm_table(figures["warm"]),
        "throughput": _throughput_table(figures["throughput"]),
        "output": _output_table(figures["output"]),
    }


def with_table(document: str, name: str, table: str) -> str:
    """Return the document with the table between its markers.

    Raises:
        ValueError: it has none.
    """
    begin, end = f"<!-- begin: benchmarks.publish, {name} -->\n", "<!-- end -->"
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{DOCUMENT} has no lines {begin.strip()!r} and {end!r}")
    return f"{before}{begin}{table}\n{end}{after}"


def _latency(latency: Section, cold: Section) -> Section:
    ways = [(name, latency, name) for name in latency[DEFAULT_NETWORK]]
    ways.insert(1, (COLD, cold, EcsWay.name))
    return {
        "runs": latency[DEFAULT_NETWORK][EcsWay.name]["count"],
        "ways": [
            {
                "way": shown,
                **{
                    network: {key: round(of[network][name][key], 4) for key in WAY_FIGURES}
                    for network in NETWORKS
                },
            }
            for shown, of, name in ways
        ],
    }


def _warm(warm: Section) -> Section:
    burst = warm["burst"]
    return {
        "containers": warm["containers"],
        "runs": warm["warm"]["count"],
        "median_seconds": round(warm["warm"]["median_seconds"], 4),
        "p95_seconds": round(warm["warm"]["p95_seconds"], 4),
        "first_byte_median_seconds": round(warm["first_byte"]["median_seconds"], 4),
        "median_to_docker_run": round(warm["median_to_docker_run"], 3),
        "hit_rate": round(warm["hits"] / (warm["hits"] + warm["misses"]), 3),
        "burst_requests": burst["requests"],
        "burst_median_seconds": round(burst["warm"]["median_seconds"], 3),
        "burst_to_docker_run": round(burst["pairwise_to_docker_run"], 3),
        "burst_hit_rate": round(burst["hit_rate"], 3),
    }


def _throughput(throughput: Section) -> Iterator[Section]:
    for cells in zip(*(throughput[network]["curve"] for network in NETWORKS), strict=True):
        yield {
            "clients": cells[0]["clients"],
            **{
                network: {
                    "ecs_tasks_per_second": round(cell[ECS]["tasks_per_second"], 2),
                    "raw_tasks_per_second": round(cell[RAW]["tasks_per_second"], 2),
                }
                for network, cell in zip(NETWORKS, cells, strict=True)
            },
        }


def _output(output: Section) -> Section:
    return {
        "bytes": OUTPUT_BYTES,
        "runs": next(iter(output.values()))["count"],
        "ways": [
            {
                "way": name,
                "median_seconds": round(row["median_seconds"], 3),
                # The other ways do not go through the service.
                **(
                    {"service_growth_bytes": row["service_growth_bytes"]}
                    if name.startswith(EcsWay.name)
                    else {}
                ),
            }
            for name, row in output.items()
        ],
    }


def _latency_table(latency: Section) -> str:
    heads = ["way"]
    for network in ("bridge: ", "no network: "):
        heads += [f"{network}median ms", "p95", "/ raw", "/ docker run"]
    rows = [
        [way["way"], *_way_cells(way[DEFAULT_NETWORK]), *_way_cells(way[NO_NETWORK])]
        for way in latency["ways"]
    ]
    return _table(heads, rows)


def _way_cells(row: Section) -> list[str]:
    return [
        _ms(row["median_seconds"]),
        _ms(row["p95_seconds"]),
        f"{row['median_to_raw']:.2f}",
        f"{row['median_to_docker_run']:.2f}",
    ]


def _warm_table(warm: Section) -> str:
    runs, containers = warm["runs"], warm["containers"]
    rows = [
        ["whole request, median", f"{warm['median_seconds'] * MS_PER_SECOND:.1f} ms"],
        ["whole request, p95", f"{warm['p95_seconds'] * MS_PER_SECOND:.1f} ms"],
        ["the same / `docker run --rm`, medians", f"{warm['median_to_docker_run']:.3f}"],
        ["first byte, median", f"{warm['first_byte_median_seconds'] * MS_PER_SECOND:.1f} ms"],
        [
            f"{warm['burst_requests']} requests at once, median",
            f"{warm['burst_median_seconds'] * MS_PER_SECOND:.0f} ms",
        ],
        ["the same / `docker run --rm`, pairs", f"{warm['burst_to_docker_run']:.3f}"],
        ["hit rate, one at a time and at once", f"{warm['hit_rate']}, {warm['burst_hit_rate']}"],
    ]
    return _table([f"{containers} warm containers, {runs} rounds", ""], rows)


def _throughput_table(throughput: Sequence[Section]) -> str:
    heads = ["clients"]
    for network in ("bridge: ", "no network: "):
        heads += [f"{network}{EcsWay.name}", "raw", "ECS / raw"]
    rows = [
        [
            str(point["clients"]),
            *(cell for network in NETWORKS for cell in _rate_cells(point[network])),
        ]
        for point in throughput
    ]
    return _table(heads, rows)


def _rate_cells(rates: Section) -> list[str]:
    ecs, raw = rates["ecs_tasks_per_second"], rates["raw_tasks_per_second"]
    return [f"{ecs:.2f}", f"{raw:.2f}", f"{ecs / raw:.2f}"]


def _output_table(output: Section) -> str:
    rows = [
        [
            way["way"],
            f"{way['median_seconds']:.2f}",
            f"{way['service_growth_bytes'] / MB_BYTES:.1f} MB"
            if "service_growth_bytes" in way
            else "",
        ]
        for way in output["ways"]
    ]
    return _table(["way", "seconds, median", "what the service's memory rose by"], rows)


def _ms(seconds: float) -> str:
    return f"{seconds * MS_PER_SECOND:.0f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    RUN, WITHOUT_SANDBOXES, DOCS = map(Path, sys.argv[1:])
    publish(json.loads(RUN.read_text()), json.loads(WITHOUT_SANDBOXES.read_text()), DOCS)

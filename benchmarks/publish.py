"""Puts the figures of the three ways to start into docs/performance.md: nobody types them.

Run as `python -m benchmarks.publish build/bench.json build/bench-cold.json docs/performance.md`:
the first of `latency warm`, the second of `--setting ECS_SANDBOXES=0 latency` right after it.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import DEFAULT_NETWORK, NO_NETWORK, Section
from benchmarks.report import MS_PER_SECOND
from benchmarks.ways import EcsWay

COLD = f"{EcsWay.name}, no sandboxes"


def publish(run: Section, cold: Section, document: Path) -> None:
    """Write the tables of a run, and of one without sandboxes, between their markers.

    Raises:
        ValueError: the document has no place for a table.
    """
    text = document.read_text(encoding="utf-8")
    for name, table in tables(run, cold).items():
        text = with_table(text, name, table)
    document.write_text(text, encoding="utf-8")


def tables(run: Section, cold: Section) -> dict[str, str]:
    """Return the Markdown table of each measured section."""
    return {
        "latency": _latency_table(run["latency"], cold["latency"]),
        "warm": _warm_table(run["warm"]),
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
        raise ValueError(f"the document has no lines {begin.strip()!r} and {end!r}")
    return f"{before}{begin}{table}\n{end}{after}"


def _latency_table(latency: Section, cold: Section) -> str:
    heads = ["way"]
    for network in ("bridge: ", "no network: "):
        heads += [f"{network}median ms", "p95", "/ raw", "/ docker run"]
    ways = [(name, latency, name) for name in latency[DEFAULT_NETWORK]]
    ways.insert(1, (COLD, cold, EcsWay.name))
    rows = [
        [shown, *_way_cells(of[DEFAULT_NETWORK][name]), *_way_cells(of[NO_NETWORK][name])]
        for shown, of, name in ways
    ]
    return _table(heads, rows)


def _way_cells(row: Section) -> list[str]:
    return [
        _ms(row["median_seconds"], 0),
        _ms(row["p95_seconds"], 0),
        f"{row['median_to_raw']:.2f}",
        f"{row['median_to_docker_run']:.2f}",
    ]


def _warm_table(warm: Section) -> str:
    burst = warm["burst"]
    hit_rate = warm["hits"] / (warm["hits"] + warm["misses"])
    rows = [
        ["whole request, median", f"{_ms(warm['warm']['median_seconds'], 1)} ms"],
        ["whole request, p95", f"{_ms(warm['warm']['p95_seconds'], 1)} ms"],
        ["whole request / `docker run --rm`, medians", f"{warm['median_to_docker_run']:.3f}"],
        ["first byte, median", f"{_ms(warm['first_byte']['median_seconds'], 1)} ms"],
        [
            f"{burst['requests']} requests at once, median",
            f"{_ms(burst['warm']['median_seconds'], 0)} ms",
        ],
        ["at once / `docker run --rm`, pairs", f"{burst['pairwise_to_docker_run']:.3f}"],
        ["hit rate, one at a time", f"{hit_rate:.2f}"],
        ["hit rate, at once", f"{burst['hit_rate']:.2f}"],
    ]
    return _table([f"{warm['containers']} containers, {warm['warm']['count']} rounds", ""], rows)


def _ms(seconds: float, digits: int) -> str:
    return f"{seconds * MS_PER_SECOND:.{digits}f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    RUN, WITHOUT_SANDBOXES, DOCUMENT = map(Path, sys.argv[1:])
    publish(json.loads(RUN.read_text()), json.loads(WITHOUT_SANDBOXES.read_text()), DOCUMENT)

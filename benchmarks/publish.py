"""Puts the figures of a run into the documents: nobody types them.

Run as `python -m benchmarks.publish build/bench.json`, with the file of a whole run of `bin/bench`,
of a run of `bin/bench front_door`, or both. It writes docs/performance.md between its markers, and
of a whole run docs/performance.json, docs/performance.svg and docs/poisson.svg.
"""

import json
import sys
from pathlib import Path

from benchmarks.bench import NETWORKS, Section
from benchmarks.document import NotPublishableError, with_place_filled
from benchmarks.figures import published_figures
from benchmarks.plot import draw, draw_poisson
from benchmarks.tables import ALWAYS, POISSON_PLOT, TABLES, tables

DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT = "performance.md"
FIGURES, PLOT = "performance.json", "performance.svg"

APART = "front_door"
"""It may be measured apart, and tells its own date."""


def publish(run: Section, docs: Path) -> None:
    """Write what is told of the run into ``docs``.

    Raises:
        NotPublishableError: the run is no whole one, or the document has no place for a table.
    """
    is_apart = (TABLES.keys() - ALWAYS) & run.keys() == {APART}
    _check(run, is_apart=is_apart)
    told = tables(run)
    if is_apart:
        told = {APART: told[APART]}
    document = docs / DOCUMENT
    text = document.read_text(encoding="utf-8")
    for name, table in told.items():
        text = with_place_filled(text, f"benchmarks.publish, {name}", table)
    document.write_text(text, encoding="utf-8")
    if not is_apart:
        figures = json.dumps(published_figures(run), indent=1)
        (docs / FIGURES).write_text(f"{figures}\n", encoding="utf-8")
        draw(run, docs / PLOT)
        draw_poisson(run, docs / POISSON_PLOT)


def _check(run: Section, *, is_apart: bool) -> None:
    if run["quick"]:
        raise NotPublishableError("a quick run has too few measurements: leave --quick out")
    missing = set() if is_apart else TABLES.keys() - ALWAYS - {APART} - run.keys()
    if missing:
        raise NotPublishableError(
            f"the run has no {', '.join(sorted(missing))}: name no sections, so that all are from "
            "one run"
        )
    if not is_apart and run["throughput"].keys() != NETWORKS.keys():
        raise NotPublishableError("the run has one network alone: leave --network out")


def main() -> None:
    """Publish each of the files that are named."""
    for name in sys.argv[1:]:
        try:
            publish(json.loads(Path(name).read_text(encoding="utf-8")), DOCS)
        except NotPublishableError as error:
            sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()

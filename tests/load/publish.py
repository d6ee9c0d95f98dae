"""`bin/load publish`: puts the figures of runs into the documents, so that nobody types them."""

import json
from pathlib import Path
from typing import Any

from benchmarks.document import with_place_filled
from tests.load.panels import SOAK_PANELS, STEPS_PANELS, sheet
from tests.load.tables import kinds_table, steps_table, verdicts_table

DOCUMENT = "performance.md"
# What the document calls each kind of run, as the name of its plot.
PLOTS = {"steps": "load.svg", "soak": "soak.svg"}

Run = dict[str, Any]


def publish(files: list[Path], docs: Path) -> None:
    """Draw each run into ``docs``, and put its table between the markers of the document.

    Raises:
        NotPublishableError: the document has no place for such a run.
    """
    for file in files:
        run: Run = json.loads(file.read_text(encoding="utf-8"))
        kind = run["kind"]
        panels = STEPS_PANELS if kind == "steps" else SOAK_PANELS
        document = docs / DOCUMENT
        text = document.read_text(encoding="utf-8")
        filled = with_place_filled(text, f"bin/load publish, {kind}", _section(run))
        document.write_text(filled, encoding="utf-8")
        (docs / PLOTS[kind]).write_text(sheet(panels, run, _origin(run)), encoding="utf-8")
        print(f"{file} → {document}, {docs / PLOTS[kind]}")


def _section(run: Run) -> str:
    return _steps_section(run) if run["kind"] == "steps" else _soak_section(run)


def _steps_section(run: Run) -> str:
    seconds = run["seconds_per_step"]
    return (
        f"On {run['facts']['date']}, {seconds:.0f} seconds each step: **{run['outcome']}**.\n\n"
        f"![Throughput, latency and failures by users at once]({PLOTS['steps']})\n\n"
        f"{steps_table(run, None).as_markdown()}"
    )


def _soak_section(run: Run) -> str:
    facts = run["facts"]
    return (
        f"On {facts['date']}, {run['minutes']:.0f} minutes, {run['requests']} requests, "
        f"{run['tasks']} tasks ({run['tasks_per_second']:.2f} a second); warm-up "
        f"{run['warm_up_seconds'] / 60:.0f} minutes: **{run['outcome']}**.\n\n"
        f"![Memory, descriptors, containers and latency over time]({PLOTS['soak']})\n\n"
        f"{verdicts_table(run).as_markdown()}\n\n"
        f"{kinds_table(run['kinds']).as_markdown()}"
    )


def _origin(run: Run) -> str:
    facts = run["facts"]
    engine = f"Docker Engine {facts['engine']}, {facts['runtime']}"
    machine = f"{facts['cores']} cores, Linux {facts['kernel']}"
    return f"{machine}; {engine}; {facts['date'].split()[0]}"

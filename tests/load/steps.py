"""`bin/load steps`: the mix at one number of users after another."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import table
from tests.load import mix
from tests.load.generator import Generator
from tests.load.page import steps_page
from tests.load.records import stage_figures
from tests.load.sampling import containers_of
from tests.load.session import Session, session, write
from tests.load.tables import steps_table
from tests.load.verdicts import FAIL, PASS
from tests.waiting import eventually

NAME = "steps"
SETTLE_SECONDS = 60

TASK_NAMES = frozenset(kind.name for kind in mix.STEPS_MIX.weights if kind.is_task)


async def run_steps(
    users: Sequence[int],
    seconds_per_step: float,
    *,
    output: Path,
    previous_file: Path | None,
    instance: str | None,
) -> int:
    """Run it, write the report, return the exit status."""
    previous = _previous(output, previous_file)
    async with session(instance) as started:
        run = await _measure(started, users, seconds_per_step)
        # Before the service stops, which may fail too.
        _show(run, previous)
        write(output, NAME, run, steps_page(run, previous))
    return int(run["outcome"] == FAIL)


def _show(run: dict[str, Any], previous: dict[str, Any] | None) -> None:
    shown = steps_table(run, previous)
    print(table("By users at once; in brackets the previous run", shown.header, shown.rows))
    for step in run["steps"]:
        for what, times in step["failures"].items():
            print(f"{step['users']} users: {times} times {what}")
    if run["left"]:
        print(f"containers left behind: {', '.join(run['left'])}")


def _previous(output: Path, given: Path | None) -> dict[str, Any] | None:
    file = given or output / f"{NAME}.json"
    if given is None and not file.exists():
        return None
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


async def _measure(
    started: Session, users: Sequence[int], seconds_per_step: float
) -> dict[str, Any]:
    stages = [(count, seconds_per_step) for count in users]
    generator = Generator(started.directory, started.service.url, stages)
    await started.drive(generator)
    left = await _left(started)
    records = generator.records()
    steps = [stage_figures(records, stage, TASK_NAMES) for stage in records.stages]
    wrong = sum(step["all"]["failures"] for step in steps)
    return {
        "kind": "steps",
        "facts": started.facts,
        "mix": {kind.name: weight for kind, weight in mix.STEPS_MIX.weights.items()},
        "task": mix.TASK.name,
        "noop": mix.NOOP.name,
        "seconds_per_step": seconds_per_step,
        "steps": steps,
        "left": left,
        "outcome": FAIL if wrong or left or not records.requests else PASS,
    }


async def _left(started: Session) -> list[str]:
    instance = started.service.instance
    try:
        await eventually(lambda: not containers_of(started.probe, instance)[0], SETTLE_SECONDS)
    except AssertionError:
        return list(containers_of(started.probe, instance)[0])
    return []

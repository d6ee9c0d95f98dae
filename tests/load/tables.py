"""The figures of a run as rows of text, for the terminal, the page and the document alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MS_PER_SECOND = 1000.0

Run = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A header and rows of text; the first column is text, the others are figures."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_markdown(self) -> str:
        """Return it as the documents write tables."""
        rule = ["---"] * len(self.header)
        lines = [self.header, rule, *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def steps_table(run: Run, previous: Run | None) -> Table:
    """Return one row for each step; in brackets the previous run's figure."""
    before = {step["users"]: step for step in previous["steps"]} if previous else {}
    header = ["users", "requests/s", "tasks/s", "task p50 ms", "p95", "p99", "_noop p50 ms", "p95"]
    rows = []
    for step in run["steps"]:
        old = before.get(step["users"])
        cells = [
            f"{now}{f' ({then})' if old else ''}"
            for now, then in zip(
                _figures(run, step), _figures(run, old) if old else _figures(run, step), strict=True
            )
        ]
        rows.append([str(step["users"]), *cells])
    return Table([*header, "wrong answers"], rows)


def _figures(run: Run, step: Run) -> list[str]:
    task = step["kinds"].get(run["task"], {})
    noop = step["kinds"].get(run["noop"], {})
    return [
        f"{step['requests_per_second']:.1f}",
        f"{step['tasks_per_second']:.2f}",
        *(ms(task.get(f"p{percent}_seconds")) for percent in (50, 95, 99)),
        *(ms(noop.get(f"p{percent}_seconds")) for percent in (50, 95)),
        f"{step['all']['failures']} of {step['all']['requests']}",
    ]


def kinds_table(kinds: dict[str, Run]) -> Table:
    """Return one row for each kind of request."""
    rows = [
        [
            name,
            str(figures["requests"]),
            str(figures["failures"]),
            *(ms(figures[f"p{percent}_seconds"]) for percent in (50, 95, 99)),
        ]
        for name, figures in kinds.items()
    ]
    return Table(["kind", "requests", "wrong", "p50 ms", "p95", "p99"], rows)


def verdicts_table(run: Run) -> Table:
    """Return one row for each verdict."""
    rows = [[v["subject"], v["outcome"], v["says"]] for v in run["verdicts"]]
    return Table(["subject", "verdict", "figures"], rows)


def ms(seconds: float | None) -> str:
    """Write a duration in milliseconds."""
    if seconds is None:
        return "-"
    value = seconds * MS_PER_SECOND
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"

"""Makes the report: one HTML file that needs nothing beside it."""

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tests.load.panels import SOAK_PANELS, STEPS_PANELS, inline_svg
from tests.load.tables import kinds_table, steps_table, verdicts_table

Run = dict[str, Any]

_TEMPLATE = Path(__file__).with_name("page.html")


def steps_page(run: Run, previous: Run | None) -> str:
    """Return the page of a stepped run, beside the previous one if there is one."""
    tables = [("By users at once", steps_table(run, previous))]
    tables += [
        (f"{step['users']} users, by kind", kinds_table(step["kinds"])) for step in run["steps"]
    ]
    failures = {f"{s['users']} users": s["failures"] for s in run["steps"] if s["failures"]}
    plots = [inline_svg(panel, run, previous) for panel in STEPS_PANELS]
    return _page(run, "Load by steps", tables, plots, failures, previous)


def soak_page(run: Run) -> str:
    """Return the page of a soak."""
    tables = [("Verdicts", verdicts_table(run)), ("Requests by kind", kinds_table(run["kinds"]))]
    failures = {"the whole soak": run["failures"]} if run["failures"] else {}
    plots = [inline_svg(panel, run, None) for panel in SOAK_PANELS]
    title = f"A soak of {run['minutes']:.1f} minutes"
    return _page(run, title, tables, plots, failures, None)


def _page(
    run: Run,
    title: str,
    tables: list[tuple[str, Any]],
    plots: list[str],
    failures: dict[str, dict[str, int]],
    previous: Run | None,
) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        title=title,
        run=run,
        lead=tables[0],
        tables=tables[1:],
        plots=[Markup(plot) for plot in plots],
        failures=failures,
        previous=previous,
    )

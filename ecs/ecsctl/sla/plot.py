"""Draws how overhead and availability went over the window; matplotlib is an extra."""

import math
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from ecs.ecsctl.sla.figures import Overhead
from ecs.ecsctl.sla.measure import History
from ecs.ecsctl.sla.objective import Objective

SUFFIXES = (".svg", ".png")
_PERCENTILES = {50: "tab:green", 95: "tab:blue", 99: "tab:purple"}


_OBJECTIVE: dict[str, Any] = {"color": "tab:red", "linestyle": "--"}
_MARGIN = 0.1


class PlotError(Exception):
    """There is nothing to draw with; the text is one line."""


def plot(path: Path, history: History, objective: Objective, zone: tzinfo | None) -> None:
    """Write the picture; ``zone`` is the time zone of its axis.

    Raises:
        PlotError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise PlotError("--plot needs matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(11, 6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    times = [datetime.fromtimestamp(time, zone) for time in history.times]
    seconds = [objective.overhead_p95_seconds]
    for percent, color in _PERCENTILES.items():
        drawn = [_seconds(one, percent) for one in history.overhead]
        above.plot(times, drawn, color=color, marker=".", label=f"p{percent}")
        seconds += [one for one in drawn if not math.isnan(one)]
    above.axhline(objective.overhead_p95_seconds, label="objective, p95", **_OBJECTIVE)
    above.set(ylabel="overhead [s]", ylim=(0, max(seconds) * (1 + _MARGIN)))
    percents = [objective.availability_percent]
    for name, shares, color in (
        ("requests not\nanswered 5xx", history.requests, "tab:blue"),
        ("time in which\nPrometheus reached\nthe service", history.up, "tab:orange"),
    ):
        drawn = [share.ratio * 100 if share else math.nan for share in shares]
        below.plot(times, drawn, color=color, marker=".", label=name)
        percents += [one for one in drawn if not math.isnan(one)]
    below.axhline(objective.availability_percent, label="objective", **_OBJECTIVE)
    margin = (100 - min(percents)) * _MARGIN
    below.set(ylabel="availability [%]", ylim=(min(percents) - margin, 100 + margin))
    below.xaxis_date(zone)
    below.set_xlabel(f"time [{times[0]:%Z}]")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path)


def _seconds(overhead: Overhead | None, percent: int) -> float:
    """Return a point of a line, at the scale's end if it is beyond; nothing leaves a gap."""
    return min(overhead.percentiles[percent], overhead.largest_bound) if overhead else math.nan

"""Draws how overhead and availability went over the window; matplotlib is an extra."""

import math
from datetime import datetime, tzinfo
from pathlib import Path

from ecs.ecsctl.sla.measure import History
from ecs.ecsctl.sla.objective import Objective

SUFFIXES = (".svg", ".png")
_PERCENTILES = {50: "tab:green", 95: "tab:blue", 99: "tab:purple"}


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
        raise PlotError("--plot needs matplotlib: pip install 'ecs[plot]'") from error
    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    times = [datetime.fromtimestamp(time, zone) for time in history.times]
    for percent, color in _PERCENTILES.items():
        seconds = [_drawn(one.percentiles[percent] if one else None) for one in history.overhead]
        above.plot(times, seconds, color=color, marker=".", label=f"p{percent}")
    above.axhline(
        objective.overhead_p95_seconds, color="tab:red", linestyle="--", label="objective, p95"
    )
    above.set_ylabel("overhead [s]")
    above.set_ylim(bottom=0)
    percents = [_drawn(share.ratio * 100 if share else None) for share in history.requests]
    below.plot(times, percents, color="tab:blue", marker=".", label="requests not answered 5xx")
    below.axhline(
        objective.availability_percent, color="tab:red", linestyle="--", label="objective"
    )
    below.set_ylabel("availability [%]")
    below.xaxis_date(zone)
    below.set_xlabel(f"time [{times[0]:%Z}]")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.legend(loc="best")
    figure.savefig(path)


def _drawn(value: float | None) -> float:
    """Return a point of a line; nothing and what is beyond the scale leave a gap in it."""
    return math.nan if value is None or math.isinf(value) else value

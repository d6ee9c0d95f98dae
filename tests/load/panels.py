"""The plots: each draws one panel from a run's figures. Knows nothing of pages or files."""

import io
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

Run = dict[str, Any]
Panel = Callable[[Axes, Run, Run | None], None]

PANEL_INCHES = (5.2, 3.4)
# Readable on a light ground and on a dark one.
BLUE, ORANGE, GREEN, RED = "#1f8fc0", "#d9822b", "#3f9f5f", "#d0453a"
GREY = "#8a9097"
# Stands for the ink, which a page makes its own text's colour.
INK = "#123457"
PRINTED_INK = "#333333"

# Room above the lines for the legend.
LEGEND_ROOM = 1.2
# So that nothing at all is drawn at the bottom.
LEAST_AXIS = 1.0

MS_PER_SECOND = 1000.0
KB_BYTES = 1_000
MB_BYTES = 1_000_000
SECONDS_PER_MINUTE = 60.0

STYLE = {
    "svg.fonttype": "none",  # text stays text: small, selectable, searchable
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.3,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
}


def inline_svg(panel: Panel, run: Run, previous: Run | None) -> str:
    """Return one panel as an SVG element without a ground, in the colour of the text around it."""
    with plt.style.context([STYLE, {"svg.hashsalt": panel.__name__}]):
        figure, axes = plt.subplots(figsize=PANEL_INCHES, layout="constrained")
        panel(axes, run, previous)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        plt.close(figure)
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def sheet(panels: Sequence[Panel], run: Run, origin: str) -> str:
    """Return panels beside each other as one SVG document on white."""
    rows = -(-len(panels) // 2)
    width, height = PANEL_INCHES
    with plt.style.context([STYLE, {"svg.hashsalt": "sheet"}]):
        figure, grid = plt.subplots(
            rows, 2, figsize=(2 * width, rows * height + 0.3), squeeze=False, layout="constrained"
        )
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        for axes, panel in zip(grid.flat, panels, strict=False):
            panel(axes, run, None)
        figure.supxlabel(origin, fontsize=8, color=GREY)
        buffer = io.StringIO()
        figure.savefig(
            buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None}
        )
        plt.close(figure)
    return buffer.getvalue().replace(INK, PRINTED_INK)


def throughput(axes: Axes, run: Run, previous: Run | None) -> None:
    """Tasks and requests a second by users."""
    for key, label, colour in (
        ("requests_per_second", "all requests", GREY),
        ("tasks_per_second", "tasks", BLUE),
    ):
        for is_previous, steps in _now_and_before(run, previous):
            rates = [step[key] for step in steps]
            _by_users(axes, steps, rates, label, colour, is_previous=is_previous)
    _finish_by_users(axes, run, "throughput", "a second")


def task_latency(axes: Axes, run: Run, previous: Run | None) -> None:
    """How long tasks took, by users."""
    _latency_by_users(axes, run, previous, run["task"])
    _finish_by_users(axes, run, "a task, echo hello", "ms to the answer")


def noop_latency(axes: Axes, run: Run, previous: Run | None) -> None:
    """How long a request took that does nothing, by users."""
    _latency_by_users(axes, run, previous, run["noop"])
    _finish_by_users(axes, run, "_noop beside the tasks", "ms to the answer")


def failures(axes: Axes, run: Run, previous: Run | None) -> None:
    """Wrong answers by users."""
    for is_previous, steps in _now_and_before(run, previous):
        wrong = [step["all"]["failures"] for step in steps]
        _by_users(axes, steps, wrong, "wrong answers", RED, is_previous=is_previous)
    _finish_by_users(axes, run, "failures", "wrong answers")


STEPS_PANELS: tuple[Panel, ...] = (throughput, task_latency, noop_latency, failures)


def _now_and_before(run: Run, previous: Run | None) -> list[tuple[bool, list[Run]]]:
    """Return the steps of the previous run and of this one, and whether it is the previous."""
    now = [(False, run["steps"])]
    return now if previous is None else [(True, previous["steps"]), *now]


def _by_users(
    axes: Axes,
    steps: list[Run],
    values: Sequence[float | None],
    label: str,
    colour: str,
    *,
    is_previous: bool,
) -> None:
    axes.plot(
        [step["users"] for step in steps],
        [float("nan") if value is None else value for value in values],
        "o:" if is_previous else "o-",
        label=None if is_previous else label,  # the page says what is dotted
        color=colour,
        alpha=0.55 if is_previous else 1.0,
    )


def _latency_by_users(axes: Axes, run: Run, previous: Run | None, kind: str) -> None:
    for percent, colour in ((50, BLUE), (95, ORANGE), (99, RED)):
        for is_previous, steps in _now_and_before(run, previous):
            values = [_ms(step["kinds"].get(kind, {}).get(f"p{percent}_seconds")) for step in steps]
            _by_users(axes, steps, values, f"p{percent}", colour, is_previous=is_previous)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * MS_PER_SECOND


def _finish_by_users(axes: Axes, run: Run, title: str, unit: str) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator([step["users"] for step in run["steps"]]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("users at once")
    _finish(axes, title, unit)


def _finish(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.set_ylim(0, LEGEND_ROOM * max(axes.get_ylim()[1], LEAST_AXIS))
    axes.legend(loc="upper left", ncols=3)


def memory(axes: Axes, run: Run, previous: Run | None) -> None:
    """Memory over time, and the slope after the warm-up."""
    del previous
    samples = run["samples"]
    for key, label, colour in (
        ("resident_bytes", "resident", BLUE),
        ("proportional_bytes", "proportional share", GREY),
    ):
        values = [(s[key] or float("nan")) / MB_BYTES for s in samples]
        axes.plot(_minutes(samples), values, label=label, color=colour)
    axes.axvspan(0, run["warm_up_seconds"] / SECONDS_PER_MINUTE, color=GREY, alpha=0.12)
    found = next(v["slope"] for v in run["verdicts"] if v["subject"] == "memory")
    if found is not None:
        _draw_slope(axes, run, found["per_hour"])
    _finish_over_time(axes, "memory of the service", "MB")
    # From nothing, a megabyte would not be seen.
    resident = [s["resident_bytes"] / MB_BYTES for s in samples]
    axes.set_ylim(bottom=0.8 * min(resident), top=LEGEND_ROOM * max(resident))


def _draw_slope(axes: Axes, run: Run, per_hour: float) -> None:
    warm = [s for s in run["samples"] if s["seconds"] >= run["warm_up_seconds"]]
    middle_seconds = (warm[0]["seconds"] + warm[-1]["seconds"]) / 2
    middle = sorted(s["resident_bytes"] for s in warm)[len(warm) // 2]
    ends = [warm[0]["seconds"], warm[-1]["seconds"]]
    line = [(middle + (end - middle_seconds) / 3600 * per_hour) / MB_BYTES for end in ends]
    label = f"slope {per_hour / MB_BYTES:+.2f} MB an hour"
    axes.plot([end / SECONDS_PER_MINUTE for end in ends], line, "--", color=RED, label=label)


def counts(axes: Axes, run: Run, previous: Run | None) -> None:
    """File descriptors and threads over time."""
    del previous
    samples = run["samples"]
    for key, label, colour in (
        ("descriptors", "file descriptors", BLUE),
        ("threads", "threads", ORANGE),
    ):
        axes.plot(_minutes(samples), [s[key] for s in samples], label=label, color=colour)
    _finish_over_time(axes, "descriptors and threads", "open at once")


def left_behind(axes: Axes, run: Run, previous: Run | None) -> None:
    """Containers, volumes and files over time."""
    del previous
    samples = run["samples"]
    for key, label, colour in (
        ("containers", "containers", BLUE),
        ("volumes", "unused volumes", ORANGE),
        ("files", "files", GREEN),
    ):
        axes.plot(_minutes(samples), [s[key] for s in samples], label=label, color=colour)
    _finish_over_time(axes, "what tasks have in the engine and on disk", "at once")


def soak_latency(axes: Axes, run: Run, previous: Run | None) -> None:
    """Latency of a plain task over time."""
    del previous
    windows = run["task_latency"]
    for percent, colour in ((50, BLUE), (95, ORANGE)):
        values = [window[f"p{percent}_seconds"] * MS_PER_SECOND for window in windows]
        axes.plot(_minutes(windows), values, label=f"p{percent}", color=colour)
    _finish_over_time(axes, "a task, echo hello", "ms to the answer")


def log(axes: Axes, run: Run, previous: Run | None) -> None:
    """The size of the log over time."""
    del previous
    samples = run["samples"]
    values = [s["log_bytes"] / KB_BYTES for s in samples]
    axes.plot(_minutes(samples), values, label="log", color=GREEN)
    _finish_over_time(axes, "log", "kB")


def engine(axes: Axes, run: Run, previous: Run | None) -> None:
    """The engine's own file descriptors, where they can be seen; others may use it too."""
    del previous
    samples = [s for s in run["samples"] if s["engine_descriptors"] is not None]
    values = [s["engine_descriptors"] for s in samples]
    axes.plot(_minutes(samples), values, label="file descriptors", color=GREY)
    _finish_over_time(axes, "the engine itself", "open at once")


SOAK_PANELS: tuple[Panel, ...] = (memory, counts, left_behind, soak_latency, log, engine)


def _minutes(samples: list[Run]) -> list[float]:
    return [sample["seconds"] / SECONDS_PER_MINUTE for sample in samples]


def _finish_over_time(axes: Axes, title: str, unit: str) -> None:
    axes.set_xlabel("minutes")
    _finish(axes, title, unit)

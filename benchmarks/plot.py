"""Draws the figures of a run: latency by way, throughput over clients, waiting over random load."""

from collections.abc import Callable
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from benchmarks.bench import NETWORKS, Section
from benchmarks.poisson import PERCENTILES
from benchmarks.pools import SANDBOXED, WARM
from benchmarks.report import MS_PER_SECOND
from benchmarks.throughput import DOCKER_RUN, ECS, RAW

WIDTH_INCHES = 10.0
ROW_HEIGHT_INCHES = 3.6

ECS_COLOUR = "#0b6e99"
ECS_CLEAN_COLOUR = "#7fb8cf"
OTHER_COLOUR = "#9aa0a6"
RAW_COLOUR = "#d9822b"
DOCKER_RUN_COLOUR = "#8a3ffc"
INK = "#333333"
# Room on the right of the longest whisker for its value.
VALUE_ROOM = 1.18
# Room above the highest point of a line.
LINE_ROOM = 1.08

STYLE = {
    "svg.hashsalt": "ecs",  # the same figures give the same file
    "svg.fonttype": "none",  # text stays text: small, selectable, searchable
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
}

Panel = Callable[[Axes, Section, str], None]


def draw(results: Section, target: Path) -> None:
    """Draw one row for each measured section, one column for each network."""
    rows = [(name, panel) for name, panel in PANELS.items() if name in results]
    networks = [network for network in NETWORKS if network in results[rows[0][0]]]
    size = (WIDTH_INCHES, ROW_HEIGHT_INCHES * len(rows) + 0.4)
    with plt.style.context(STYLE):
        figure, grid = plt.subplots(
            len(rows),
            len(networks),
            figsize=size,
            squeeze=False,
            layout="constrained",
            sharex="row",
            sharey="row",
        )
        for axes_row, (name, panel) in zip(grid, rows, strict=True):
            for axes, network in zip(axes_row, networks, strict=True):
                panel(axes, results[name][network], network)
            for axes in axes_row[1:]:
                axes.set_ylabel("")
        _save(figure, results["facts"], target)


def draw_poisson(run: Section, target: Path) -> None:
    """Draw the latency percentiles over the load, one column for each kind of pool."""
    poisson = run["poisson"]
    with plt.style.context(STYLE):
        figure, axes_row = plt.subplots(
            1,
            len(POOL_TITLES),
            figsize=(WIDTH_INCHES, ROW_HEIGHT_INCHES),
            layout="constrained",
            sharey=True,
        )
        for axes, (name, title) in zip(axes_row, POOL_TITLES.items(), strict=True):
            _draw_percentiles(axes, poisson[name])
            axes.set_title(f"{poisson['ready']} {title}")
        axes_row[0].set_ylabel("ms to the answer")
        axes_row[0].legend(frameon=False, fontsize=9, loc="upper left")
        _save(figure, run["facts"], target)


def _draw_percentiles(axes: Axes, section: Section) -> None:
    steps = [step for step in section["steps"] if step["latency"]]
    loads = [step["load"] * 100 for step in steps]
    for percent, colour in zip(PERCENTILES, PERCENTILE_COLOURS, strict=True):
        values = [step["latency"][f"p{percent}_seconds"] * MS_PER_SECOND for step in steps]
        axes.plot(loads, values, "o-", color=colour, label=f"p{percent}", markersize=5)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    labels = [
        f"{load:.0f} %\nhit rate {step['hit_rate']:.2f}"
        for load, step in zip(loads, steps, strict=True)
    ]
    axes.set_xticks(loads, labels)
    rate = section["sustained_tasks_per_second"]
    axes.set_xlabel(f"of {rate:.1f} tasks a second, which is sustained")


def _save(figure: Figure, facts: Section, target: Path) -> None:
    figure.supxlabel(_origin(facts), fontsize=8, color=OTHER_COLOUR)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)


def _origin(facts: Section) -> str:
    engine = f"Docker Engine {facts['engine']}, {facts['runtime']}"
    machine = f"{facts['cores']} cores, Linux {facts['kernel']}"
    return f"{machine}; {engine}; {facts['date'].split()[0]}"


def _draw_latency(axes: Axes, section: Section, network: str) -> None:
    names = list(reversed(section))
    medians = [section[name]["median_seconds"] * MS_PER_SECOND for name in names]
    to_p95 = [
        section[name]["p95_seconds"] * MS_PER_SECOND - median
        for name, median in zip(names, medians, strict=True)
    ]
    bars = axes.barh(
        names,
        medians,
        height=0.62,
        color=[ECS_COLOUR if name.startswith(ECS) else OTHER_COLOUR for name in names],
        xerr=[[0.0] * len(names), to_p95],
        error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 3},
    )
    _write_values(axes, bars, medians, to_p95)
    axes.set_title(f"echo hello, {NETWORKS[network]}")
    axes.set_xlabel("ms to the answer: median, whisker to p95")
    longest = max(map(sum, zip(medians, to_p95, strict=True)))
    axes.set_xlim(0, max(axes.get_xlim()[1], longest * VALUE_ROOM))
    axes.tick_params(axis="y", length=0)


def _write_values(
    axes: Axes, bars: BarContainer, medians: list[float], to_p95: list[float]
) -> None:
    for bar, median, whisker in zip(bars, medians, to_p95, strict=True):
        text = f"{median:.1f}" if median < 10 else f"{median:.0f}"
        middle = bar.get_y() + bar.get_height() / 2
        axes.annotate(
            text, (median + whisker, middle), xytext=(6, 0), textcoords="offset points", va="center"
        )


def _draw_throughput(axes: Axes, section: Section, network: str) -> None:
    curve = section["curve"]
    clients = [cell["clients"] for cell in curve]
    for label, way, key, colour, style in LINES:
        rates = [cell[way][key] for cell in curve]
        axes.plot(clients, rates, style, color=colour, label=label, markersize=5, linewidth=1.8)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(clients))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    highest = max(cell[way][key] for cell in curve for _, way, key, *_ in LINES)
    axes.set_ylim(0, max(axes.get_ylim()[1], highest * LINE_ROOM))
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title(f"throughput, {NETWORKS[network]}")
    axes.set_xlabel("clients at once")
    axes.set_ylabel("tasks per second")
    axes.legend(frameon=False, fontsize=9, loc="lower right")


LINES = [
    ("ECS, until all are answered", ECS, "tasks_per_second", ECS_COLOUR, "o-"),
    ("ECS, until nothing is left", ECS, "clean_tasks_per_second", ECS_CLEAN_COLOUR, "o--"),
    ("docker run --rm", DOCKER_RUN, "tasks_per_second", DOCKER_RUN_COLOUR, "^-"),
    ("raw API workers", RAW, "tasks_per_second", RAW_COLOUR, "s-"),
]
PANELS: dict[str, Panel] = {"latency": _draw_latency, "throughput": _draw_throughput}
POOL_TITLES = {SANDBOXED: "sandboxes", WARM: "warm containers, no sandboxes"}
PERCENTILE_COLOURS = (ECS_COLOUR, RAW_COLOUR, DOCKER_RUN_COLOUR)

"""What docs/performance.md tells of each measured section, as Markdown."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.bench import DEFAULT_NETWORK, NETWORKS, Section
from benchmarks.poisson import PERCENTILES
from benchmarks.pools import SANDBOXED, WARM
from benchmarks.report import MB_BYTES, MS_PER_SECOND
from benchmarks.targets import HEADER, target_rows
from benchmarks.throughput import DOCKER_RUN, ECS, RAW, sandboxed_share

ALWAYS = {"facts", "targets"}
"""What is no section of its own."""
POISSON_PLOT = "poisson.svg"


def tables(run: Section) -> dict[str, str]:
    """Return the text for each section that the run has, and for its facts and targets."""
    return {name: told(run) for name, told in TABLES.items() if name in run or name in ALWAYS}


def _facts(run: Section) -> str:
    facts = run["facts"]
    settings = ", ".join(f"`{name}={value}`" for name, value in run["settings"].items())
    minutes = sum(run["seconds"].values()) / 60
    return (
        f"All figures but those that give another date are from one run of `bin/bench` on "
        f"{facts['date']}, {minutes:.0f} minutes: "
        f"ECS {facts['ecs']}, {facts['cores']} cores, {facts['memory_gib']} GiB, "
        f"{facts['operating_system']}, Linux {facts['kernel']}, Docker Engine {facts['engine']}, "
        f"{facts['runtime']}, {facts['storage_driver']}, cgroup v{facts['cgroup_version']}, Python "
        f"{facts['python']}; {f'with {settings}' if settings else 'default settings'}."
    )


def _targets(run: Section) -> str:
    return _table(HEADER, target_rows(run))


def _latency(run: Section) -> str:
    latency = run["latency"]
    heads = ["way"]
    for network in ("bridge: ", "no network: "):
        heads += [f"{network}median ms", "p95", "/ raw", "/ docker run"]
    rows = [
        [name, *(cell for network in NETWORKS for cell in _way_cells(latency[network][name]))]
        for name in latency[DEFAULT_NETWORK]
    ]
    return _table(heads, rows)


def _way_cells(row: Section) -> list[str]:
    return [
        _ms(row["median_seconds"]),
        _ms(row["p95_seconds"]),
        f"{row['median_to_raw']:.2f}",
        f"{row['median_to_docker_run']:.2f}",
    ]


def _warm(run: Section) -> str:
    warm = run["warm"]
    rows = [
        ["whole request, median", f"{_ms(warm['warm']['median_seconds'])} ms"],
        ["whole request, p95", f"{_ms(warm['warm']['p95_seconds'])} ms"],
        ["whole request / `docker run --rm`, medians", f"{warm['median_to_docker_run']:.3f}"],
        ["first byte, median", f"{_ms(warm['first_byte']['median_seconds'])} ms"],
        ["hit rate", f"{warm['hits'] / (warm['hits'] + warm['misses']):.2f}"],
    ]
    return _table([f"{warm['containers']} containers, {warm['warm']['count']} rounds", ""], rows)


def _burst(run: Section) -> str:
    burst = run["burst"]
    docker_run = burst["docker_run"]
    rows = [
        [
            f"{burst['requests']} {ready}",
            _ms(burst[name]["median_seconds"]),
            _ms(burst[name]["max_seconds"]),
            f"{burst[name]['pairwise_to_docker_run']:.3f}",
            f"{burst[name]['hit_rate']:.2f}",
        ]
        for name, ready in READY_NAMES.items()
    ]
    workers = f"`docker run --rm`, {burst['docker_run_workers']} workers"
    seconds = [_ms(docker_run[f"{which}_seconds"]) for which in ("median", "max")]
    heads = [
        f"{burst['requests']} tasks at once, {docker_run['count']} rounds",
        "median ms",
        "max",
        "/ docker run (pairs)",
        "hit rate",
    ]
    return _table(heads, [*rows, [workers, *seconds, "1", ""]])


def _throughput(run: Section) -> str:
    throughput = run["throughput"]
    return f"{_curve(throughput)}\n\n{_batch(throughput)}"


def _curve(throughput: Section) -> str:
    heads = ["clients"]
    for network in ("bridge: ", "no network: "):
        heads += [f"{network}ECS", "docker run", "raw", "ECS / docker run"]
    curves = [throughput[network]["curve"] for network in NETWORKS]
    rows = [
        [str(cells[0]["clients"]), *(figure for cell in cells for figure in _curve_cells(cell))]
        for cells in zip(*curves, strict=True)
    ]
    return _table(heads, rows)


def _curve_cells(cell: Section) -> list[str]:
    rates = [cell[way]["tasks_per_second"] for way in (ECS, DOCKER_RUN, RAW)]
    return [*(f"{rate:.2f}" for rate in rates), f"{rates[0] / rates[1]:.2f}"]


def _batch(throughput: Section) -> str:
    heads = ["each at its best", "ECS: clients", "tasks/s", "sandboxed", "docker run: workers"]
    heads += ["tasks/s", "ECS / docker run (pairs)", "failures"]
    batches = {network: throughput[network]["batch"] for network in NETWORKS}
    rows = [
        [
            f"{NETWORKS[network]}, {len(batch[ECS])} times {batch['tasks']} tasks",
            str(batch["ecs_clients"]),
            _median_rate(batch[ECS]),
            f"{statistics.mean(map(sandboxed_share, batch[ECS])):.2f}",
            str(batch["docker_run_workers"]),
            _median_rate(batch[DOCKER_RUN]),
            f"{batch['pairwise_to_docker_run']:.2f}",
            str(sum(len(each["failures"]) for way in (ECS, DOCKER_RUN) for each in batch[way])),
        ]
        for network, batch in batches.items()
    ]
    return _table(heads, rows)


def _median_rate(crowds: Iterable[Section]) -> str:
    return f"{statistics.median(each['tasks_per_second'] for each in crowds):.2f}"


def _poisson(run: Section) -> str:
    poisson = run["poisson"]
    heads = ["ready", "load", "tasks/s", "seconds", "requests", "hit rate"]
    heads += [f"p{PERCENTILES[0]} ms", *(f"p{each}" for each in PERCENTILES[1:]), "errors"]
    rows = [
        [f"{poisson['ready']} {ready}", *_step_cells(step)]
        for name, ready in READY_NAMES.items()
        for step in poisson[name]["steps"]
    ]
    rates = "; ".join(
        f"{poisson[name]['sustained_tasks_per_second']:.2f} tasks a second with "
        f"{poisson['ready']} {ready}, by {poisson[name]['clients']} clients"
        for name, ready in READY_NAMES.items()
    )
    return (
        f"Sustained, which is a load of 100 %: {rates}.\n\n"
        f"![Latency percentiles and hit rate over the load]({POISSON_PLOT})\n\n"
        f"{_table(heads, rows)}"
    )


def _step_cells(step: Section) -> list[str]:
    latency = step["latency"]
    return [
        f"{step['load']:.0%}".replace("%", " %"),
        f"{step['offered_tasks_per_second']:.2f}",
        f"{step['seconds']:.0f}",
        str(step["requests"]),
        "" if step["hit_rate"] is None else f"{step['hit_rate']:.2f}",
        *("" if latency is None else _ms(latency[f"p{each}_seconds"]) for each in PERCENTILES),
        ", ".join(f"{count} of {kind}" for kind, count in step["errors"].items()) or "0",
    ]


def _output(run: Section) -> str:
    output = run["output"]
    heads = ["way", "seconds, median", "what the service's memory rose by at its peak"]
    rows = [
        [
            name,
            f"{row['median_seconds']:.2f}",
            f"{row['service_growth_bytes'] / MB_BYTES:.1f} MB" if name.startswith(ECS) else "",
        ]
        for name, row in output.items()
    ]
    return _table(heads, rows)


def _noop(run: Section) -> str:
    noop = run["noop"]
    rows = [
        [name, *(f"{figure:,.0f}" for figure in (statistics.median(own), min(own), max(own)))]
        for name, own in noop["requests_per_second"].items()
    ]
    ratio = ["ECS / bare, median of the turns' ratios", f"{noop['pairwise_to_bare']:.2f}", "", ""]
    heads = [f"requests a second, {noop['connections']} connections", "median", "min", "max"]
    return _table(heads, [*rows, ratio])


def _sleepers(run: Section) -> str:
    sleepers = run["sleepers"]
    all_running = sleepers["seconds_to_all_running"]
    before, peak = (
        f"{sleepers[f'resident_{when}_bytes'] / MB_BYTES:.0f} MB" for when in ("before", "peak")
    )
    watched = [
        ["all running after", "never" if all_running is None else f"{all_running:.1f} s"],
        ["most running at once", str(sleepers["peak_running"])],
        ["last answer after", f"{sleepers['seconds_to_last_answer']:.1f} s"],
        ["nothing left after", f"{sleepers['seconds_to_clean']:.1f} s"],
        ["the service's memory before, and at its peak", f"{before}, {peak}"],
        ["failures", str(len(sleepers["failures"]))],
    ]
    probes = [
        [
            f"{PROBE_NAMES[probe]}, {PHASE_NAMES[phase]}",
            str(row["count"]),
            *(_ms(row[f"{which}_seconds"]) for which in ("median", "p95", "max")),
        ]
        for probe in PROBE_NAMES
        for phase, row in sleepers[probe].items()
    ]
    heads = [f"{sleepers['sleepers']} tasks of `sleep {sleepers['sleep_seconds']}`", ""]
    probe_heads = ["meanwhile", "requests", "median ms", "p95", "max"]
    return f"{_table(heads, watched)}\n\n{_table(probe_heads, probes)}"


def _front_door(run: Section) -> str:
    front_door = run["front_door"]
    rows = [
        [name, *(f"{figure:.1f}" for figure in (statistics.median(own), min(own), max(own)))]
        for name, own in front_door["noop_milliseconds"].items()
    ]
    added = ["what nginx adds", f"{front_door['added_milliseconds']:.1f}", "", ""]
    ratio = [
        "while guessed / in the quiet, median of the turns' ratios",
        f"{front_door['guessed_to_quiet']:.2f}",
        "",
        "",
    ]
    heads = [f"`_noop` on {run['facts']['date']}", "median ms", "min", "max"]
    return _table(heads, [*rows, added, ratio])


def _ms(seconds: float) -> str:
    milliseconds = seconds * MS_PER_SECOND
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:.0f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


READY_NAMES = {SANDBOXED: "sandboxes", WARM: "warm containers"}
PROBE_NAMES = {"noop": "`_noop`", "short_task": "a short task"}
PHASE_NAMES = {
    "starting": "while they start",
    "all running": "while all sleep",
    "ending": "while they end",
}
TABLES: Mapping[str, Callable[[Section], str]] = {
    "facts": _facts,
    "targets": _targets,
    "latency": _latency,
    "warm": _warm,
    "burst": _burst,
    "throughput": _throughput,
    "poisson": _poisson,
    "output": _output,
    "noop": _noop,
    "sleepers": _sleepers,
    "front_door": _front_door,
}

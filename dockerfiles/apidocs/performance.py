"""The published performance and service-level figures as Markdown."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

_RATES = {
    "ecs_tasks_per_second": "ECS",
    "docker_run_tasks_per_second": "docker run --rm",
    "raw_tasks_per_second": "raw",
}


def performance_markdown(figures: dict[str, Any]) -> str:
    """Return the text and tables of ``figures``, the content of docs/performance.json."""
    return "\n\n".join(
        (
            _introduction(figures),
            _latency(figures["latency"]),
            _throughput(figures["throughput"]),
            _output(figures["output"]),
        )
    )


def _introduction(figures: dict[str, Any]) -> str:
    machine = figures["machine"]
    return (
        f"Measured on {figures['date']} with ECS {machine['ecs']}, beside the ways it replaces, on "
        f"a machine that did nothing else: {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['operating_system']}, Linux {machine['kernel']}, Docker Engine "
        f"{machine['engine']}, {machine['runtime']}, {machine['storage_driver']}, cgroup "
        f"v{machine['cgroup_version']}. Your figures depend on your machine; read the ratios. "
        "The client was on the same machine and spoke to the service itself, without the nginx in "
        "front. *Raw* is the same sequence of calls, sent straight to the engine's API."
    )


def _latency(latency: dict[str, Any]) -> str:
    rows = [
        (
            way["way"],
            *(
                text
                for network in ("default", "none")
                for text in (
                    _milliseconds(way[network]["median_seconds"]),
                    _milliseconds(way[network]["p95_seconds"]),
                    f"{way[network]['median_to_raw']:.2f}",
                )
            ),
        )
        for way in latency["ways"]
    ]
    heads = ("way", "median", "p95", "/ raw", "no network: median", "p95", "/ raw")
    return (
        f"## Latency\n\n`echo hello` in a cached image, {latency['runs']} runs of each way in "
        f"turn, milliseconds.\n\n{_table(heads, rows)}"
    )


def _throughput(throughput: list[dict[str, Any]]) -> str:
    rows = [
        (
            str(point["clients"]),
            *(f"{rate:.2f}" for network in ("default", "none") for rate in point[network].values()),
        )
        for point in throughput
    ]
    names = [_RATES[name] for name in throughput[0]["default"]]
    heads = ("clients", *names, *(f"no network: {name}" for name in names))
    return f"## Throughput\n\n`echo hello`, tasks a second.\n\n{_table(heads, rows)}"


def _output(output: dict[str, Any]) -> str:
    rows = [
        (
            way["way"],
            f"{way['median_seconds']:.2f}",
            f"{way['service_growth_bytes'] / 1e6:.1f} MB" if "service_growth_bytes" in way else "",
        )
        for way in output["ways"]
    ]
    heads = ("way", "seconds, median", "growth of the service's memory")
    return (
        f"## Output\n\n{output['bytes'] / 1e6:.0f} MB of stdout, {output['runs']} runs of each "
        f"way.\n\n{_table(heads, rows)}"
    )


def sla_markdown(sla: dict[str, Any]) -> str:
    """Return the text of ``sla``, the content of docs/sla.json: what ``ecsctl sla --json`` writes.

    What is ``null`` there was not measured and is left out.
    """
    objective = sla["objective"]
    days = sla["window_seconds"] / 86_400
    window = f"{days:.1f} days" if days >= 1 else f"{days * 24:.1f} hours"
    sentences = [
        "## Service level",
        f"The objective: {objective['availability_percent']:g} % available, and 95 of 100 tasks "
        f"delayed by at most {objective['overhead_p95_seconds']:g} s beyond their own time. "
        f"Measured from {sla['since']} to {sla['until']} ({window}{_coverage(sla)}):",
        "\n".join((*_availability(sla["availability"]), *_overhead(sla["overhead"]))),
    ]
    return "\n\n".join(sentences)


def _coverage(sla: dict[str, Any]) -> str:
    """Say of how much of the window there was data, unless it was all or is not known."""
    measured = sla.get("coverage")
    if not measured or measured["minutes"] == measured["window_minutes"]:
        return ""
    return f", with data of {math.floor(measured['ratio'] * 1000) / 10:g} % of it"


def _availability(availability: dict[str, Any]) -> Iterator[str]:
    for name, meaning in (
        ("requests", "requests were not answered 5xx"),
        ("tasks", "tasks did not fail through ECS or its engine"),
        ("up_minutes", "minutes the service could be reached"),
        ("probe_minutes", "minutes a probe from outside succeeded"),
    ):
        if measured := availability[name]:
            percent = math.floor(measured["ratio"] * 100_000) / 1000
            yield f"- {percent:g} %: {measured['good']:,} of {measured['total']:,} {meaning}."


def _overhead(overhead: dict[str, Any] | None) -> Iterator[str]:
    if not overhead:
        return
    largest = overhead["largest_bucket_seconds"]
    percentiles = ", ".join(
        f"p{percent} more than {largest:g} s"
        if (seconds := overhead[f"p{percent}_seconds"]) is None
        else f"p{percent} {_milliseconds(seconds)} ms"
        for percent in (50, 95, 99)
    )
    yield f"- Added to {overhead['tasks']:,} tasks by ECS and the engine: {percentiles}."


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""Command line: start the service, run the chosen sections, print tables, write one JSON file."""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from uuid import uuid4

from benchmarks import (
    burst,
    front_door,
    latency,
    noop,
    output,
    poisson,
    sleepers,
    throughput,
    warm,
)
from benchmarks.bench import DEFAULT_NETWORK, NETWORKS, NO_NETWORK, Bench, Section
from benchmarks.bodies import task_host_config
from benchmarks.facts import facts
from benchmarks.raw import BENCHMARK_LABEL, raw_engine
from benchmarks.report import table
from benchmarks.service import running_service
from benchmarks.targets import HEADER, target_rows

DEFAULT_IMAGE = "busybox:latest"
DEFAULT_JSON = Path("build/bench.json")

# In the order they run: the heavy ones last, so that their aftermath meets nobody.
SECTIONS: Mapping[str, Callable[[Bench], Awaitable[Section]]] = {
    "latency": latency.measure,
    "warm": warm.measure,
    "burst": burst.measure,
    "noop": noop.measure,
    "output": output.measure,
    "throughput": throughput.measure,
    "poisson": poisson.measure,
    "sleepers": sleepers.measure,
    "front_door": front_door.measure,
}
# It needs images that take minutes to build.
ONLY_NAMED = "front_door"
# Long even when it is small.
NOT_QUICK = "sleepers"


def main() -> None:
    """Parse the arguments and run."""
    options = _options()
    try:
        asyncio.run(_run(options))
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit("stopped by a signal")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/bench", description="Measure the service.")
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="section",
        help=f"which to run: {', '.join(SECTIONS)}; default all but {ONLY_NAMED}",
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"few runs; {NOT_QUICK} only when it is named"
    )
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="file for the figures")
    parser.add_argument("--image", default=DEFAULT_IMAGE, help="an image with echo, dd and sleep")
    parser.add_argument(
        "--network",
        action="append",
        choices=[*NETWORKS],
        help="for latency and throughput; default both",
    )
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="ECS_NAME=VALUE",
        help="a setting of the service; recorded in the JSON file",
    )
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    return options


async def _run(options: argparse.Namespace) -> None:
    task = asyncio.current_task()
    assert task is not None  # asyncio.run always runs one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    settings = dict(setting.split("=", 1) for setting in options.setting)
    run_id = uuid4().hex[:12]
    async with raw_engine() as engine:
        results: Section = {"facts": await facts(engine), "settings": settings}
        results |= {"quick": options.quick, "seconds": {}}
        _show_facts(results["facts"])
        try:
            async with running_service(engine, settings) as service:
                networks = tuple(options.network or (DEFAULT_NETWORK, NO_NETWORK))
                limits = await task_host_config(service, engine, options.image)
                results["task_host_config"] = limits
                bench = Bench(
                    service,
                    settings,
                    engine,
                    options.image,
                    networks,
                    options.quick,
                    run_id,
                    limits,
                )
                for name in _chosen(options):
                    started = time.perf_counter()
                    results[name] = await SECTIONS[name](bench)
                    results["seconds"][name] = time.perf_counter() - started
                    _write(options.json, results)
        finally:
            await asyncio.shield(engine.sweep(f"{BENCHMARK_LABEL}={run_id}"))
    if targets := target_rows(results):
        print(table("Targets", HEADER, targets))
    took = (f"{name} {seconds:.0f} s" for name, seconds in results["seconds"].items())
    print(f"\ntook: {', '.join(took)}")
    print(f"figures written to {options.json}")


def _chosen(options: argparse.Namespace) -> list[str]:
    if options.sections:
        return [name for name in SECTIONS if name in options.sections]
    left_out = {ONLY_NAMED, NOT_QUICK} if options.quick else {ONLY_NAMED}
    return [name for name in SECTIONS if name not in left_out]


def _show_facts(known: Section) -> None:
    width = max(map(len, known))
    for name, value in known.items():
        print(f"{name.replace('_', ' '):<{width}}  {value}")


def _write(path: Path, results: Section) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

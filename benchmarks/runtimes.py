"""What another runtime brings to tasks: `python -m benchmarks.runtimes NAME`, NAME of the engine's.

Two services of their own, one with the engine's default runtime and one with the other, take turns
within each round. DOCKER_HOST names the engine; it needs busybox:latest.
"""

import argparse
import asyncio
import time
from collections.abc import Mapping

from benchmarks.bench import DEFAULT_NETWORK, NO_NETWORK, Network
from benchmarks.raw import RawEngine, raw_engine
from benchmarks.report import median_ratio, ms, summary, table
from benchmarks.service import Service, decoded, running_service
from benchmarks.ways import STDOUT, ecs_request

IMAGE = "busybox:latest"
WARM_UP_ROUNDS = 3
DEFAULT_ROUNDS = 40

# Named as in the answer's `start`, with what it takes.
COLD, SANDBOXED = "cold", "sandboxed"
WAYS: tuple[tuple[str, Network, Mapping[str, str]], ...] = (
    (COLD, DEFAULT_NETWORK, {"ECS_SANDBOXES": "0"}),
    (COLD, NO_NETWORK, {"ECS_SANDBOXES": "0"}),
    (SANDBOXED, DEFAULT_NETWORK, {"ECS_SANDBOXES": "2", "ECS_SANDBOX_REUSE": "any"}),
)


def main() -> None:
    """Parse the arguments, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runtimes")
    parser.add_argument("runtime", help="one of the runtimes in `docker info`")
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS)
    options = parser.parse_args()
    print(asyncio.run(_measure(options.runtime, options.rounds)))


async def _measure(runtime: str, rounds: int) -> str:
    rows = []
    async with raw_engine() as engine:
        default = str((await engine.info())["DefaultRuntime"])
        for way, network, settings in WAYS:
            own, other = await _alternating(engine, (way, network), settings, runtime, rounds)
            ratio = f"{median_ratio(other, own):.2f}"
            medians = (ms(summary(seconds).median_seconds) for seconds in (own, other))
            rows.append([f"{way}, network {network}", *medians, ratio])
    header = ["way", default, runtime, "ratio (median of the pairs)"]
    return table(f"echo hello, whole HTTP requests, {rounds} rounds, ms", header, rows)


async def _alternating(
    engine: RawEngine,
    way: tuple[str, Network],
    settings: Mapping[str, str],
    runtime: str,
    rounds: int,
) -> tuple[list[float], list[float]]:
    """Return the seconds of the engine's default runtime and of the other one, by round."""
    async with (
        running_service(engine, settings) as with_default,
        running_service(engine, {**settings, "ECS_RUNTIME": runtime}) as with_other,
    ):
        own: list[float] = []
        other: list[float] = []
        for number in range(WARM_UP_ROUNDS + rounds):
            pair = ((with_default, own), (with_other, other))
            # Neither has the place behind the other for itself.
            for service, seconds in pair if number % 2 else reversed(pair):
                measured = await _timed(service, *way)
                if number >= WARM_UP_ROUNDS:
                    seconds.append(measured)
        return own, other


async def _timed(service: Service, way: str, network: Network) -> float:
    """Time one request that went this way; before it the engine is at rest."""
    while True:
        await service.settle()
        started = time.perf_counter()
        answer = await service.post(ecs_request(IMAGE, network))
        seconds = time.perf_counter() - started
        decoded(answer).must_be(STDOUT)
        if answer["start"] == way:
            return seconds


if __name__ == "__main__":
    main()

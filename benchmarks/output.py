"""100 MB of stdout: seconds until it has arrived, and what it costs the service in memory."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from benchmarks.bench import DEFAULT_NETWORK, Bench, Section
from benchmarks.bodies import hardened_body
from benchmarks.raw import StdoutCounter, WrongAnswerError
from benchmarks.report import MB_BYTES, mb, summary, table
from benchmarks.service import HTTP_CREATED, Service
from benchmarks.ways import docker_run, ecs_request

BLOCK_BYTES = 64 * 1024
BLOCKS = 1600
OUTPUT_BYTES = BLOCK_BYTES * BLOCKS
# dd hands the kernel 64 KiB of zeros a write: the container is never what limits the flow.
COMMAND = ["dd", "if=/dev/zero", f"bs={BLOCK_BYTES}", f"count={BLOCKS}"]

REPEATS = 5
QUICK_REPEATS = 2

NOTE = """\
`docker run` uses the engine's default log driver, as a person at a terminal would; the raw
sequence uses ECS's. Deletion is in the clock of `docker run --rm` alone. Memory is what the
service's peak (VmHWM) rose above what it held before."""


@dataclass(frozen=True)
class Drain:
    """A way to get the output out; `run` raises WrongAnswerError when bytes are missing."""

    name: str
    run: Callable[[Bench], Awaitable[None]]


async def measure(bench: Bench) -> Section:
    """Measure each drain in turn, several times."""
    size = mb(OUTPUT_BYTES)
    print(f"\n== output ==\n{size} MB of stdout from {' '.join(COMMAND)}\n{NOTE}")
    seconds: dict[str, list[float]] = {drain.name: [] for drain in DRAINS}
    growth: dict[str, list[int]] = {drain.name: [] for drain in DRAINS}
    for _ in range(bench.sized(REPEATS, QUICK_REPEATS)):
        for drain in DRAINS:
            elapsed, grown = await _timed(bench, drain)
            seconds[drain.name].append(elapsed)
            growth[drain.name].append(grown)
    section = {name: _row(seconds[name], growth[name]) for name in seconds}
    _show(section)
    return section


async def _timed(bench: Bench, drain: Drain) -> tuple[float, int]:
    before_bytes = bench.service.resident_bytes()
    bench.service.reset_peak()
    started = time.perf_counter()
    await drain.run(bench)
    elapsed = time.perf_counter() - started
    grown_bytes = bench.service.peak_resident_bytes() - before_bytes
    await bench.engine.sweep(bench.run_label)
    await bench.service.settle()
    return elapsed, grown_bytes


async def _ecs_json(bench: Bench) -> None:
    answer = await bench.service.post(_request(bench))
    _require(answer["exitCode"] == 0, f"exit code {answer['exitCode']}")
    kept = len(base64.b64decode(answer["stdout"], validate=True))
    _require(0 < kept <= OUTPUT_BYTES, f"{kept} bytes of stdout")
    _require(answer["truncated"] or kept == OUTPUT_BYTES, "bytes are missing, and it is not said")


async def _ecs_text(bench: Bench) -> None:
    received = await _stream_size(bench.service, bench)
    _require(received == OUTPUT_BYTES, f"{received} bytes instead of {OUTPUT_BYTES}")


async def _stream_size(service: Service, bench: Bench) -> int:
    headers = {"Accept": "text/plain"}
    async with service.session.post(
        "v1.1/tasks", json=_request(bench), headers=headers
    ) as response:
        _require(response.status in (200, HTTP_CREATED), f"status {response.status}")
        return await _size(response.content.iter_any())


async def _size(chunks: AsyncIterator[bytes]) -> int:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
    return size


async def _raw(bench: Bench) -> None:
    body = hardened_body(bench, DEFAULT_NETWORK, COMMAND)
    counter = StdoutCounter()
    _, received, exit_code = await bench.engine.run_with(body, counter.count)
    _require(exit_code == 0, f"exit code {exit_code}")
    _require(received == OUTPUT_BYTES, f"{received} bytes instead of {OUTPUT_BYTES}")


async def _docker_run_to_null(bench: Bench) -> None:
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *docker_run(bench), bench.image, *COMMAND, stdout=null, stderr=null
    )
    _require(await process.wait() == 0, f"exit code {process.returncode}")


async def _docker_run_to_pipe(bench: Bench) -> None:
    process = await asyncio.create_subprocess_exec(
        *docker_run(bench),
        bench.image,
        *COMMAND,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    stdout, _ = await process.communicate()
    _require(process.returncode == 0, f"exit code {process.returncode}")
    _require(len(stdout) == OUTPUT_BYTES, f"{len(stdout)} bytes")


def _request(bench: Bench) -> dict[str, object]:
    return ecs_request(bench.image, DEFAULT_NETWORK, COMMAND)


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise WrongAnswerError(complaint)


def _row(seconds: list[float], growth_bytes: list[int]) -> Section:
    return {
        **summary(seconds).as_json(),
        "mb_per_second": OUTPUT_BYTES / MB_BYTES / summary(seconds).median_seconds,
        "service_growth_bytes": max(growth_bytes),
        "samples_seconds": seconds,
    }


def _show(section: Section) -> None:
    header = ["way", "median s", "max s", "MB/s", "service's peak growth MB"]
    rows = [
        [
            name,
            f"{row['median_seconds']:.2f}",
            f"{row['max_seconds']:.2f}",
            f"{row['mb_per_second']:.0f}",
            mb(row["service_growth_bytes"]) if name.startswith("ECS") else "-",
        ]
        for name, row in section.items()
    ]
    runs = next(iter(section.values()))["count"]
    print(table(f"{mb(OUTPUT_BYTES)} MB of stdout, {runs} runs each", header, rows))


DRAINS = [
    Drain("ECS, JSON (head and tail)", _ecs_json),
    Drain("ECS, text/plain (all of it)", _ecs_text),
    Drain("raw API, attach, all of it", _raw),
    Drain("docker run --rm > /dev/null", _docker_run_to_null),
    Drain("docker run --rm, read from a pipe", _docker_run_to_pipe),
]

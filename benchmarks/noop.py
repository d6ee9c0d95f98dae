"""Requests a second that the service's `_noop` answers, beside a Tornado that does nothing else.

Both are one process on one core; wrk asks from another core. The two take turns.
"""

import asyncio
import re
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from benchmarks.bench import Bench, Section
from benchmarks.report import median_ratio, table
from benchmarks.service import free_port

TURNS = 5
QUICK_TURNS = 2
TURN_SECONDS = 5
QUICK_TURN_SECONDS = 1
WARM_UP_SECONDS = 1
WRK_THREADS = 1
WRK_CONNECTIONS = 32

NOOP_PATH = "/v1.1/_noop"
START_LIMIT_SECONDS = 20.0
START_POLL_SECONDS = 0.05

RATE = re.compile(r"^Requests/sec:\s+([\d.]+)$", re.MULTILINE)
REFUSED = re.compile(r"Non-2xx|Socket errors")

ECS = "ECS _noop"
BARE = "bare Tornado handler"


class WrkError(Exception):
    """wrk did not run, or counted errors."""


async def measure(bench: Bench) -> Section:
    """Let wrk ask both servers in turn."""
    print(f"\n== noop ==\n{__doc__.strip()}")
    async with _bare_server() as port:
        ports = {ECS: bench.service.port, BARE: port}
        rates: dict[str, list[float]] = {name: [] for name in ports}
        for server_port in ports.values():
            await _rate(server_port, WARM_UP_SECONDS)
        for _ in range(bench.sized(TURNS, QUICK_TURNS)):
            for name, server_port in ports.items():
                seconds = bench.sized(TURN_SECONDS, QUICK_TURN_SECONDS)
                rates[name].append(await _rate(server_port, seconds))
    section = {
        "requests_per_second": rates,
        "connections": WRK_CONNECTIONS,
        "pairwise_to_bare": median_ratio(rates[ECS], rates[BARE]),
    }
    _show(section)
    return section


@asynccontextmanager
async def _bare_server() -> AsyncIterator[int]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.bare_tornado", str(port)
    )
    try:
        await _until_listening(port)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _until_listening(port: int) -> None:
    async with asyncio.timeout(START_LIMIT_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}{NOOP_PATH}"):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(START_POLL_SECONDS)


async def _rate(port: int, seconds: int) -> float:
    process = await asyncio.create_subprocess_exec(
        "wrk",
        f"--threads={WRK_THREADS}",
        f"--connections={WRK_CONNECTIONS}",
        f"--duration={seconds}s",
        f"http://127.0.0.1:{port}{NOOP_PATH}",
        stdout=asyncio.subprocess.PIPE,
    )
    output = (await process.communicate())[0].decode()
    rate = RATE.search(output)
    if process.returncode or rate is None or REFUSED.search(output):
        raise WrkError(output)
    return float(rate[1])


def _show(section: Section) -> None:
    rates: dict[str, list[float]] = section["requests_per_second"]
    header = ["server", "median", "min", "max"]
    rows = [
        [name, *(f"{figure:.0f}" for figure in (statistics.median(own), min(own), max(own)))]
        for name, own in rates.items()
    ]
    title = f"Requests per second, {WRK_CONNECTIONS} connections, {len(rates[ECS])} turns each"
    print(table(title, header, rows))
    print(f"ECS / bare, median of the turns' ratios: {section['pairwise_to_bare']:.3f}")

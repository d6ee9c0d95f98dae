"""Starts the crowd's process and stops it."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.load.records import Records, parse

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
ROOT = Path(__file__).parents[2]
# Users in the middle of a request may finish it: the longest waits for its turn in a queue.
FINISH_SECONDS = 90
KILL_AFTER_SECONDS = FINISH_SECONDS + 15
LOG_TAIL_LINES = 15


class GeneratorError(Exception):
    """The crowd did not do what it was told."""


class Generator:
    """One run of the crowd."""

    def __init__(
        self,
        directory: Path,
        url: str,
        stages: Sequence[tuple[int, float]],
        *,
        soak_volume_image: str = "",
        requests_per_second: float = 0.0,
    ) -> None:
        """Prepare it: ``stages`` are numbers of users with seconds; records go to ``directory``."""
        self._records = directory / "records"
        self._log = directory / "locust.log"
        self._command: list[str | Path] = [
            sys.executable, "-m", "locust", "-f", LOCUSTFILE, "--headless", "--host", url,
            "--only-summary", "--loglevel", "WARNING", "--exit-code-on-error", "0",
            "--stop-timeout", str(FINISH_SECONDS), "--records", self._records,
            "--stages", ",".join(f"{users}x{seconds}" for users, seconds in stages),
            "--soak-volume-image", soak_volume_image,
            "--requests-per-second", str(requests_per_second),
        ]  # fmt: skip
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, out of Ctrl-C's reach: who called it stops it."""
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    async def finished(self) -> None:
        """Return when it has ended.

        Raises:
            GeneratorError: it failed.
        """
        assert self._process is not None
        if await self._process.wait():
            tail = "\n".join(self._log.read_text().splitlines()[-LOG_TAIL_LINES:])
            raise GeneratorError(f"locust ended with {self._process.returncode}:\n{tail}")

    async def stop(self) -> None:
        """End it, and let its users finish what they are at."""
        assert self._process is not None
        if self._process.returncode is not None:
            return
        # To SIGTERM locust answers with a status that looks like a failure.
        self._process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(KILL_AFTER_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def records(self) -> Records:
        """Return what it did."""
        if not self._records.exists():
            return Records([], [])
        whole_lines = self._records.read_text().rpartition("\n")[0]
        return parse(whole_lines.splitlines())

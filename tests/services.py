"""The real service, as an operator starts it: one process, configured by its environment."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from tests.network import free_port
from tests.waiting import eventually

PROGRAM = Path(sys.executable).parent / "ecservice"
START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 30
LOG_TAIL_LINES = 30


class ECService:
    """One ecservice process; it may be started again, with the same settings and directories."""

    def __init__(self, directory: Path, instance: str, settings: Mapping[str, str]) -> None:
        port = str(free_port())
        defaults = {
            "ECS_ADDRESS": "127.0.0.1",
            "ECS_PORT": port,
            "ECS_INSTANCE": instance,
            # Tests that are about them turn them on: each takes a moment of every start and stop.
            "ECS_SANDBOXES": "0",
            "ECS_STATE_DIRECTORY": str(directory / "state"),
            "ECS_SPOOL_DIRECTORY": str(directory / "spool"),
        }
        self.settings = defaults | dict(settings)
        self.instance = self.settings["ECS_INSTANCE"]
        self.url = f"http://{self.settings['ECS_ADDRESS']}:{self.settings['ECS_PORT']}"
        self.log_path = directory / "log"
        self.command: list[str | Path] = [PROGRAM]
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("ECS_STATE_DIRECTORY", "ECS_SPOOL_DIRECTORY"):
            Path(self.settings[name]).mkdir(parents=True, exist_ok=True)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running or last process."""
        assert self._process, "the service was never started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self, *, ready: bool = True) -> None:
        """Start the process, and wait until it is ready unless told not to."""
        assert not self.is_running
        self._process = self._spawn()
        if ready:
            await eventually(self._is_ready, START_TIMEOUT_SECONDS)

    async def stop(self) -> None:
        """Stop it as an operator does, and see it end well."""
        self.process.terminate()
        status = await self.wait(STOP_TIMEOUT_SECONDS)
        assert status == 0, f"exit code {status}; the log ends:\n{self.log_tail()}"

    async def kill(self) -> None:
        """End it without giving it any chance to clean up."""
        self.process.kill()
        await self.wait(STOP_TIMEOUT_SECONDS)

    async def wait(self, timeout: float) -> int:
        """Wait until the process ends, and return its exit code."""
        # Polled, since wait() would stop the event loop that the service's clients run on.
        await eventually(lambda: not self.is_running, timeout)
        return self.process.returncode

    def log_lines(self) -> list[dict[str, Any]]:
        """The log so far; a line that is being written is left out."""
        complete, _, _ = self.log_path.read_text(encoding="utf-8").rpartition("\n")
        return [json.loads(line) for line in complete.splitlines()]

    def log_tail(self) -> str:
        return "\n".join(self.log_path.read_text(encoding="utf-8").splitlines()[-LOG_TAIL_LINES:])

    def rss_bytes(self) -> int:
        """Memory that is resident now."""
        return self._status_bytes("VmRSS")

    def peak_rss_bytes(self) -> int:
        """The most memory that was ever resident, or since its peak was forgotten."""
        return self._status_bytes("VmHWM")

    def forget_peak_rss(self) -> None:
        """Have the kernel measure the peak anew from here on (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    def _status_bytes(self, field: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found, status
        return int(found[1]) * 1024

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                self.command,
                env=os.environ | self.settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for who started it, who stops it
            )

    async def _is_ready(self) -> bool:
        assert self.is_running, f"the service ended while it started:\n{self.log_tail()}"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(f"{self.url}/readyz") as response,
            ):
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError):
            return False

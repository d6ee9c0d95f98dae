"""A real Prometheus on this machine, which holds a given history and scrapes nothing."""

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.network import free_port
from tests.waiting import wait_until

START_TIMEOUT_SECONDS = 30


@contextmanager
def running_prometheus(directory: Path, history: str = "") -> Iterator[str]:
    """Run one in this directory, with the history (OpenMetrics text); yield its URL."""
    if history:
        metrics = directory / "history.txt"
        metrics.write_text(f"{history}# EOF\n", encoding="utf-8")
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", metrics, directory / "data"],
            check=True,
            capture_output=True,
            timeout=60,
        )
    configuration = directory / "prometheus.yml"
    configuration.write_text("{}\n")
    url = f"http://127.0.0.1:{free_port()}"
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={configuration}",
                f"--storage.tsdb.path={directory / 'data'}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address={url.removeprefix('http://')}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: _is_ready(url) or process.poll() is not None, START_TIMEOUT_SECONDS)
        assert process.poll() is None, (directory / "log").read_text()
        yield url
    finally:
        process.terminate()
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False

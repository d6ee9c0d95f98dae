"""Files of ecsctl for node_exporter, and the real node_exporter that reads them."""

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.network import free_port
from tests.waiting import wait_until

START_TIMEOUT_SECONDS = 30


def samples(path: Path) -> dict[str, float]:
    """What a textfile says, after promtool has found nothing wrong with it."""
    text = path.read_text(encoding="utf-8")
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


@contextmanager
def node_exporter(directory: Path) -> Iterator[str]:
    """Run one that exposes the textfiles of a directory, and nothing else; yield HOST:PORT."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            "prometheus-node-exporter",
            "--collector.disable-defaults",
            "--collector.textfile",
            f"--collector.textfile.directory={directory}",
            "--web.disable-exporter-metrics",
            f"--web.listen-address={address}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _exposed(address) or process.poll() is not None, START_TIMEOUT_SECONDS)
        assert process.poll() is None
        yield address
    finally:
        process.terminate()
        process.wait()


def exposed(address: str) -> str:
    """What node_exporter answers to Prometheus."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def _exposed(address: str) -> bool:
    try:
        return bool(exposed(address))
    except (urllib.error.URLError, ConnectionError):
        return False

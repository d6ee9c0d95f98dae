"""Debian's Prometheus beside a soak, so that its metrics can be asked afterwards."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.network import free_port

SCRAPE_INTERVAL = "5s"
RETENTION = "30d"
STOP_SECONDS = 30


@contextmanager
def scraping(service_url: str, directory: Path) -> Iterator[str]:
    """Scrape a service's /metrics, keep the data in ``directory``; yield Prometheus's URL."""
    program = shutil.which("prometheus")
    if program is None:
        raise FileNotFoundError("prometheus is missing: apt-get install prometheus")
    directory.mkdir(parents=True, exist_ok=True)
    target = urlsplit(service_url).netloc
    configuration = directory / "prometheus.yml"
    configuration.write_text(
        f"global: {{scrape_interval: {SCRAPE_INTERVAL}}}\n"
        "scrape_configs:\n"
        f"  - {{job_name: ecs, static_configs: [{{targets: ['{target}']}}]}}\n"
    )
    data = directory / "data"
    address = f"127.0.0.1:{free_port()}"
    command = [
        program, f"--config.file={configuration}", f"--storage.tsdb.path={data}",
        f"--storage.tsdb.retention.time={RETENTION}", f"--web.listen-address={address}",
    ]  # fmt: skip
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    print(f"Prometheus: http://{address}, its data in {data}")
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        print(f"to ask it again: prometheus {' '.join(command[1:])}")

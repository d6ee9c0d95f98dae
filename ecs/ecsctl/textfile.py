"""Files for node_exporter's textfile collector: what a timer's command tells Prometheus."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

_MODE = 0o644
"""node_exporter is a user of its own."""


def by_check(name: str, text: str, values: Iterable[tuple[str, float]]) -> str:
    """Return a gauge with a sample for each check, in Prometheus's text format."""
    samples = (f'{name}{{check="{check}"}} {value}\n' for check, value in values)
    return "".join((_head(name, text), *samples))


def moment(name: str, text: str, unix_seconds: float) -> str:
    """Return a gauge whose one value is a point in time."""
    return f"{_head(name, text)}{name} {unix_seconds:.3f}\n"


def write(path: Path, text: str) -> None:
    """Replace the file in one step: whoever reads it sees the old or the new, whole.

    Raises:
        OSError: the file cannot be written; what was there stays.
    """
    # Not *.prom, which the collector would read.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(_MODE)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def _head(name: str, text: str) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} gauge\n"

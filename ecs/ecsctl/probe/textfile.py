"""The outcome of a probe as a file for node_exporter's textfile collector."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ecs.ecsctl.probe.checks import Outcome

_MODE = 0o644
"""node_exporter is a user of its own."""


def exposition(outcomes: Sequence[Outcome], now_seconds: float) -> str:
    """Return the metrics in Prometheus's text format; ``now_seconds`` is the Unix time."""
    return "".join(
        (
            _head("ecs_probe_success", "Whether the last probe of this kind succeeded (1) or not."),
            *(_sample("ecs_probe_success", one.check, int(one.success)) for one in outcomes),
            _head("ecs_probe_duration_seconds", "How long the last probe of this kind took."),
            *(_sample("ecs_probe_duration_seconds", one.check, one.seconds) for one in outcomes),
            _head("ecs_probe_last_run_timestamp_seconds", "When the probe ran, as Unix time."),
            f"ecs_probe_last_run_timestamp_seconds {now_seconds:.3f}\n",
        )
    )


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


def _sample(name: str, check: str, value: float) -> str:
    return f'{name}{{check="{check}"}} {value}\n'

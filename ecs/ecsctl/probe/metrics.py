"""The outcome of a probe as metrics."""

from collections.abc import Sequence

from ecs.ecsctl import textfile
from ecs.ecsctl.probe.checks import Outcome


def exposition(outcomes: Sequence[Outcome], now_seconds: float) -> str:
    """Return the metrics in Prometheus's text format; ``now_seconds`` is the Unix time."""
    return "".join(
        (
            textfile.by_check(
                "ecs_probe_success",
                "Whether the last probe of this kind succeeded (1) or not.",
                ((one.check, int(one.success)) for one in outcomes),
            ),
            textfile.by_check(
                "ecs_probe_duration_seconds",
                "How long the last probe of this kind took.",
                ((one.check, one.seconds) for one in outcomes),
            ),
            textfile.moment(
                "ecs_probe_last_run_timestamp_seconds",
                "When the probe ran, as Unix time.",
                now_seconds,
            ),
        )
    )

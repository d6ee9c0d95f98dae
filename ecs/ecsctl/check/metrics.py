"""The findings as metrics, for the alerts of observability/alerts.yaml."""

from collections.abc import Sequence
from datetime import datetime

from ecs.ecsctl import textfile
from ecs.ecsctl.check.findings import Finding, Level


def exposition(findings: Sequence[Finding], not_after: datetime | None, now: datetime) -> str:
    """Return the metrics in Prometheus's text format.

    ``not_after`` is when the certificate expires, ``None`` where none can be read. A check that
    could not be made has not succeeded.
    """
    certificate = (
        textfile.moment(
            "ecs_certificate_not_after_timestamp_seconds",
            "When the front door's certificate expires, as Unix time.",
            not_after.timestamp(),
        )
        if not_after
        else ""
    )
    return "".join(
        (
            textfile.by_check(
                "ecs_check_success",
                "Whether the last check of this kind was made and did not fail (1) or not.",
                ((one.name, int(one.is_made and one.level != Level.FAILURE)) for one in findings),
            ),
            certificate,
            textfile.moment(
                "ecs_check_last_run_timestamp_seconds",
                "When the checks were made, as Unix time.",
                now.timestamp(),
            ),
        )
    )

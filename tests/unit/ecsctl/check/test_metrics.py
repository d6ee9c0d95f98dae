from datetime import UTC, datetime

from ecs.ecsctl.check.findings import Finding, failure, not_checked, ok, warning
from ecs.ecsctl.check.metrics import exposition

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ENDS = datetime(2026, 12, 6, tzinfo=UTC)


def samples(findings: list[Finding], not_after: datetime | None = None) -> list[str]:
    lines = exposition(findings, not_after, NOW).splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_a_check_succeeds_unless_it_fails_or_cannot_be_made() -> None:
    findings = [
        ok("seccomp", "there"),
        warning("cgroups", "version 1", "use 2"),
        failure("firewall", "not loaded", "load it"),
        not_checked("clock", "not permitted", "ask it"),
    ]

    assert samples(findings) == [
        'ecs_check_success{check="seccomp"} 1',
        'ecs_check_success{check="cgroups"} 1',
        'ecs_check_success{check="firewall"} 0',
        'ecs_check_success{check="clock"} 0',
        "ecs_check_last_run_timestamp_seconds 1795694400.000",
    ]


def test_the_end_of_a_certificate_that_can_be_read_is_told() -> None:
    told = samples([ok("seccomp", "there")], ENDS)

    assert "ecs_certificate_not_after_timestamp_seconds 1796515200.000" in told

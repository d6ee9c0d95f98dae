import pytest

from ecs.ecsctl.sla.objective import Objective, changed


def test_one_value_is_changed_and_the_others_stay() -> None:
    assert changed(Objective(), "availability_percent=99.9") == Objective(
        99.9, Objective().overhead_p95_seconds
    )


@pytest.mark.parametrize(
    ("assignment", "why"),
    [
        ("99.9", "is none of availability_percent=NUMBER, overhead_p95_seconds=NUMBER"),
        ("latency=1", "is none of availability_percent=NUMBER"),
        ("availability_percent=high", "availability_percent = 'high' is no number"),
        ("availability_percent=100", "above 0 and below 100"),
        ("availability_percent=nan", "above 0 and below 100"),
        ("availability_percent=0", "above 0 and below 100"),
        ("overhead_p95_seconds=0", "seconds above 0"),
        ("overhead_p95_seconds=inf", "seconds above 0"),
    ],
)
def test_an_objective_that_nobody_can_keep_is_refused(assignment: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        changed(Objective(), assignment)

from ecs.ecsctl.probe.checks import Outcome
from ecs.ecsctl.probe.metrics import exposition

OUTCOMES = [
    Outcome("noop", True, 200, 0.002, ""),
    Outcome("task", False, 503, 0.25, "the queue is full"),
]


def test_the_metrics_are_those_of_the_last_probe() -> None:
    lines = exposition(OUTCOMES, 1714521600.25).splitlines()

    assert [line for line in lines if not line.startswith("#")] == [
        'ecs_probe_success{check="noop"} 1',
        'ecs_probe_success{check="task"} 0',
        'ecs_probe_duration_seconds{check="noop"} 0.002',
        'ecs_probe_duration_seconds{check="task"} 0.25',
        "ecs_probe_last_run_timestamp_seconds 1714521600.250",
    ]

"""Which containers are orphans; that they are found and deleted is for the tests with an engine."""

import pytest
from structlog.testing import capture_logs

from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.docker_remote_api.containers import ListedContainer
from ecs.tasks.admission import Admission
from ecs.tasks.reaper import Reaper
from ecs.tasks.sweep import OrphanSweep
from tests.fake_engine import answers, fake_engine

PAST, FUTURE = "1000000000", "99999999999"
LIVE, UNKNOWN = "ecs-task-live", "ecs-task-unknown"
SANDBOX = "ecs-sandbox-unknown"


@pytest.fixture
def reaper(no_engine: DockerRemoteApi) -> Reaper:
    return Reaper(no_engine, Admission(max_starting=1, max_running=1, max_queued=1))


@pytest.fixture
def sweep(no_engine: DockerRemoteApi, reaper: Reaper) -> OrphanSweep:
    return OrphanSweep(
        no_engine, reaper, instance="own", is_live=lambda name: name == LIVE, interval_seconds=1
    )


def container(name: str, *, instance: str = "own", deadline: str = FUTURE) -> ListedContainer:
    labels = {"ecs.instance": instance, "ecs.deadline": deadline}
    return ListedContainer("0123", [name], labels, "running")


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        (container(LIVE), None),
        (container(LIVE, deadline=PAST), None),
        (container("an-operators-own", deadline=PAST), None),
        (container(UNKNOWN), "its service does not know it"),
        (container(SANDBOX), "its service does not know it"),
        (container(SANDBOX, instance="other"), None),
        (container(SANDBOX, instance="other", deadline=PAST), "its deadline has passed"),
        (container(UNKNOWN, deadline="never"), "its service does not know it"),
        (container(UNKNOWN, instance="other"), None),
        (container(UNKNOWN, instance="other", deadline=PAST), "its deadline has passed"),
        (container(UNKNOWN, instance="other", deadline="never"), None),
        (container("ecs-warm-0123"), "its service does not know it"),
        (container("ecs-init-0123-4567", instance=""), None),
        (container("ecs-init-0123-4567", instance="", deadline=PAST), "its deadline has passed"),
        (container("ecs-trial-0123", instance=""), None),
        (container("ecs-trial-0123", instance="", deadline=PAST), "its deadline has passed"),
    ],
)
def test_an_orphan_is_one_of_ours_without_a_task_or_anybodys_past_its_deadline(
    sweep: OrphanSweep, listed: ListedContainer, reason: str | None
) -> None:
    assert sweep._reason(listed) == reason


@pytest.mark.parametrize("labels", [{}, {"ecs.deadline": ""}, {"ecs.deadline": None}])
def test_without_a_deadline_nobodys_container_is_an_orphan(
    labels: dict[str, str], sweep: OrphanSweep
) -> None:
    assert sweep._reason(ListedContainer("0123", [UNKNOWN], labels, "running")) is None


def test_what_waits_to_be_deleted_already_is_no_orphan(sweep: OrphanSweep, reaper: Reaper) -> None:
    reaper.remove(UNKNOWN)

    assert sweep._reason(container(UNKNOWN, deadline=PAST)) is None


def test_one_that_was_renamed_meanwhile_is_known_by_its_id(
    no_engine: DockerRemoteApi, sweep: OrphanSweep, reaper: Reaper
) -> None:
    spared = OrphanSweep(
        no_engine, reaper, instance="own", is_live=lambda name: name == "0123", interval_seconds=1
    )
    assert spared._reason(container(UNKNOWN)) is None

    reaper.remove("0123")

    assert sweep._reason(container(UNKNOWN)) is None


def test_a_container_waits_once_to_be_deleted_however_often_it_is_handed_over(
    reaper: Reaper,
) -> None:
    reaper.remove(UNKNOWN)
    reaper.remove(UNKNOWN)

    assert reaper.pending_count == 1
    assert reaper.is_pending(UNKNOWN)
    assert not reaper.is_pending(LIVE)


async def test_one_that_was_deleted_while_the_engine_listed_it_is_no_orphan() -> None:
    listed = [
        {
            "Id": name * 64,
            "Names": [f"/ecs-task-{name}"],
            "Labels": {"ecs.instance": "own", "ecs.deadline": FUTURE},
            "State": "exited",
        }
        for name in "abc"
    ]
    async with (
        fake_engine() as engine,
        DockerRemoteApi(EngineAddress(engine.docker_host), timeout_seconds=60) as api,
        Reaper(api, Admission(max_starting=2, max_running=1, max_queued=1)) as reaper,
    ):
        sweep = OrphanSweep(
            api, reaper, instance="own", is_live=lambda _: False, interval_seconds=1
        )
        engine.next("list", answers(200, listed[:2]), answers(200, listed[1:]))

        with capture_logs() as logs:
            await sweep.sweep()
        await reaper.drained()

        assert [line["container"] for line in logs if line["event"] == "orphan found"] == [
            "ecs-task-b"
        ]

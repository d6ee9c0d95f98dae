"""What was asked for lately is what is likely asked for again."""

import pytest

from ecs.docker_remote_api.images import LocalImage
from ecs.tasks import warm_demand as module
from ecs.tasks.warm_demand import WarmDemand
from ecs.tasks.warm_key import WarmKey, WarmKind
from tests.unit import builders

IMAGE = LocalImage("sha256:" + "0" * 64, frozenset())


def kind(user: str = "1000") -> WarmKind:
    request = builders.task_request(user=user)
    return WarmKind(WarmKey.of(request, IMAGE.image_id), request.image)


def demand_of(*users: str) -> WarmDemand:
    demand = WarmDemand()
    for user in users:
        demand.note(kind(user), IMAGE)
    return demand


def test_a_kind_is_wanted_from_its_third_task_on() -> None:
    assert demand_of("1", "1").kinds() == []
    assert demand_of("1", "1", "1").kinds() == [(kind("1"), IMAGE, 3)]


def test_what_was_asked_for_most_comes_first() -> None:
    demand = demand_of(*"1121222", *"333")

    assert [(wanted, count) for wanted, _, count in demand.kinds()] == [
        (kind("2"), 4),
        (kind("1"), 3),
        (kind("3"), 3),
    ]


def test_after_a_minute_it_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    demand = demand_of("1", "1", "1")
    now[0] += 30
    demand.note(kind("1"), IMAGE)
    now[0] += 29
    assert demand.kinds() == [(kind("1"), IMAGE, 4)]

    now[0] += 2

    assert demand.kinds() == []
    assert len(demand._tasks) == 1


def test_a_kind_can_be_taken_back() -> None:
    demand = demand_of(*"111222")

    demand.forget(kind("1"))

    assert [wanted for wanted, _, _ in demand.kinds()] == [kind("2")]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_REMEMBERED", 5)

    assert demand_of(*"1" * 100).kinds() == [(kind("1"), IMAGE, 5)]

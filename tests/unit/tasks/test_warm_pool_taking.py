"""Which task finds a warm container, and what becomes of it then."""

import asyncio
from typing import Any

import pytest

from ecs.errors import EngineUnreachableError
from ecs.tasks.init_frame import InitFrame
from ecs.tasks.model import Network, Profile, PullPolicy
from tests.fake_engine import answers
from tests.unit import builders
from tests.unit.tasks.warm_pools import REFERENCE, pool
from tests.waiting import eventually

FRAME = InitFrame(b"\xff" * 16, ["sleep"], {}, timeout_seconds=60, grace_seconds=1)


async def test_each_serves_one_task_and_is_replaced_and_deleted() -> None:
    async with pool() as ready:
        await ready.idle(2)
        first, second = ready.take(), ready.take()
        assert first
        assert second
        assert first is not second

        first.hand_over(FRAME.pieces(), "ecs-task-1")
        await eventually(lambda: "ecs-task-1" in ready.names())
        assert first.container in ready.warm.containers
        ready.warm.release(first)
        ready.warm.release(second)
        await ready.idle(2)
        await ready.reaper.drained()

        assert ready.warm.hits == 2
        assert len(ready.names()) == 2
        assert "ecs-task-1" not in ready.names()
        assert first.container not in ready.warm.containers


async def test_one_that_was_never_handed_over_serves_another_task() -> None:
    async with pool(named={REFERENCE: 1}) as ready:
        await ready.idle(1)
        reserved = ready.warm.reserve(builders.task_request())
        assert reserved
        assert ready.warm.reserve(builders.task_request()) is None

        ready.warm.release(reserved)

        assert ready.warm.reserve(builders.task_request()) is reserved


async def test_one_whose_hand_over_failed_serves_nobody() -> None:
    async with pool(named={REFERENCE: 1}) as ready:
        await ready.idle(1)
        warm = ready.take()
        assert warm
        warm.first_output.cancel()
        await asyncio.wait({warm.first_output})

        with pytest.raises(EngineUnreachableError):
            warm.hand_over(FRAME.pieces(), "ecs-task-1")
        ready.warm.release(warm)
        await ready.idle(1)

        assert ready.take() is not warm


@pytest.mark.parametrize(
    "request_fields",
    [
        {"labels": {"a": "b"}},
        {"network": Network.NONE},
        {"profile": Profile.STRICT},
        {"user": "1000"},
    ],
)
async def test_a_task_that_asks_for_something_else_finds_none(
    request_fields: dict[str, Any],
) -> None:
    async with pool() as ready:
        await ready.idle(2)
        request = builders.task_request(**request_fields)

        assert ready.warm.reserve(request) is None
        assert ready.take(request) is None
        assert ready.warm.hits == 0


async def test_a_task_that_pulls_first_reserves_none_and_may_take_one_then() -> None:
    async with pool() as ready:
        await ready.idle(2)
        request = builders.task_request(pull=PullPolicy.ALWAYS)

        assert ready.warm.reserve(request) is None
        assert ready.take(request)


async def test_one_that_is_too_old_is_handed_to_nobody_while_no_other_can_be_made() -> None:
    async with pool(named={REFERENCE: 1}) as ready:
        await ready.idle(1)
        ready.keeping.cancel()
        (warm,) = ready.warm._idle

        warm._made_at -= 601

        assert ready.warm.reserve(builders.task_request()) is None
        assert ready.take() is None


async def test_that_there_is_one_is_told_without_taking_it() -> None:
    async with pool(named={REFERENCE: 1}) as ready:
        await ready.idle(1)
        request = builders.task_request()
        other = builders.task_request(workdir="/tmp")

        assert [ready.warm.has_one_for(asked) for asked in (request, request, other)] == [
            True,
            True,
            False,
        ]
        assert ready.warm.reserve(request)
        assert not ready.warm.has_one_for(request)


async def test_a_name_that_is_not_taken_harms_nobody() -> None:
    async with pool(named={REFERENCE: 1}) as ready:
        await ready.idle(1)
        ready.engine.always("rename", answers(409, {"message": "in use"}))
        warm = ready.take()
        assert warm

        warm.hand_over(FRAME.pieces(), "ecs-task-1")
        await eventually(lambda: ready.engine.count("rename") == 1)
        ready.warm.release(warm)
        await ready.idle(1)
        await ready.reaper.drained()

        assert len(ready.names()) == 1

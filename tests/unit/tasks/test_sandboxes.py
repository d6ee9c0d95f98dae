"""How many sandboxes are kept ready, and what becomes of the others."""

import asyncio
from typing import Any

import pytest

from ecs.tasks import sandboxes as pool_module
from ecs.tasks.sandbox import sandbox_body
from ecs.tasks.sandbox_rules import SandboxReuse
from tests.fake_engine import answers, hangs, image_id, streams
from tests.unit.tasks.sandbox_pools import NO_TASK, pool
from tests.waiting import eventually


async def test_as_many_as_asked_for_are_kept_ready() -> None:
    async with pool(maximum=4, minimum=2) as the:
        await the.idle(2)
        assert len(the.engine.containers) == 2


async def test_the_image_is_made_once_and_again_when_it_is_gone() -> None:
    async with pool(maximum=3, minimum=1) as the:
        await the.idle(1)
        the.take()
        await the.idle(1)
        assert the.engine.count("pull") == 1
        the.engine.images.clear()
        the.take()
        await the.idle(1)
        assert the.engine.count("pull") == 2


async def test_images_of_earlier_versions_are_deleted_at_the_start() -> None:
    async with pool(maximum=1, minimum=1) as the:
        older = "ecs.invalid/sandbox:0123456789ab"
        the.engine.images[older] = image_id(older)
        the.engine.always("list_images", answers(200, [{"RepoTags": [older], "Created": 0}]))
        await the.idle(1)

        assert older not in the.engine.images


async def test_one_that_is_taken_is_replaced_until_there_are_as_many_as_may_be() -> None:
    async with pool(maximum=3, minimum=1) as the:
        for held in range(1, 4):
            await the.idle(1)
            the.take()
            assert the.sandboxes.counts["held"] == held

        assert the.sandboxes.take("mine") is None
        assert (the.sandboxes.hits, the.sandboxes.misses) == (3, 1)
        assert the.sandboxes.containers.made == 3
        assert the.sandboxes.containers.making_seconds > 0


async def test_where_the_pool_is_full_the_longest_idle_one_of_another_key_makes_room() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        await the.serve("mine")

        assert the.sandboxes.take("yours") is None
        await the.idle(1)

        assert the.take("yours").owner == "yours"
        assert the.sandboxes.retired == {"room for another key": 1}


async def test_one_that_grows_too_old_while_nobody_takes_it_is_replaced() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        (sandbox,) = the.sandboxes._idle
        sandbox._made_at -= 601
        await eventually(lambda: the.sandboxes.retired["age"] == 1)
        await the.idle(1)


async def test_those_that_nobody_takes_go_until_the_least_number_is_left() -> None:
    async with pool(maximum=4, minimum=1, reuse=SandboxReuse.ANY, idle_seconds=0.2) as the:
        held = []
        for _ in range(3):
            await eventually(lambda: the.sandboxes.counts["idle"])
            held.append(the.take())
        for sandbox in held:
            the.sandboxes.release(sandbox, NO_TASK)

        await eventually(lambda: the.sandboxes.retired["not needed"] == 3)
        await the.idle(1)


async def test_one_that_ends_by_itself_is_forgotten_and_replaced() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        (sandbox,) = the.sandboxes._idle
        assert sandbox.container in the.sandboxes.containers
        next(iter(the.engine.containers.values())).end(137)

        await eventually(lambda: the.sandboxes.containers.made == 2)
        await the.idle(1)
        assert sandbox.container not in the.sandboxes.containers
        assert the.sandboxes.retired == {"ended by itself": 1}


async def test_an_engine_that_makes_none_is_asked_again_later() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        the.engine.next("create", *[answers(500, {"message": "no space"})] * 3)
        the.sandboxes.release(the.take(), None)

        await the.idle(1)
        assert the.engine.count("create") == 5
        assert (the.sandboxes.containers.made, the.sandboxes.containers.failed) == (2, 3)


async def test_what_starts_but_is_no_sandbox_is_not_handed_out() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        the.engine.next("attach", streams(b"\1\0\0\0\0\0\0\6hello\n"))
        the.sandboxes.release(the.take(), None)

        await the.idle(1)
        assert the.sandboxes.containers.made == 2


@pytest.mark.parametrize(
    "setting",
    [
        {"maximum": 0},
        {"network": "none"},
        {"network": "host"},
        {"network": "container:other"},
        {"program": None},
        {"machine": "s390x"},
    ],
)
async def test_without_a_use_for_sandboxes_there_are_none(setting: dict[str, Any]) -> None:
    async with pool(**setting) as the:
        assert the.sandboxes.take("mine") is None
        assert the.sandboxes.misses == 0
        assert not the.engine.requests


async def test_a_pool_that_closes_in_the_midst_of_making_one_leaves_nothing() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        the.engine.next("start", hangs)
        the.sandboxes.release(the.take(), None)
        await eventually(lambda: the.engine.count("start") == 2)


async def test_a_pool_that_closes_while_one_is_looked_at_does_not_wait() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        the.engine.next("wait", hangs)
        sandbox = the.take()
        the.sandboxes.release(sandbox, NO_TASK)
        await eventually(lambda: the.engine.count("wait"))


async def test_refills_wait_while_a_task_does() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        for _ in range(4):
            await the.admission.begin("task", 1)
        the.sandboxes.release(the.take(), None)
        await eventually(lambda: the.sandboxes.counts["starting"])
        created = the.engine.count("create")

        waiting = asyncio.create_task(the.admission.begin("late", 5))
        await asyncio.sleep(0)
        the.admission.leave_lane()
        await waiting
        assert the.engine.count("create") == created

        for _ in range(4):
            the.admission.leave_lane()
        await the.idle(1)


async def test_a_bug_costs_a_sandbox_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)

        def fail_once(*_: object) -> None:
            monkeypatch.setattr(pool_module, "sandbox_body", sandbox_body)
            raise ZeroDivisionError

        monkeypatch.setattr(pool_module, "sandbox_body", fail_once)
        monkeypatch.setattr(the.sandboxes._waiter, "exit_code", None)
        await the.serve()

        await the.idle(1)
        assert the.sandboxes.retired == {"task not seen to end": 1}
        assert the.sandboxes.containers.made == 2

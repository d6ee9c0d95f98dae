"""Which sandbox a task gets, and which serves again after it."""

import asyncio

import pytest

from ecs.tasks import sandbox as sandbox_module
from ecs.tasks.sandbox_rules import SandboxReuse
from tests.fake_engine import answers
from tests.unit.tasks.sandbox_pools import NO_TASK, pool
from tests.waiting import eventually


@pytest.mark.parametrize(
    ("reuse", "owner", "again"),
    [
        (SandboxReuse.NEVER, "mine", False),
        (SandboxReuse.SAME_KEY, "mine", True),
        (SandboxReuse.SAME_KEY, "yours", False),
        (SandboxReuse.ANY, "yours", True),
    ],
)
async def test_who_may_have_one_again_depends_on_the_rule(
    reuse: SandboxReuse, owner: str, again: bool
) -> None:
    async with pool(maximum=4, minimum=1, reuse=reuse) as the:
        await the.idle(1)
        first = await the.serve("mine")
        await eventually(lambda: the.sandboxes.counts["idle"] >= 1)
        await eventually(lambda: not the.sandboxes.counts["starting"])

        assert (the.take(owner) is first) == again


async def test_an_owners_own_goes_before_a_fresh_one_and_the_latest_before_the_others() -> None:
    async with pool(maximum=4, minimum=1) as the:
        await the.idle(1)
        first = the.take()
        await the.idle(1)
        second = the.take()
        await the.idle(1)
        for sandbox in (second, first):
            the.sandboxes.release(sandbox, NO_TASK)
            await eventually(lambda: not the.sandboxes.counts["cleaning"])

        assert [the.take(), the.take()] == [first, second]
        assert the.take().tasks == 1


async def test_a_miss_of_their_own_owner_costs_nobody_a_sandbox() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        sandbox = the.take("mine")
        assert the.sandboxes.take("mine") is None
        the.sandboxes.release(sandbox, NO_TASK)
        await the.idle(1)

        assert the.take("mine") is sandbox


async def test_one_that_has_served_often_enough_is_retired() -> None:
    async with pool(maximum=1, minimum=1, max_tasks=2) as the:
        await the.idle(1)
        first, second = await the.serve(), await the.serve()
        await the.idle(1)

        assert first is second is not the.take()
        assert the.sandboxes.retired == {"used up": 1}


async def test_one_that_is_too_old_is_retired_when_it_comes_back() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        sandbox = the.take()
        sandbox._made_at -= 601
        the.sandboxes.release(sandbox, NO_TASK)
        await the.idle(1)

        assert the.take() is not sandbox
        assert the.sandboxes.retired == {"age": 1}


@pytest.mark.parametrize("found", ["files", "connections", "gibberish"])
async def test_one_in_which_a_task_left_something_serves_nobody_again(found: str) -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        the.engine.looks = [found]
        sandbox = await the.serve()
        await the.idle(1)

        assert the.take() is not sandbox
        assert the.sandboxes.retired == {found: 1}


async def test_sockets_have_a_moment_to_go() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        the.engine.looks = ["sockets", "sockets"]
        sandbox = await the.serve()

        assert the.take() is sandbox


async def test_sockets_that_do_not_go_cost_the_sandbox() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        the.engine.looks = ["sockets"] * 21
        await the.serve()

        assert the.sandboxes.retired == {"sockets": 1}


async def test_one_is_looked_at_only_when_the_tasks_container_has_ended() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        (sandbox_container,) = the.engine.containers.values()
        sandbox = the.take()
        the.sandboxes.release(sandbox, sandbox_container.container_id)  # it runs
        await eventually(lambda: the.engine.count("wait"))
        assert the.sandboxes.counts["cleaning"] == 1
        assert the.sandboxes.take("mine") is None


async def test_a_task_that_is_not_seen_to_end_costs_its_sandbox() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        the.engine.next("wait", answers(500, {"message": "cannot wait"}))
        await the.serve()
        assert the.sandboxes.retired == {"task not seen to end": 1}


async def test_a_task_of_which_nobody_knows_whether_it_will_start_costs_its_sandbox() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        await the.serve(container=None)
        assert the.sandboxes.retired == {"task broken off": 1}


async def test_one_that_ended_while_it_was_held_is_not_taken_back() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        sandbox = the.take()
        next(iter(the.engine.containers.values())).end(137)
        await eventually(lambda: sandbox.container not in the.sandboxes.containers)

        the.sandboxes.release(sandbox, NO_TASK)
        await the.idle(1)
        assert the.take() is not sandbox


async def test_one_that_does_not_answer_serves_nobody_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        monkeypatch.setattr(sandbox_module, "_ANSWER_SECONDS", 0.05)
        (container,) = the.engine.containers.values()
        container.answers = asyncio.Queue()  # what it says arrives nowhere
        await the.serve()
        assert the.sandboxes.retired == {"gone": 1}

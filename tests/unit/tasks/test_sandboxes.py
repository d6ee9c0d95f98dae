"""The pool's decisions, with an engine that does as it is told."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.tasks import pooled_containers
from ecs.tasks import sandbox as sandbox_module
from ecs.tasks import sandboxes as pool_module
from ecs.tasks.admission import Admission
from ecs.tasks.reaper import Reaper
from ecs.tasks.sandbox import Sandbox, sandbox_body
from ecs.tasks.sandbox_rules import SandboxReuse
from ecs.tasks.sandboxes import Sandboxes
from tests.fake_engine import FakeEngine, answers, fake_engine, hangs, image_id, streams
from tests.unit import builders
from tests.waiting import eventually

NO_TASK = "0" * 64
"""A container that the engine does not know: it was deleted."""


@dataclasses.dataclass
class Pool:
    """A pool that fills itself, and what it works with."""

    sandboxes: Sandboxes
    engine: FakeEngine
    admission: Admission
    reaper: Reaper

    async def idle(self, number: int) -> None:
        """Return when so many are idle, and no other is on its way."""
        expected = {"starting": 0, "idle": number, "cleaning": 0}
        await eventually(lambda: expected.items() <= self.sandboxes.counts.items())

    def take(self, owner: str = "mine") -> Sandbox:
        sandbox = self.sandboxes.take(owner)
        assert sandbox
        return sandbox

    async def serve(self, owner: str = "mine", container: str | None = NO_TASK) -> Sandbox:
        """Take a sandbox for a task and give it back; return when the pool is at rest."""
        sandbox = self.take(owner)
        self.sandboxes.release(sandbox, container)
        await eventually(lambda: not self.sandboxes.counts["cleaning"])
        return sandbox


@asynccontextmanager
async def pool(
    *,
    program: bytes | None = b"program",
    network: str = "bridge",
    machine: str = "x86_64",
    **rules: Any,
) -> AsyncIterator[Pool]:
    async with (
        fake_engine() as engine,
        DockerRemoteApi(EngineAddress(engine.docker_host), timeout_seconds=5) as api,
    ):
        admission = Admission(max_starting=4, max_running=10, max_queued=10)
        async with (
            Reaper(api, admission) as reaper,
            Sandboxes(
                api,
                admission,
                reaper,
                policy=dataclasses.replace(builders.sandbox_policy(), network=network),
                rules=dataclasses.replace(builders.POOL_RULES, **rules),
                program_for=lambda known: program if known == "x86_64" else None,
            ) as sandboxes,
        ):
            sandboxes.meet(machine)
            keeping = asyncio.create_task(sandboxes.run())
            yield Pool(sandboxes, engine, admission, reaper)
            await sandboxes.close()
            await reaper.drained()
            assert not engine.containers
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            assert sum(sandboxes.counts.values()) == 0


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooled_containers, "_LOOK_ROUND_SECONDS", 0.01)
    monkeypatch.setattr(pooled_containers, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(pool_module, "_SOCKETS_PAUSE_SECONDS", 0.01)


def test_a_sandbox_may_do_nothing_and_reaches_nothing() -> None:
    policy = dataclasses.replace(builders.sandbox_policy(), network="tasks")

    body = sandbox_body("sha256:0", policy)
    host = body["HostConfig"]

    assert body["User"] == "65534:65534"
    assert body["Labels"]["ecs.instance"] == "here"
    assert host["NetworkMode"] == "tasks"
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["Memory"] == host["MemorySwap"] == 16 * 2**20
    assert host["Sysctls"] == {
        "net.ipv4.tcp_max_tw_buckets": "0",
        "net.ipv4.tcp_no_metrics_save": "1",
        "net.ipv4.tcp_fastopen": "0",
    }
    assert not {"Binds", "Mounts", "Privileged", "PidMode", "IpcMode"} & set(host)


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


async def test_where_the_pool_is_full_the_longest_idle_one_of_another_makes_room() -> None:
    async with pool(maximum=1, minimum=1) as the:
        await the.idle(1)
        await the.serve("mine")

        assert the.sandboxes.take("yours") is None
        await the.idle(1)

        assert the.take("yours").owner == "yours"
        assert the.sandboxes.retired == {"room for another key": 1}


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

"""How many containers of what are kept warm."""

import asyncio

import pytest

from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.images import LocalImage
from ecs.tasks import pooled_containers
from ecs.tasks import warm_pool as module
from ecs.tasks.warm_targets import WARM_CONTAINER_BYTES
from tests.fake_engine import BUSYBOX, answers, hangs, image_id
from tests.unit import builders
from tests.unit.tasks.warm_pools import INIT, REFERENCE, pool
from tests.waiting import eventually

MOVED = LocalImage(image_id("moved"), frozenset())
LOOKS_OFTEN = pytest.mark.usefixtures("_looks_often")


@pytest.fixture
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool looks every hundredth of a second, at its containers and at the images."""
    monkeypatch.setattr(pooled_containers, "_LOOK_ROUND_SECONDS", 0.01)
    monkeypatch.setattr(module, "_LOOK_AT_IMAGES_SECONDS", 0.01)


async def test_of_a_named_image_as_many_are_kept_as_is_said() -> None:
    async with pool() as ready:
        await ready.idle(2)

        assert len(ready.names()) == 2
        assert ready.warm.containers.made == 2
        assert all(name.startswith("ecs-warm-") for name in ready.names())
        assert all(warm.container in ready.warm.containers for warm in ready.warm._idle)


async def test_containers_of_an_image_whose_tag_moved_are_replaced() -> None:
    async with pool() as ready:
        await ready.idle(2)
        before = ready.names()
        reserved = ready.warm.reserve(builders.task_request())
        ready.engine.images[BUSYBOX] = MOVED.image_id

        assert ready.take(image=MOVED, reserved=reserved) is None
        await ready.idle(2)
        await ready.reaper.drained()

        assert not ready.names() & before
        assert ready.warm.retired["image replaced"] == 2
        assert ready.take(image=MOVED)


@LOOKS_OFTEN
async def test_that_a_tag_moved_is_noticed_without_any_task() -> None:
    async with pool() as ready:
        await ready.idle(2)

        ready.engine.images[BUSYBOX] = MOVED.image_id

        await eventually(lambda: ready.warm.retired["image replaced"] == 2)
        await ready.idle(2)
        del ready.engine.images[BUSYBOX]
        await ready.idle(0)


async def test_one_that_ends_by_itself_is_replaced() -> None:
    async with pool(named={REFERENCE: 1}) as ready:
        await ready.idle(1)
        (container,) = ready.engine.containers.values()

        container.end(137)

        await eventually(lambda: ready.warm.retired["ended by itself"] == 1)
        await ready.idle(1)


@LOOKS_OFTEN
async def test_one_that_is_too_old_is_replaced() -> None:
    async with pool(max_age_seconds=0.2) as ready:
        await eventually(lambda: ready.warm.retired["age"] >= 2)
        await eventually(lambda: ready.warm.containers.made > 2)


@LOOKS_OFTEN
async def test_what_is_asked_for_often_is_kept_as_far_as_the_memory_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with pool(named={}, memory_bytes=4 * WARM_CONTAINER_BYTES) as ready:
        for _ in range(2):
            assert ready.take(builders.task_request(user="1")) is None
        for _ in range(6):
            assert ready.take(builders.task_request(user="2")) is None
        await ready.idle(4)

        assert ready.take(builders.task_request(user="1")) is None
        assert ready.take(builders.task_request(user="2"))
        assert ready.warm.misses == 9

        monkeypatch.setattr("ecs.tasks.warm_demand._WINDOW_SECONDS", 0.0)
        await ready.idle(0)
        assert ready.warm.retired["not needed"] >= 3


async def test_nothing_is_made_while_a_task_waits() -> None:
    async with pool() as ready:
        await ready.idle(2)
        ready.admission.set_limits(max_starting=1, max_running=0)
        waiting = asyncio.create_task(ready.admission.begin("a", 60))
        await eventually(lambda: ready.admission.queue_length == 1)
        taken = ready.take()
        assert taken
        taken.used = True
        ready.warm.release(taken)
        await ready.idle(1)
        assert ready.warm.containers.made == 2

        waiting.cancel()
        await asyncio.wait({waiting})

        await ready.idle(2)


async def test_an_image_of_which_none_can_be_made_does_not_keep_others_waiting() -> None:
    other = "docker.io/library/other:1"
    named = {ImageReference.parse(other): 3, REFERENCE: 1}
    async with pool(named={}) as unused:
        assert unused.warm.counts["idle"] == 0
    async with pool(named=named) as ready:
        ready.engine.next("start", answers(400, {"message": "cannot be mounted"}))
        ready.engine.images[other] = image_id(other)
        await ready.idle(1)
        await ready.reaper.drained()

        assert len(ready.names()) == 1
        assert ready.warm.containers.failed == 1
        assert ready.take()


@LOOKS_OFTEN
async def test_there_are_none_before_the_init_is_there() -> None:
    async with pool(has_init=False) as ready:
        looks = ready.engine.count("inspect_image")
        await eventually(lambda: ready.engine.count("inspect_image") > looks + 2)
        assert ready.take() is None
        assert ready.engine.count("create") == 0

        ready.init.mount = INIT

        await ready.idle(2)


async def test_when_it_is_closed_nothing_is_left() -> None:
    async with pool() as ready:
        await ready.idle(2)
        held = ready.take()
        assert held

        await ready.close()
        ready.warm.release(held)

        assert ready.names() == set()
        assert ready.take() is None


async def test_one_that_is_just_being_started_when_the_pool_closes_is_deleted() -> None:
    async with pool() as ready:
        ready.engine.always("start", hangs)
        await eventually(lambda: ready.engine.count("start") == 1)
        assert ready.warm.counts["starting"] == 1

        await ready.close()

        assert ready.names() == set()


@LOOKS_OFTEN
async def test_an_engine_that_does_not_tell_of_an_image_changes_nothing() -> None:
    async with pool() as ready:
        await ready.idle(2)
        before = ready.names()
        looks = ready.engine.count("inspect_image")
        ready.engine.always("inspect_image", answers(500))

        await eventually(lambda: ready.engine.count("inspect_image") > looks + 2)

        assert ready.names() == before
        assert not ready.warm.retired


async def test_a_bug_costs_a_container_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool(named={REFERENCE: 1}) as ready:
        await ready.idle(1)
        (before,) = ready.names()
        with monkeypatch.context() as patched:
            patched.setattr(ready.warm.containers, "_serve", lambda _: 1 // 0)
            patched.setattr(pooled_containers, "_FIRST_PAUSE_SECONDS", 0.01)
            warm = ready.take()
            assert warm
            warm.used = True
            ready.warm.release(warm)
            await eventually(lambda: ready.warm.containers.made >= 2)
        await ready.idle(1)
        await ready.reaper.drained()

        assert len(ready.names()) == 1
        assert before not in ready.names()


async def test_what_is_named_counts_for_what_is_asked_for_often() -> None:
    async with pool(named={REFERENCE: 3}, memory_bytes=2 * WARM_CONTAINER_BYTES) as ready:
        await ready.idle(3)
        for _ in range(3):
            taken = ready.take()
            assert taken
            ready.warm.release(taken)
        await ready.idle(3)
        for _ in range(7):
            taken = ready.take()
            assert taken
            ready.warm.release(taken)

        await ready.idle(5)

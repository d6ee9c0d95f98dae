"""A run may be canceled at any of its waits: it ends, and nothing of it stays."""

import asyncio
import itertools
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any

import pytest

from ecs.tasks.model import Network, Start
from ecs.tasks.runner import AsyncEndToEndContainerRunner
from ecs.tasks.states import Outcome
from tests import images
from tests.canceling import SLEEP, STDIN, end_of, is_canceled
from tests.engines import EngineProbe
from tests.integration.conftest import LeaveNothing
from tests.registries import Registry
from tests.traces import Traces
from tests.ways import EVERY_WAY, ONE_WAY, Way


class Interruption:
    """Cancels a run at one of the places where it waits."""

    def __init__(self, suspension: int, *, too_late: bool) -> None:
        self._suspension = suspension
        self._too_late = too_late
        self.happened = False

    def __repr__(self) -> str:
        return f"<at suspension {self._suspension}>"

    @types.coroutine
    def run(self, coroutine: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        """Run the coroutine, step by step, and cancel it at its nth suspension."""
        steps = coroutine.__await__()
        resume: Callable[[], Any] = lambda: next(steps)  # noqa: E731
        for suspension in itertools.count():
            try:
                awaited = resume()
            except StopIteration:
                return
            if suspension == self._suspension:
                self._cancel(awaited)
            try:
                yield awaited
                resume = lambda: next(steps)  # noqa: E731
            except BaseException as error:  # noqa: BLE001 - handed on
                resume = lambda error=error: steps.throw(error)  # noqa: E731

    def _cancel(self, awaited: Any) -> None:
        self.happened = True
        task = asyncio.current_task()
        assert task
        if self._too_late and awaited is not None:
            # What it waits for has come; the cancellation overtakes the news.
            awaited.add_done_callback(lambda _: task.cancel())
        else:
            asyncio.get_running_loop().call_soon(task.cancel)


@pytest.fixture(params=[False, True], ids=["while it waits", "as it would go on"])
def interrupted(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Interruption]:
    """Interruptions of the next run, each at a later place, until one has not happened."""
    run = AsyncEndToEndContainerRunner.run

    def interruptions() -> Iterator[Interruption]:
        for suspension in itertools.count():
            interruption = Interruption(suspension, too_late=request.param)
            monkeypatch.setattr(
                AsyncEndToEndContainerRunner,
                "run",
                lambda runner, by=interruption: by.run(run(runner)),
            )
            yield interruption
            if not interruption.happened:
                assert suspension > 3  # a warm one waits for image, hand-over and output alone
                return

    return interruptions()


@EVERY_WAY
async def test_a_run_can_be_canceled_at_every_place_where_it_waits(
    leaving_nothing: LeaveNothing,
    interrupted: Iterator[Interruption],
    engine: EngineProbe,
    way: Way,
) -> None:
    # The engine is faster without a network; the other ways are for tasks that have one.
    network = Network.NONE if way.start is Start.COLD else Network.DEFAULT
    async with leaving_nothing(stop_grace_seconds=0.2) as ecs:
        traces = Traces(ecs, engine)
        fields = {"stdin": STDIN, "network": network, "timeout_seconds": 0.2}
        for interruption in interrupted:
            result = await end_of(ecs, ecs.submit(*SLEEP, image=images.VOLUME, **fields))
            assert is_canceled(result) or result.outcome is Outcome.TIMED_OUT
            print(interruption, result.outcome)
            await traces.vanish()
    assert result.outcome is Outcome.TIMED_OUT


@ONE_WAY
async def test_a_run_that_pulls_can_be_canceled_at_every_place_where_it_waits(
    leaving_nothing: LeaveNothing,
    interrupted: Iterator[Interruption],
    engine: EngineProbe,
    open_registry: Registry,
) -> None:
    image = open_registry.push_image(engine)
    async with leaving_nothing() as ecs:
        traces = Traces(ecs, engine)
        for interruption in interrupted:
            task = ecs.submit("cat", "/marker", image=image.reference, network=Network.NONE)
            result = await end_of(ecs, task)
            assert is_canceled(result) or result.outcome is Outcome.EXITED
            print(interruption, result.outcome)
            await traces.vanish()
            engine.remove_images(image.reference)
    assert result.outcome is Outcome.EXITED

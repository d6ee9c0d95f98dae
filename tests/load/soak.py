"""`bin/load soak`: a modest load for long, while what could leak is watched."""

import asyncio
import contextlib
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import table
from tests.load import mix
from tests.load.generator import Generator
from tests.load.page import soak_page
from tests.load.prometheus import scraping
from tests.load.records import TOLD_FAILURES, Records, latency, over_time
from tests.load.sampling import Sampler, volume_image
from tests.load.session import Session, session, write
from tests.load.tables import verdicts_table
from tests.load.verdicts import EXIT_CODES, Sample, Soak, is_settled, judge, overall

NAME = "soak"
MIN_USERS = 8
# A user is busy with the slowest task, the one that times out, for so long at most.
SLOWEST_SECONDS = 6.0
# A warm-up takes this part of the soak, and no more than the bound: then pools and caches are full.
WARM_UP_PART = 1 / 6
MAX_WARM_UP_SECONDS = 600.0
IDLE_SAMPLE_AFTER_SECONDS = 5.0
WINDOW_SECONDS = 60.0


@dataclass(frozen=True)
class Plan:
    """What was asked for."""

    minutes: float
    tasks_per_second: float
    sample_seconds: float
    settle_seconds: float
    output: Path
    prometheus: Path | None
    """Where a Prometheus keeps its data that is to watch; None for none."""
    instance: str | None

    @property
    def seconds(self) -> float:
        return self.minutes * 60

    @property
    def warm_up_seconds(self) -> float:
        return min(self.seconds * WARM_UP_PART, MAX_WARM_UP_SECONDS)


async def run_soak(plan: Plan) -> int:
    """Run it, write the report, return the exit status."""
    async with session(plan.instance) as started:
        with ExitStack() as stack:
            image = f"ecs-load/volume-{started.service.instance}"
            image = stack.enter_context(volume_image(started.probe.client, image))
            if plan.prometheus is not None:
                stack.enter_context(scraping(started.service.url, plan.prometheus))
            run = await _soak(plan, started, image)
        # Before the service stops, which may fail too.
        shown = verdicts_table(run)
        print(table(f"A soak of {run['minutes']:.1f} minutes", shown.header, shown.rows))
        print(f"\n{run['outcome']}")
        write(plan.output, NAME, run, soak_page(run))
    return EXIT_CODES[run["outcome"]]


async def _soak(plan: Plan, started: Session, image: str) -> dict[str, Any]:
    soak_mix = mix.soak_mix(image)
    requests_per_second = plan.tasks_per_second / soak_mix.task_share
    users = max(MIN_USERS, round(requests_per_second * SLOWEST_SECONDS))
    generator = Generator(
        started.directory,
        started.service.url,
        [(users, plan.seconds)],
        soak_volume_image=image,
        requests_per_second=requests_per_second,
    )
    sampler = Sampler(started.probe, started.service, started.service_directory)
    await asyncio.sleep(IDLE_SAMPLE_AFTER_SECONDS)
    idle = await asyncio.to_thread(sampler.sample)
    begun = time.time()
    sampler.begin(begun)
    loaded = await _watched(plan, started, generator, sampler)
    load_seconds = time.time() - begun
    settled = await _settled(plan, sampler, idle)
    return _run(
        plan, started, generator.records(), soak_mix, begun, load_seconds, (idle, loaded, settled)
    )


async def _watched(
    plan: Plan, started: Session, generator: Generator, sampler: Sampler
) -> list[Sample]:
    samples: list[Sample] = []

    async def watch() -> None:
        while True:
            samples.append(await asyncio.to_thread(sampler.sample))
            await asyncio.sleep(plan.sample_seconds)

    watching = asyncio.create_task(watch())
    # A look that fails, as when the service is gone, ends the load.
    watching.add_done_callback(lambda _: started.interrupted.set())
    try:
        await started.drive(generator)
    finally:
        watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    return samples


async def _settled(plan: Plan, sampler: Sampler, idle: Sample) -> Sample:
    """Return a sample in which nothing is left, or the one at the end of the settling time."""
    deadline = time.monotonic() + plan.settle_seconds
    while True:
        sample = await asyncio.to_thread(sampler.sample)
        if is_settled(idle, sample) or time.monotonic() > deadline:
            return sample
        await asyncio.sleep(1)


def _run(
    plan: Plan,
    started: Session,
    records: Records,
    soak_mix: mix.Mix,
    begun: float,
    load_seconds: float,
    looks: tuple[Sample, list[Sample], Sample],
) -> dict[str, Any]:
    idle, loaded, settled = looks
    requests = records.requests
    wrong = Counter(f"{r.name}: {r.wrong}" for r in requests if r.wrong is not None)
    soak = Soak(idle, loaded, settled, plan.warm_up_seconds, len(requests), wrong)
    verdicts = judge(soak)
    task_names = {kind.name for kind in soak_mix.weights if kind.is_task}
    tasks = sum(r.name in task_names for r in requests)
    return {
        "kind": "soak",
        "facts": started.facts,
        "mix": {kind.name: weight for kind, weight in soak_mix.weights.items()},
        "minutes": load_seconds / 60,
        "warm_up_seconds": plan.warm_up_seconds,
        "tasks": tasks,
        "tasks_per_second": tasks / load_seconds,
        "requests": len(requests),
        "kinds": {
            kind.name: latency([r for r in requests if r.name == kind.name])
            for kind in soak_mix.weights
        },
        "task_latency": over_time(
            [r for r in requests if r.name == mix.TASK.name], begun, WINDOW_SECONDS
        ),
        "failures": dict(wrong.most_common(TOLD_FAILURES)),
        "idle": idle.as_json(),
        "settled": settled.as_json(),
        "samples": [sample.as_json() for sample in loaded],
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "outcome": overall(verdicts),
    }

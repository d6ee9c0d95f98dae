"""What a soak's samples say: is anything left behind, does anything grow? No I/O.

A verdict is "pass", "fail", or "too short to tell", which is not a pass.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ecs.settings import Settings
from tests.load.growth import Slope, slope

PASS = "pass"
FAIL = "fail"
UNDECIDED = "too short to tell"

EXIT_CODES = {PASS: 0, FAIL: 1, UNDECIDED: 3}

MB_BYTES = 1_000_000
# A megabyte an hour is a process that doubles in three days.
MEMORY_LIMIT_BYTES_PER_HOUR = 1.0 * MB_BYTES
# What a fresh service has not, but one at rest after work may: connections to the engine and from a
# Prometheus, which stay open for a while; and Python's pool of threads, which has so many at most.
IDLE_DESCRIPTORS = 3
KEPT_SANDBOXES = Settings.model_fields["min_sandboxes"].default
IDLE_THREADS = min(32, (os.cpu_count() or 1) + 4)
# Of this mix; measured were 440 to 500.
LOG_BYTES_PER_REQUEST = 1_000.0
# What must not be left behind: fields of a sample.
LEFT_BEHIND = ("containers", "volumes", "networks", "files")
# How many of what is left are named.
NAMED = 5


@dataclass(frozen=True)
class Sample:
    """What there was at one moment, ``seconds`` after the load began (before it: negative)."""

    seconds: float
    containers: tuple[str, ...]
    """Names of this service's containers, from the engine, but for sandboxes."""
    volumes: tuple[str, ...]
    """Names of the volumes that no container uses."""
    networks: tuple[str, ...]
    files: tuple[str, ...]
    """Files in the service's own directories, and output files without a name that it has open."""
    sandboxes: int
    descriptors: int
    threads: int
    resident_bytes: int
    proportional_bytes: int | None
    log_bytes: int
    engine_descriptors: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the sample with counts for names."""
        return asdict(self) | {name: len(getattr(self, name)) for name in LEFT_BEHIND}


@dataclass(frozen=True)
class Soak:
    """The whole soak."""

    idle: Sample
    """Before the load."""
    loaded: Sequence[Sample]
    """During the load."""
    settled: Sample
    """After it, and after the settling time."""
    warm_up_seconds: float
    requests: int
    wrong: Mapping[str, int]
    """Wrong answers and how often."""

    @property
    def warm(self) -> list[Sample]:
        """The samples that count for growth."""
        return [sample for sample in self.loaded if sample.seconds >= self.warm_up_seconds]


@dataclass(frozen=True)
class Verdict:
    """One judgement; ``says`` names what is wrong, or the figures that it rests on."""

    subject: str
    outcome: str
    says: str
    slope: Slope | None = field(default=None)


def is_settled(idle: Sample, sample: Sample) -> bool:
    """Tell whether a sample is as one of an idle service, so that waiting longer is of no use."""
    return (
        sample.descriptors <= idle.descriptors + IDLE_DESCRIPTORS
        and sample.sandboxes <= KEPT_SANDBOXES
        and not any(_left(idle, sample, name) for name in LEFT_BEHIND)
    )


def _left(idle: Sample, sample: Sample, name: str) -> list[str]:
    return sorted(set(getattr(sample, name)) - set(getattr(idle, name)))


def judge(soak: Soak) -> list[Verdict]:
    """Return every verdict on a soak."""
    return [
        _answers(soak),
        *(_left_behind(soak, name) for name in LEFT_BEHIND),
        _sandboxes(soak),
        _memory(soak),
        _count(soak, "descriptors", IDLE_DESCRIPTORS),
        _count(soak, "threads", IDLE_THREADS),
        _log(soak),
    ]


def overall(verdicts: Sequence[Verdict]) -> str:
    """Return the worst outcome."""
    outcomes = {verdict.outcome for verdict in verdicts}
    return next(outcome for outcome in (FAIL, UNDECIDED, PASS) if outcome in outcomes)


def _answers(soak: Soak) -> Verdict:
    count = sum(soak.wrong.values())
    if not soak.requests:
        return Verdict("answers", FAIL, "there were none")
    if not count:
        return Verdict("answers", PASS, f"{soak.requests} of {soak.requests} right")
    often = "; ".join(f"{times} times {what}" for what, times in list(soak.wrong.items())[:NAMED])
    return Verdict("answers", FAIL, f"{count} of {soak.requests} wrong: {often}")


def _left_behind(soak: Soak, name: str) -> Verdict:
    left = _left(soak.idle, soak.settled, name)
    if not left:
        most = max((len(getattr(sample, name)) for sample in soak.loaded), default=0)
        return Verdict(name, PASS, f"none left; at most {most} at a time")
    more = ", …" if len(left) > NAMED else ""
    return Verdict(name, FAIL, f"{len(left)} left behind: {', '.join(left[:NAMED])}{more}")


def _sandboxes(soak: Soak) -> Verdict:
    after = soak.settled.sandboxes
    most = max((sample.sandboxes for sample in soak.loaded), default=0)
    says = f"{after} after, at most {most} at a time; {KEPT_SANDBOXES} are kept ready"
    return Verdict("sandboxes", PASS if after <= KEPT_SANDBOXES else FAIL, says)


def _memory(soak: Soak) -> Verdict:
    series = [(sample.seconds, float(sample.resident_bytes)) for sample in soak.warm]
    found = slope(series)
    if found is None:
        return Verdict("memory", UNDECIDED, _too_short(soak))
    says = (
        f"{found.per_hour / MB_BYTES:+.2f} MB an hour"
        f" (95 %: {found.lower / MB_BYTES:+.2f} to {found.upper / MB_BYTES:+.2f})"
    )
    if found.lower > MEMORY_LIMIT_BYTES_PER_HOUR:
        return Verdict("memory", FAIL, says, found)
    # With the limit within the interval, as after a single step, only more time will tell.
    is_sure = found.upper <= MEMORY_LIMIT_BYTES_PER_HOUR
    return Verdict("memory", PASS if is_sure else UNDECIDED, says, found)


def _count(soak: Soak, name: str, idle_allowance: int) -> Verdict:
    # Compared at rest: during the load, more at once may as well mean that the engine got slower.
    before, after = getattr(soak.idle, name), getattr(soak.settled, name)
    most = max((getattr(sample, name) for sample in soak.loaded), default=0)
    says = f"{before} before, at most {most}, {after} after; {idle_allowance} more allowed"
    return Verdict(name, PASS if after <= before + idle_allowance else FAIL, says)


def _too_short(soak: Soak) -> str:
    minutes = (soak.warm[-1].seconds - soak.warm[0].seconds) / 60 if soak.warm else 0
    return f"{minutes:.1f} minutes after a warm-up of {soak.warm_up_seconds / 60:.1f}"


def _log(soak: Soak) -> Verdict:
    written = soak.settled.log_bytes - soak.idle.log_bytes
    each = written / max(soak.requests, 1)
    says = f"{each:.0f} bytes a request, {LOG_BYTES_PER_REQUEST:.0f} allowed"
    return Verdict("log", PASS if each <= LOG_BYTES_PER_REQUEST else FAIL, says)

"""What the ways to start are to reach, beside what a run measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.bench import DEFAULT_NETWORK, NO_NETWORK, Network, Section
from benchmarks.latency import ECS, ECS_COLD
from benchmarks.pools import SANDBOXED, WARM
from benchmarks.report import MS_PER_SECOND

HEADER = ("target", "at most", "at least", "measured", "")
HALF = 0.5


@dataclass(frozen=True)
class Target:
    """A figure of one section, and its limit."""

    name: str
    section: str
    measured: Callable[[Section], float | None]
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""

    network: Network | None = None
    """Set where the section has a part for each network."""

    def is_measured(self, run: Section) -> bool:
        """Tell whether the run has what the target is about."""
        section = run.get(self.section)
        return section is not None and (self.network is None or self.network in section)

    def row(self, run: Section) -> list[str]:
        """Return the cells of HEADER."""
        measured = self.measured(run[self.section])
        figures = [self._shown(value) for value in (self.at_most, self.at_least, measured)]
        return [self.name, *figures, "met" if self._is_met(measured) else "missed"]

    def _is_met(self, measured: float | None) -> bool:
        if measured is None:
            return False
        below = self.at_most is None or measured <= self.at_most
        return below and (self.at_least is None or measured >= self.at_least)

    def _shown(self, value: float | None) -> str:
        if value is None:
            return ""
        return f"{value:.3g}{self.unit}" if value < 100 else f"{value:.0f}{self.unit}"


def target_rows(run: Section) -> list[Sequence[str]]:
    """Return a row for each target whose section was measured, on the networks that it is of."""
    return [target.row(run) for target in TARGETS if target.is_measured(run)]


def _median_to_docker_run(network: Network, way: str) -> Callable[[Section], float]:
    return lambda latency: float(latency[network][way]["median_to_docker_run"])


def _p95_at_half_load(poisson: Section) -> float | None:
    step = next(step for step in poisson[WARM]["steps"] if step["load"] == HALF)
    latency = step["latency"]
    return float(latency["p95_seconds"]) * MS_PER_SECOND if latency else None


TARGETS = (
    Target(
        "without a sandbox, bridge: median / `docker run --rm`",
        "latency",
        _median_to_docker_run(DEFAULT_NETWORK, ECS_COLD),
        at_most=0.75,
        network=DEFAULT_NETWORK,
    ),
    Target(
        "without a sandbox, no network: median / `docker run --rm`",
        "latency",
        _median_to_docker_run(NO_NETWORK, ECS_COLD),
        at_most=0.75,
        network=NO_NETWORK,
    ),
    Target(
        "in a sandbox: median / `docker run --rm`",
        "latency",
        _median_to_docker_run(DEFAULT_NETWORK, ECS),
        at_most=0.33,
        network=DEFAULT_NETWORK,
    ),
    Target(
        "warm: median / `docker run --rm`",
        "warm",
        lambda warm: float(warm["median_to_docker_run"]),
        at_most=0.05,
    ),
    Target(
        "warm: first byte, median",
        "warm",
        lambda warm: float(warm["first_byte"]["median_seconds"]) * MS_PER_SECOND,
        at_most=8,
        unit=" ms",
    ),
    Target(
        "warm: p95 at random, at half of what is sustained",
        "poisson",
        _p95_at_half_load,
        at_most=25,
        unit=" ms",
    ),
    Target(
        "burst of 20, 20 warm containers / `docker run --rm`",
        "burst",
        lambda burst: float(burst[WARM]["pairwise_to_docker_run"]),
        at_most=0.05,
    ),
    Target(
        "burst of 20, 20 sandboxes / `docker run --rm`",
        "burst",
        lambda burst: float(burst[SANDBOXED]["pairwise_to_docker_run"]),
        at_most=0.5,
    ),
    Target(
        "throughput with sandboxes / `docker run --rm`, each at its best",
        "throughput",
        lambda throughput: float(throughput[DEFAULT_NETWORK]["batch"]["pairwise_to_docker_run"]),
        at_least=2.0,
        network=DEFAULT_NETWORK,
    ),
)

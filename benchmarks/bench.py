"""What every section gets: the running service, the engine, and how much to measure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.raw import BENCHMARK_LABEL, JsonObject, RawEngine
from benchmarks.service import Service

Network = str
DEFAULT_NETWORK: Network = "default"
NO_NETWORK: Network = "none"
NETWORKS: Mapping[Network, str] = {
    DEFAULT_NETWORK: "bridge network",
    NO_NETWORK: "no network",
}

Count = TypeVar("Count")
Section = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """One run of the benchmarks."""

    service: Service
    settings: Mapping[str, str]
    """What the service was started with; a section's own services are, too, and with more."""
    engine: RawEngine
    image: str
    networks: tuple[Network, ...]
    quick: bool
    run_id: str
    """The value of the label on every container that the benchmarks themselves make."""
    host_config: JsonObject
    """The limits that the service puts on a task's container."""

    @property
    def run_label(self) -> str:
        """The label of this run's own containers, as the command line takes it."""
        return f"{BENCHMARK_LABEL}={self.run_id}"

    def sized(self, full: Count, quick: Count) -> Count:
        """Choose how much to measure."""
        return quick if self.quick else full

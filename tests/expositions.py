"""Reads what ``/metrics`` answers."""

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


def families(exposition: str | bytes) -> dict[str, Metric]:
    """The metrics by the name that dashboards use; the parser keeps ``_total`` to itself."""
    text = exposition if isinstance(exposition, str) else exposition.decode()
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in text_string_to_metric_families(text)
    }


def value(exposition: str | bytes, name: str, **labels: str) -> float:
    """The value of one sample, named with its suffix, as in ``…_count``."""
    found = samples(exposition, name)
    return found[frozenset(labels.items())]


def samples(exposition: str | bytes, name: str) -> dict[frozenset[tuple[str, str]], float]:
    """The values of all samples of a name, by their labels."""
    return {
        frozenset(sample.labels.items()): sample.value
        for family in families(exposition).values()
        for sample in family.samples
        if sample.name == name
    }


def labels(exposition: str | bytes) -> dict[str, set[str]]:
    """The names of each metric's labels, a histogram's own one left out."""
    return {
        name: {label for sample in family.samples for label in sample.labels} - {"le"}
        for name, family in families(exposition).items()
    }

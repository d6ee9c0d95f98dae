"""Renders the table of docs/telemetry.md; `python -m tests.unit.metrics_table` prints it.

Copy what it prints between the two markers there; a test compares them.
"""

import prometheus_client

from ecs.telemetry.catalog import CATALOG

BEGIN_MARKER = "<!-- begin: python -m tests.unit.metrics_table -->"
END_MARKER = "<!-- end -->"
COLUMNS = ("Metric", "Kind", "Labels", "Meaning")


def metrics_table() -> str:
    """The table of all metrics, in Markdown."""
    rows: list[tuple[str, ...]] = [COLUMNS, ("---",) * len(COLUMNS)]
    for metric in CATALOG:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append((f"`{metric.name}`", metric.kind, labels, metric.description))
    for family in prometheus_client.ProcessCollector(registry=None).collect():
        suffix = "_total" if family.type == "counter" else ""
        rows.append((f"`{family.name}{suffix}`", family.type, "", family.documentation))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(metrics_table())

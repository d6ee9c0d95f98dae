"""Statistics over measured seconds, and plain-text tables of them."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

MS_PER_SECOND = 1000.0
MB_BYTES = 1_000_000


@dataclass(frozen=True)
class Summary:
    """What is told of a series of measured seconds."""

    count: int
    median_seconds: float
    p95_seconds: float
    min_seconds: float
    max_seconds: float

    def as_json(self) -> dict[str, float]:
        """Return the fields for the JSON file."""
        return asdict(self)


def summary(seconds: Sequence[float]) -> Summary:
    """Summarize a series; percentiles lie within the series."""
    return Summary(
        count=len(seconds),
        median_seconds=statistics.median(seconds),
        p95_seconds=percentile(seconds, 95),
        min_seconds=min(seconds),
        max_seconds=max(seconds),
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile from 1 to 99, interpolated within the values."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median of the ratios of values that were measured in the same round."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align rows under a header: the first column to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    lines = [_line(cells, widths) for cells in (header, rule, *rows)]
    return "\n".join(["", title, *lines])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join([first, *others]).rstrip()


def ms(seconds: float) -> str:
    """Write a duration in milliseconds, with one decimal below 100."""
    value = seconds * MS_PER_SECOND
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def mb(size_bytes: float) -> str:
    """Write a size in megabytes of 10^6."""
    return f"{size_bytes / MB_BYTES:.1f}"

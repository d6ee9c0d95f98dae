"""Queries to Prometheus's HTTP API; knows no metric.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

_TIMEOUT_SECONDS = 120.0
"""Prometheus's own limit for one query."""

Labels = Mapping[str, str]


class PrometheusError(Exception):
    """Prometheus cannot be reached, is none, or refuses; the text is one line."""


@dataclass(frozen=True)
class Series:
    """One time series: its labels, and pairs of Unix time in seconds and value."""

    labels: Labels
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """One Prometheus; use as an async context manager. Every method raises ``PrometheusError``.

    The URL may hold user and password for a proxy in front; they are in no error's text.
    """

    def __init__(self, url: URL) -> None:
        self._url = url
        self.name = str(url.with_user(None))

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def instant(self, query: str, at: datetime) -> list[tuple[Labels, float]]:
        """Return labels and value of each element of a query's vector at one point in time."""
        found = await self._get("query", {"query": query, "time": f"{at.timestamp():.3f}"})
        return [(one["metric"], float(one["value"][1])) for one in found["result"]]

    async def steps(self, query: str, at: datetime) -> list[Series]:
        """Return each series of a query for a range, as ``up[1h:1m]``, that ends at ``at``."""
        found = await self._get("query", {"query": query, "time": f"{at.timestamp():.3f}"})
        return _series(found)

    async def range(
        self, query: str, since: datetime, until: datetime, step_seconds: int
    ) -> list[Series]:
        """Return each series of a query from ``since`` to ``until``, a point for each step."""
        parameters = {
            "query": query,
            "start": f"{since.timestamp():.3f}",
            "end": f"{until.timestamp():.3f}",
            "step": str(step_seconds),
        }
        return _series(await self._get("query_range", parameters))

    async def has_series(self, selector: str) -> bool:
        """Tell whether any series that the selector fits was ever stored, at whatever time."""
        return bool(await self._get("label/__name__/values", {"match[]": selector}))

    async def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        try:
            url = self._url / "api/v1" / path
            # POST takes queries that would be too long for a URL; label values take GET alone.
            method = "POST" if path.startswith("query") else "GET"
            sent = {"data" if method == "POST" else "params": parameters}
            async with self._session.request(method, url, **sent) as response:  # type: ignore[arg-type]
                body = await response.read()
        except TimeoutError as error:
            raise PrometheusError(
                f"Prometheus at {self.name} did not answer within {_TIMEOUT_SECONDS:g} seconds"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise PrometheusError(
                f"Prometheus at {self.name} cannot be reached: {error}"
            ) from error
        return self._data(response.status, body)

    def _data(self, status: int, body: bytes) -> Any:
        try:
            answer = json.loads(body)
            if answer["status"] == "success":
                return answer["data"]
            told = f"{answer['errorType']}: {answer['error']}"
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise PrometheusError(
                f"what answers at {self.name} with status {status} is no Prometheus"
            ) from error
        raise PrometheusError(f"Prometheus at {self.name} refuses: {told}")


def _series(found: Any) -> list[Series]:
    return [
        Series(one["metric"], tuple((float(when), float(value)) for when, value in one["values"]))
        for one in found["result"]
    ]

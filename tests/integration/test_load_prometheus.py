"""The Prometheus beside a soak: it asks the service, and keeps what it was told."""

from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from tests.conftest import StartService
from tests.load.prometheus import scraping
from tests.waiting import eventually


async def test_prometheus_scrapes_the_service_and_keeps_the_samples(
    ecservice: StartService, tmp_path: Path
) -> None:
    service = await ecservice()
    async with aiohttp.ClientSession() as session:
        with scraping(service.url, tmp_path) as url:

            async def scraped() -> list[dict[str, dict[str, str]]]:
                try:
                    async with session.get(f"{url}/api/v1/query", params={"query": "up"}) as answer:
                        if answer.status != HTTPStatus.OK:  # it is not ready yet
                            return []
                        return (await answer.json())["data"]["result"]
                except aiohttp.ClientConnectionError:  # it does not listen yet
                    return []

            found = await eventually(scraped, 30)

    assert [sample["metric"]["instance"] for sample in found] == [urlsplit(service.url).netloc]
    assert any((tmp_path / "data").iterdir())

"""Rules, dashboard and scrape configuration, before the real Prometheus and its promtool."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from ecs.ecsctl import textfile
from ecs.ecsctl.check import metrics
from ecs.ecsctl.check.findings import Finding, failure, ok
from tests.client import calling
from tests.conftest import StartService
from tests.expositions import families
from tests.images import BUSYBOX
from tests.network import free_port
from tests.services import ECService
from tests.textfiles import exposed, node_exporter
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "observability"
PATIENT_SECONDS = 30
PROGRAM = Path(sys.executable).parent / "ecsctl"
PROMETHEUS_S_OWN = {"up"}
HISTOGRAM_PARTS = ("_bucket", "_count", "_sum")


def promtool(*arguments: str, given: bytes = b"") -> None:
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=FOLDER,
        check=False,
        input=given,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert not re.search(rb"^\S*\s*(error|warning)", done.stderr, re.IGNORECASE), done.stderr


def document(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for group in document("alerts.yaml")["groups"] for rule in group["rules"]]


def rule_names() -> list[str]:
    return [rule["alert"] for rule in rules()]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Every query there is, with where it is from; Grafana's variables are filled in."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            yield panel["title"], text


def metric_names(query: str) -> set[str]:
    """The metrics that a query reads."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)', " ", query)
    return set(re.findall(r"\b(?:ecs|process)_\w+|\bup\b", bare))


class Prometheus:
    """A running server, asked over its HTTP API."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def is_ready(self) -> bool:
        try:
            async with self._session.get(f"{self._url}/-/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def ask(self, path: str, **parameters: str) -> Any:
        async with self._session.get(f"{self._url}/api/v1/{path}", params=parameters) as response:
            answer = await response.json()
            assert answer["status"] == "success", answer
            return answer["data"]

    async def value(self, query: str) -> float | None:
        """What the query is now; ``None`` when it is nothing."""
        result = (await self.ask("query", query=query))["result"]
        return float(result[0]["value"][1]) if result else None


async def rules_are_evaluated(server: Prometheus) -> bool:
    groups = (await server.ask("rules"))["groups"]
    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert "err" not in health.values(), health
    return health == dict.fromkeys(rule_names(), "ok")


async def nothing_is_wrong(server: Prometheus) -> bool:
    return (await server.ask("alerts"))["alerts"] == []


async def is_alerted(server: Prometheus, name: str) -> bool:
    active = (await server.ask("alerts"))["alerts"]
    return name in {alert["labels"]["alertname"] for alert in active}


@asynccontextmanager
async def prometheus(
    service: ECService, directory: Path, node: str = ""
) -> AsyncIterator[Prometheus]:
    """Scrape service and node_exporter each second as prometheus.yaml does each 15."""
    configuration = document("prometheus.yaml")
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(FOLDER / "alerts.yaml")]
    jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
    jobs["ecs"]["static_configs"] = [{"targets": [service.url.removeprefix("http://")]}]
    jobs["node"]["static_configs"] = [{"targets": [node] if node else []}]
    file = directory / "prometheus.yaml"
    file.write_text(yaml.safe_dump(configuration))
    port = free_port()
    with (directory / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as session:
            server = Prometheus(session, f"http://127.0.0.1:{port}")
            await eventually(server.is_ready, PATIENT_SECONDS)
            yield server
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def service(ecservice: StartService) -> ECService:
    """One that has run a task, and refused another."""
    service = await ecservice()
    async with calling(service.url) as caller:
        assert (await caller.run("true")).status == 201
        assert (await caller.run("true", image="no-such-image:1", pull="never")).status == 404
        await caller.get("/v1.1/_noop")
    return service


async def exposition(service: ECService) -> bytes:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{service.url}/metrics") as response,
    ):
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        return await response.read()


async def test_promtool_finds_nothing_wrong_with_the_metrics(service: ECService) -> None:
    promtool("check", "metrics", given=await exposition(service))


def test_promtool_takes_rules_and_configuration() -> None:
    promtool("check", "rules", "alerts.yaml")
    promtool("check", "config", "prometheus.yaml")


def test_promtool_sees_every_alert_fire_and_be_silent_as_its_test_says() -> None:
    promtool("test", "rules", "alerts_test.yaml")


@pytest.mark.parametrize("alert", rule_names())
def test_each_alert_fires_in_one_test_and_is_silent_while_all_is_well(alert: str) -> None:
    by_name = {test["name"]: test for test in document("alerts_test.yaml")["tests"]}

    def expected(test: str) -> list[Any]:
        return [
            case["exp_alerts"]
            for case in by_name[test]["alert_rule_test"]
            if case["alertname"] == alert
        ]

    assert expected("all is well") == [[], []]
    assert any(expected(alert))


def test_the_quiet_test_has_every_metric_that_a_rule_reads() -> None:
    quiet = next(
        test for test in document("alerts_test.yaml")["tests"] if test["name"] == "all is well"
    )
    given = {series["series"].partition("{")[0] for series in quiet["input_series"]}

    for rule in rules():
        assert metric_names(rule["expr"]) <= given, rule["alert"]


def test_the_runbook_has_one_entry_for_each_alert_and_each_alert_leads_to_its_own() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    entries = re.findall(r"^## (\w+)\n((?:(?!^## ).*\n)*)", runbook, re.MULTILINE)

    assert sorted(name for name, _ in entries) == sorted(rule_names())
    for _, text in entries:
        assert {"**Means**", "**Look at**", "**Do**"} <= set(re.findall(r"\*\*[\w ]+\*\*", text))
    for rule in rules():
        url = rule["annotations"]["runbook_url"]
        assert url == f"docs/runbook.md#{rule['alert'].lower()}"


def test_every_alert_says_how_bad_it_is() -> None:
    assert {rule["labels"]["severity"] for rule in rules()} == {"critical", "warning"}


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not taken & own, panel["title"]
        taken |= own


def write_findings(directory: Path, left: timedelta, *findings: Finding) -> None:
    """Write what ``ecsctl check --textfile`` does of a node where it finds this."""
    now = datetime.now(UTC)
    textfile.write(directory / "ecs-check.prom", metrics.exposition(findings, now + left, now))


def probe(service: ECService, directory: Path) -> None:
    subprocess.run(
        [PROGRAM, "probe", "--url", service.url, "--image", BUSYBOX,
         "--textfile", directory / "ecs.prom"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


@pytest.fixture
def textfiles(tmp_path: Path) -> Path:
    """Where node_exporter looks for them."""
    directory = tmp_path / "textfiles"
    directory.mkdir()
    return directory


@pytest.fixture
def node(textfiles: Path) -> Iterator[str]:
    """A real node_exporter's address."""
    with node_exporter(textfiles) as address:
        yield address


def names_in(exposition: str | bytes) -> set[str]:
    """The names that queries may use."""
    found = families(exposition)
    histograms = [name for name, family in found.items() if family.type == "histogram"]
    return {*found, *(name + part for name in histograms for part in HISTOGRAM_PARTS)}


async def test_a_real_prometheus_scrapes_the_service_and_answers_every_query(
    service: ECService, node: str, textfiles: Path, tmp_path: Path
) -> None:
    probe(service, textfiles)
    write_findings(textfiles, timedelta(days=60), ok("firewall", "loaded"))
    known = names_in(await exposition(service)) | names_in(exposed(node)) | PROMETHEUS_S_OWN
    async with prometheus(service, tmp_path, node) as server:
        await eventually(lambda: server.value('up{job="ecs"} == 1'), PATIENT_SECONDS)
        assert await server.value('ecs_tasks_total{outcome="exited"}') == 2  # one is the probe's
        assert await server.value('ecs_tasks_total{outcome="image_not_found"}') == 1
        for place, query in queries():
            await server.ask("query", query=query)  # or it fails here
            names = metric_names(query)
            assert names, place
            assert names <= known, place
        await eventually(lambda: rules_are_evaluated(server), PATIENT_SECONDS)
        # Before the first scrape there was no service to see.
        await eventually(lambda: nothing_is_wrong(server), PATIENT_SECONDS)


async def test_a_real_prometheus_is_told_of_certificate_firewall_and_timers(
    service: ECService, node: str, textfiles: Path, tmp_path: Path
) -> None:
    """The alerts only begin: before they fire they wait for a minute and more."""
    async with prometheus(service, tmp_path, node) as server:
        for alert in ("EcsCheckAbsent", "EcsProbeAbsent"):
            await eventually(lambda name=alert: is_alerted(server, name), PATIENT_SECONDS)

        write_findings(textfiles, timedelta(days=2), failure("firewall", "flushed", "load it"))

        for alert in ("EcsCheckFailing", "EcsCertificateExpiring", "EcsCertificateExpiresSoon"):
            await eventually(lambda name=alert: is_alerted(server, name), PATIENT_SECONDS)

        probe(service, textfiles)
        write_findings(textfiles, timedelta(days=60), ok("firewall", "loaded"))

        await eventually(lambda: nothing_is_wrong(server), PATIENT_SECONDS)


async def test_a_real_prometheus_notices_that_the_service_is_gone(
    service: ECService, tmp_path: Path
) -> None:
    async with prometheus(service, tmp_path) as server:
        await eventually(lambda: server.value('up{job="ecs"} == 1'), PATIENT_SECONDS)

        await service.stop()

        await eventually(lambda: is_alerted(server, "EcsDown"), PATIENT_SECONDS)

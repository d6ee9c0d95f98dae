"""A Debian that cloud-init made a node of: what is on it, what runs on it, how it is operated.

Real cloud-init, systemd and engine; no virtual machine, no network but its own loopback. What an
operator does is done by the commands of docs/operations.md.
"""

import json
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ecs.ecsctl.provisioning.units import TEXTFILES
from tests.deployments import write_named_files
from tests.node.operator import Operator
from tests.node.provisioned import (
    API,
    BUILT,
    DOCS,
    NEW_TAG,
    OLD_TAG,
    PULLED,
    START_TIMEOUT_SECONDS,
    ProvisionedNode,
    image,
    provisioned,
)
from tests.textfiles import samples
from tests.waiting import wait_until

OBSERVABILITY = Path(__file__).parents[2] / "observability"
PROMETHEUS = "127.0.0.1:9090"
PAUSE_SECONDS = 0.1
"""Between two requests of a client, which is to stay below the limit of its key."""
SOME_REQUESTS = 5


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProvisionedNode]:
    with provisioned(tmp_path_factory.mktemp("node"), tmp_path_factory.mktemp("machine")) as made:
        yield made


@pytest.fixture(scope="module")
def operator(node: ProvisionedNode) -> Operator:
    return Operator(node)


class AnotherClient:
    """Somebody who asks all the time, and whose every request must be answered."""

    def __init__(self, node: ProvisionedNode) -> None:
        self._command = node.curl(API, "/v1.1/_noop")
        self._answers: list[str] = []
        self._leaving = threading.Event()
        self._asking = threading.Thread(target=self._ask)

    def __enter__(self) -> "AnotherClient":
        self._asking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._asking.join()

    def is_served(self) -> None:
        """See that some more requests are answered, as all before."""
        wanted = len(self._answers) + SOME_REQUESTS
        wait_until(lambda: len(self._answers) >= wanted, START_TIMEOUT_SECONDS)
        assert set(self._answers) == {""}

    def _ask(self) -> None:
        while not self._leaving.wait(PAUSE_SECONDS):
            asked = subprocess.run(self._command, capture_output=True, text=True, check=False)
            self._answers.append(asked.stderr)


def wait_until_it_serves(node: ProvisionedNode) -> None:
    wait_until(lambda: node.answers(API, "/v1.1/_health?quick=false"), START_TIMEOUT_SECONDS)


def test_its_files_are_the_models(node: ProvisionedNode) -> None:
    for file in node.model.files:
        found = node.machine.path(file.path)
        if file.path != "/etc/ecs/keys/htpasswd":  # that has the key that is used here
            assert found.read_text() == file.content
        status = found.stat()
        assert (oct(status.st_mode & 0o7777), status.st_uid, status.st_gid) == (
            oct(file.mode),
            0,
            file.group_id,
        )
    for unit in node.model.units:
        assert node.machine.path(f"/etc/systemd/system/{unit.name}").read_text() == unit.content


def test_it_has_its_name_its_packages_its_operators_key_and_its_time_servers(
    node: ProvisionedNode,
) -> None:
    assert node.machine.run("hostname").strip() == "node-2"
    assert node.inspect("ecs-services")["Config"]["Env"].count("ECS_INSTANCE=node-2") == 1
    node.machine.run("dpkg", "--verify", *node.model.packages, check=False)
    assert node.machine.path("/home/debian/.ssh/authorized_keys").read_text().splitlines() == list(
        node.model.ssh_authorized_keys
    )
    assert (
        "server ntp.example.org iburst" in node.machine.path("/etc/chrony/chrony.conf").read_text()
    )


def test_every_unit_runs_and_comes_again_after_a_boot(node: ProvisionedNode) -> None:
    for unit in node.model.units:
        # Between two runs of its timer.
        wanted = "inactive" if unit.name == "ecs-check.service" else "active"
        wait_until(
            lambda name=unit.name, state=wanted: node.property(name, "ActiveState") == state,
            START_TIMEOUT_SECONDS,
        )
        enabled = node.property(unit.name, "UnitFileState") == "enabled"
        assert enabled == unit.is_enabled
    assert node.machine.run("systemctl", "--failed", "--quiet", "--plain") == ""


@pytest.mark.parametrize("name", BUILT)
def test_a_container_has_its_limits_and_no_more_rights_than_it_needs(
    name: str, node: ProvisionedNode
) -> None:
    found = node.inspect(f"ecs-{name}")
    wanted = node.document["resources"][name]
    host = found["HostConfig"]

    assert host["Memory"] == host["MemorySwap"] == wanted["memory_bytes"]
    assert host["NanoCpus"] == wanted["cpus"] * 1e9
    assert host["PidsLimit"] == wanted["pids"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert not host["Privileged"]
    has_socket = any("docker.sock" in bind for bind in host["Binds"] or [])
    assert has_socket == (name == "services")
    assert bool(host["PortBindings"]) == (name == "nginx")


def test_the_engine_listens_on_its_unix_socket_alone(node: ProvisionedNode) -> None:
    listening = node.machine.run("ss", "--listening", "--tcp", "--udp", "--processes")

    assert "dockerd" not in listening
    assert node.machine.run("docker", "info", "--format", "{{.LiveRestoreEnabled}}") == "false\n"
    bridge = json.loads(node.machine.run("docker", "network", "inspect", "bridge"))[0]
    assert bridge["Options"]["com.docker.network.bridge.enable_icc"] == "false"


def test_the_images_of_tasks_are_pulled(node: ProvisionedNode) -> None:
    wait_until(
        lambda: node.property("ecs-task-images.service", "ActiveState") == "active",
        START_TIMEOUT_SECONDS,
    )

    assert node.inspect(PULLED)["RepoTags"].count(PULLED) == 1


def test_a_task_runs_behind_the_firewall(node: ProvisionedNode) -> None:
    assert node.firewall_problems() == "[]\n"
    service = node.service.replace(":", " ")

    task = node.task("sh", "-c", f"id -u; nc -w 2 {service} </dev/null && echo reached; exit 7")
    answer = json.loads(task.communicate()[0])

    assert (answer["exitCode"], answer["stdout"]) == (7, "NjU1MzQK")  # 65534: strict, as asked


def test_its_timer_tells_node_exporter_what_is_right_and_that_the_firewall_is_gone(
    node: ProvisionedNode, operator: Operator
) -> None:
    textfile = node.machine.path(f"{TEXTFILES}/ecs-check.prom")
    firewall = 'ecs_check_success{check="firewall"}'
    certificate = node.machine.run(
        "openssl", "x509", "-noout", "-enddate", "-in", "/etc/ecs/tls/fullchain.pem"
    )

    wait_until(textfile.exists, START_TIMEOUT_SECONDS)  # nobody but the timer has started it

    told = samples(textfile)
    assert {name for name, value in told.items() if value == 0} == set()
    assert told[firewall] == 1
    assert told["ecs_certificate_not_after_timestamp_seconds"] == ssl.cert_time_to_seconds(
        certificate.strip().partition("=")[2]
    )
    followed = operator.follow("Watch", 1)
    assert "ecs-check.timer" in followed
    assert f"{firewall} 1" in followed

    # A run that is under way would be joined, with what it has seen already.
    node.machine.run("systemctl", "stop", "ecs-check.timer", "ecs-check.service")
    node.machine.run("nft", "delete", "table", "inet", "ecs")
    assert not node.machine.succeeds("systemctl", "start", "ecs-check")
    assert samples(textfile)[firewall] == 0

    node.machine.run("systemctl", "reload", "ecs-firewall")
    node.machine.run("systemctl", "start", "ecs-check")
    assert samples(textfile)[firewall] == 1
    node.machine.run("systemctl", "start", "ecs-check.timer")


def test_a_container_that_dies_is_started_again(node: ProvisionedNode) -> None:
    before = node.inspect("ecs-apidocs")["Id"]

    node.machine.run("docker", "kill", "ecs-apidocs")

    wait_until(lambda: node.answers(DOCS, "/"), START_TIMEOUT_SECONDS)
    assert node.inspect("ecs-apidocs")["Id"] != before
    assert node.property("ecs-apidocs.service", "NRestarts") == "1"


def test_prometheus_reads_the_service_on_the_node(node: ProvisionedNode, tmp_path: Path) -> None:
    document = yaml.safe_load((OBSERVABILITY / "prometheus.yaml").read_text())
    shutil.copy(OBSERVABILITY / "alerts.yaml", tmp_path)
    [scrape] = [each for each in document["scrape_configs"] if each["job_name"] == "ecs"]
    scrape["static_configs"][0]["targets"] = [node.service]  # this node's network is another
    document["global"]["scrape_interval"] = "1s"
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(document))

    def is_up() -> bool:
        return '"1"' in node.machine.run(
            "curl", "--silent", f"http://{PROMETHEUS}/api/v1/query?query=up%7Bjob%3D%22ecs%22%7D",
            check=False,
        )  # fmt: skip

    with subprocess.Popen(
        ["nsenter", f"--target={node.machine.init}", "--net", "prometheus",
         "--config.file=prometheus.yaml", f"--web.listen-address={PROMETHEUS}"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as scraping:  # fmt: skip
        try:
            wait_until(is_up, START_TIMEOUT_SECONDS)
        finally:
            scraping.terminate()


def test_a_key_is_made_used_revoked_and_refused_and_no_other_client_notices(
    node: ProvisionedNode, operator: Operator
) -> None:
    with AnotherClient(node) as another:
        words = operator.follow("Rotate a key", 0).split()
        key, secret = words[1], words[3]
        assert not node.answers(API, "/v1.1/_noop", f"{key}:{secret}")
        operator.follow("Rotate a key", 1)
        assert node.answers(API, "/v1.1/_noop", f"{key}:{secret}")
        another.is_served()

        assert key in operator.follow("Rotate a key", 2, KEY=key)
        operator.follow("Rotate a key", 1)
        assert not node.answers(API, "/v1.1/_noop", f"{key}:{secret}")
        another.is_served()


def test_a_renewed_certificate_is_served_and_no_client_notices(
    node: ProvisionedNode, operator: Operator, tmp_path: Path
) -> None:
    authority = write_named_files(tmp_path)
    trusted = node.machine.path("/root/ca.pem")
    for name in ("fullchain.pem", "privkey.pem"):
        shutil.copy(tmp_path / "tls" / name, operator.directory / "tls" / name)
    trusted.write_bytes(trusted.read_bytes() + authority.read_bytes())

    with AnotherClient(node) as another:
        another.is_served()
        assert "notAfter=" in operator.follow("Renew the certificate")
        another.is_served()

    trusted.write_bytes(authority.read_bytes())
    wait_until(lambda: node.answers(API, "/v1.1/_noop"), START_TIMEOUT_SECONDS)
    shutil.copy(authority, operator.directory)


def test_a_node_is_upgraded_and_rolled_back(node: ProvisionedNode, operator: Operator) -> None:
    for title, tag in (("Upgrade", NEW_TAG), ("Roll back", OLD_TAG)):
        operator.follow(title)
        operator.follow("Apply a change")

        wait_until_it_serves(node)
        assert {node.inspect(f"ecs-{name}")["Config"]["Image"] for name in BUILT} == {
            image(name, tag) for name in BUILT
        }


def test_a_restarted_service_passes_the_operators_checks(operator: Operator) -> None:
    operator.follow("From nothing to a node", 1)  # a key for the probe
    operator.follow("Rotate a key", 1)
    operator.follow("Restart", 0)

    told = operator.follow("Check")

    assert re.search(r"^ok +firewall ", told, re.MULTILINE), told
    assert re.search(r"^ok +open ports ", told, re.MULTILINE), told
    assert re.search(r"^ok +task +201 ", told, re.MULTILINE), told


def test_an_engine_that_is_restarted_takes_everything_with_it(
    node: ProvisionedNode, operator: Operator
) -> None:
    before = node.inspect("ecs-nginx")["Id"]

    operator.follow("Restart", 1)

    wait_until_it_serves(node)
    assert node.inspect("ecs-nginx")["Id"] != before
    assert node.property("ecs-nginx.service", "NRestarts") == "0"  # stopped and started, in order


def test_stopping_drains_and_leaves_nothing_and_starting_serves_again(
    node: ProvisionedNode, operator: Operator
) -> None:
    task = node.task("sh", "-c", "sleep 4; echo drained")
    wait_until(
        lambda: node.machine.run("docker", "ps", "--quiet", "--filter", "name=^ecs-task-") != "",
        START_TIMEOUT_SECONDS,
    )

    operator.follow("Move a node away")

    answer = json.loads(task.communicate()[0])
    assert (answer["exitCode"], answer["outcome"]) == (0, "exited")
    assert node.machine.run("docker", "ps", "--all", "--quiet") == ""
    for name in BUILT:
        assert node.property(f"ecs-{name}.service", "Result") == "success"
    assert "ecs-" not in node.machine.run("docker", "network", "ls")
    assert node.machine.run("systemctl", "--failed", "--quiet", "--plain") == ""

    node.machine.run("systemctl", "enable", "ecs.target")
    node.machine.run("systemctl", "start", "ecs.target")

    wait_until_it_serves(node)

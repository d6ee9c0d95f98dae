"""What a deployment makes of a node: the parts that no validator judges."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ecs.ecsctl.check.command import check
from ecs.ecsctl.provisioning.deployment import Deployment, load, schema
from ecs.ecsctl.provisioning.model import Node, Platform, build
from ecs.settings import Settings
from ecs.settings_help import environment_variable
from tests.deployments import HEADERS, Document, changed, everything, write
from tests.unit.ecsctl.provisioning.broken import resolved
from tests.unit.parameters_table import PARAMETERS

NOT_LIMITS = {"NGINX_DOMAIN", "NGINX_DOCS_DOMAIN", "NGINX_HTTPS_PORT", "NGINX_TLS_PROFILE"}
PATHS = {"NGINX_TLS_CERTIFICATE", "NGINX_TLS_KEY", "NGINX_KEYS_FILE"}
UPSTREAMS = {"NGINX_SERVICE", "NGINX_APIDOCS"}


def loaded(directory: Path, document: Document) -> Deployment:
    return load(write(directory, document))


def contents(node: Node) -> dict[str, str]:
    return {file.path: file.content for file in node.files}


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def least() -> Document:
    wanted = ("domains", "tls", "keys_file", "images")
    return {field: everything()[field] for field in wanted}


def test_the_service_gets_the_limits_and_where_to_send_telemetry(directory: Path) -> None:
    document = everything()
    node = build(loaded(directory, document), 1, Platform.DEBIAN)

    found = variables(contents(node)["/etc/ecs/services.env"])

    assert found.pop("ECS_INSTANCE") == "node-1"
    assert found.pop("ECS_TRUSTED_PROXIES") == "172.31.1.3"
    assert found.pop("ECS_OTLP_ENDPOINT") == document["telemetry"]["otlp_endpoint"]
    assert found.pop("ECS_OTLP_HEADERS") == HEADERS
    lists = {
        "allowed_registries": "docker.io,registry.example.org:5000",
        "warm_images": "registry.example.org/task:1=2",
    }
    assert found == {
        f"ECS_{name.upper()}": str(lists.get(name, value))
        for name, value in document["limits"].items()
    }


def test_the_service_knows_all_its_variables(directory: Path) -> None:
    node = build(loaded(directory, everything()), 1, Platform.DEBIAN)
    found = variables(contents(node)["/etc/ecs/services.env"])
    known = {environment_variable(name): name for name in Settings.model_fields}

    Settings.model_validate({known[variable]: value for variable, value in found.items()})


def test_the_limits_are_the_services_settings_with_their_bounds() -> None:
    for name, rules in schema()["properties"]["limits"]["properties"].items():
        assert environment_variable(name) == f"ECS_{name.upper()}"
        for value in (resolved(rules).get("minimum"), resolved(rules).get("maximum")):
            if value is not None:
                Settings.model_validate({**LOOSE, name: value})


LOOSE = {
    "default_timeout_seconds": 0.1, "max_timeout_seconds": 86400,
    "default_memory_bytes": 6291456, "max_memory_bytes": 2**50,
    "default_cpus": 0.01, "default_pids": 1, "max_pids": 1000000,
}  # fmt: skip


def test_a_container_that_keeps_ending_waits_longer_each_time(directory: Path) -> None:
    units = build(loaded(directory, least()), 1, Platform.DEBIAN).units
    unit = next(unit.content for unit in units if unit.name == "ecs-services.service")
    wait = re.search(r"sleep (\$\$\(\(.+\)\))'", unit)
    assert wait
    script = f"for n in 0 1 2 3 4 5 6 7; do echo {wait[1].replace('$$', '$')}; done"

    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout

    assert "\nRestartSec=1\n" in unit
    assert [1 + int(seconds) for seconds in told.split()] == [1, 1, 2, 4, 8, 16, 31, 31]


def test_nginx_gets_every_parameter_that_it_has(directory: Path) -> None:
    document = everything()
    node = build(loaded(directory, document), 1, Platform.DEBIAN)
    lines = PARAMETERS.read_text(encoding="utf-8").splitlines()
    known = {line.split()[0] for line in lines if line and not line.startswith("#")}

    found = variables(contents(node)["/etc/ecs/nginx.env"])

    assert set(found) == known - PATHS
    assert found["NGINX_SERVICE"] == "172.31.1.2:8448"
    assert found["NGINX_APIDOCS"] == "172.31.2.2:8080"
    assert {name: found[name] for name in known - PATHS - NOT_LIMITS - UPSTREAMS} == {
        f"NGINX_{name.upper()}": str(value) for name, value in document["front_door"].items()
    }


def test_nginx_waits_longer_than_a_task_may_take(directory: Path) -> None:
    document = changed(everything(), lambda whole: whole["front_door"].clear())

    deployment = loaded(directory, document)

    limits = document["limits"]
    longest = sum(limits[f"{name}_timeout_seconds"] for name in ("queue", "pull", "max"))
    assert deployment.answer_timeout_seconds == longest + 240


def test_the_documentations_domain_is_beneath_the_apis(directory: Path) -> None:
    document = changed(least(), lambda whole: whole["domains"].pop("docs"))

    assert loaded(directory, document).domains == ("ecs.example.org", "docs.ecs.example.org")


@pytest.mark.parametrize("platform", Platform)
def test_secrets_are_for_root_alone(platform: Platform, directory: Path) -> None:
    node = build(loaded(directory, everything()), 1, platform)

    modes = {file.path: (file.mode, file.group_id) for file in node.files}

    assert modes["/etc/ecs/tls/privkey.pem"] == (0o600, 0)
    assert modes["/etc/ecs/services.env"] == (0o600, 0)
    assert modes["/etc/ecs/keys/htpasswd"] == (0o640, 33)
    secrets = [HEADERS, (directory / "tls/privkey.pem").read_text()]
    for file in node.files:
        if any(secret in file.content for secret in secrets):
            assert file.mode == 0o600
    assert not any(secret in unit.content for secret in secrets for unit in node.units)


@pytest.mark.parametrize("platform", Platform)
def test_the_engine_has_no_tcp_socket(platform: Platform, directory: Path) -> None:
    node = build(loaded(directory, everything()), 1, platform)
    configuration = json.loads(contents(node)["/etc/docker/daemon.json"])

    assert "hosts" not in configuration
    assert configuration["icc"] is False
    assert configuration["log-opts"] == {"max-size": "10m", "max-file": "5"}
    assert not any("2375" in text for text in contents(node).values())
    assert not any("tcp://" in unit.content for unit in node.units)


@pytest.mark.parametrize(
    ("platform", "runtimes", "packages"),
    [
        (Platform.DEBIAN, {"crun": {"path": "/usr/bin/crun"}}, {"crun"}),
        (Platform.FEDORA_COREOS, {"crun": {"path": "/usr/bin/crun"}}, set()),
        (Platform.FLATCAR, None, set()),
    ],
)
def test_the_engine_has_crun_where_the_service_is_to_try_it(
    platform: Platform, runtimes: object, packages: set[str], directory: Path
) -> None:
    document = changed(least(), lambda whole: whole.update(limits={"runtime": "auto"}))

    node = build(loaded(directory, document), 1, platform)
    without = build(loaded(directory, least()), 1, platform)

    configuration = json.loads(contents(node)["/etc/docker/daemon.json"])
    assert configuration.get("runtimes") == runtimes
    assert set(node.packages) - set(without.packages) == packages
    assert "ECS_RUNTIME=auto\n" in contents(node)["/etc/ecs/services.env"]
    assert "runtimes" not in json.loads(contents(without)["/etc/docker/daemon.json"])
    assert "ECS_RUNTIME" not in contents(without)["/etc/ecs/services.env"]


def test_a_stop_is_longer_than_a_drain(directory: Path) -> None:
    node = build(loaded(directory, everything()), 1, Platform.DEBIAN)
    unit = next(unit.content for unit in node.units if unit.name == "ecs-services.service")

    # 20 seconds of draining, 45 of cleaning up, and some to spare for engine and systemd.
    assert "docker stop -t 80 ecs-services\n" in unit
    assert "\nTimeoutStopSec=100\n" in unit


def test_the_checks_are_told_what_is_right_on_this_node(directory: Path) -> None:
    node = build(loaded(directory, everything()), 1, Platform.DEBIAN)
    unit = next(unit.content for unit in node.units if unit.name == "ecs-check.service")
    start = unit.replace("\\\n", " ").partition("\nExecStart=")[2].partition("\n")[0]
    _, _, words = start.partition(" ecs/services:latest check ")

    given = check.make_context("check", shlex.split(words)).params

    assert given["domains"] == ("ecs.example.org", "docs.ecs.example.org")
    assert given["allowed_ports"] == (22, 8080, 8443, 9100)
    assert (given["certificate"], given["key"]) == (
        Path("/etc/ecs/tls/fullchain.pem"),
        Path("/etc/ecs/tls/privkey.pem"),
    )
    rules = {path for path in contents(node) if Path(path).parent == given["rules_directory"]}
    assert len(rules) == 3
    assert given["textfile_path"].suffix == ".prom"


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_a_node_has_the_firewall_that_was_chosen(backend: str, directory: Path) -> None:
    document = changed(everything(), lambda whole: whole["firewall"].update(backend=backend))

    node = build(loaded(directory, document), 1, Platform.DEBIAN)

    assert backend in node.packages
    unit = next(unit.content for unit in node.units if unit.name == "ecs-firewall.service")
    (start,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert start.rpartition(" ")[2].rpartition("=")[2] in contents(node)
    rules = contents(node)["/etc/ecs/firewall/firewall.nft" if backend == "nftables" else
                           "/etc/ecs/firewall/iptables.rules"]  # fmt: skip
    for wanted in ("10.0.0.2", "10.0.7.0/24", "22", "9100", "8443", "8080"):
        assert wanted in rules


@pytest.mark.parametrize("platform", Platform)
def test_the_firewall_is_loaded_before_there_is_a_network(
    platform: Platform, directory: Path
) -> None:
    node = build(loaded(directory, least()), 1, platform)
    [unit] = [unit for unit in node.units if unit.name == "ecs-firewall.service"]
    lines = unit.content.splitlines()

    assert unit.is_enabled
    assert "Wants=network-pre.target" in lines
    assert "Before=network-pre.target docker.service" in lines
    # With the defaults it would wait for cloud-init, which waits for the network: a cycle.
    assert "DefaultDependencies=no" in lines
    assert "WantedBy=sysinit.target" in lines


@pytest.mark.parametrize(
    ("platform", "path"),
    [
        (Platform.FLATCAR, "/etc/systemd/timesyncd.conf.d/50-ecs.conf"),
        (Platform.FEDORA_COREOS, "/etc/chrony.conf"),
    ],
)
def test_time_servers_are_only_named_where_there_are_any(
    platform: Platform, path: str, directory: Path
) -> None:
    named = contents(build(loaded(directory, everything()), 1, platform))
    unnamed = contents(build(loaded(directory, least()), 1, platform))

    assert "ntp.example.org" in named[path]
    assert path not in unnamed

"""ecsctl check, as a process, on this machine."""

import contextlib
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from ecs.ecsctl.provisioning.deployment import load
from ecs.ecsctl.provisioning.firewall import Firewall, nftables_file
from tests.deployments import everything, write, write_named_files
from tests.engines import EngineProbe
from tests.network_namespaces import Host, host
from tests.textfiles import samples

FORWARD = ("inet", "ecs", "forward")
PROGRAM = Path(sys.executable).parent / "ecsctl"
LISTEN = """\
import socket, sys
with socket.create_server(("", int(sys.argv[1]))):
    print("listening", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with what a node needs on its disk."""
    return make_files(tmp_path, timedelta(days=60))


def make_files(directory: Path, left: timedelta) -> Path:
    now = datetime.now(UTC)
    issued = trustme.CA().issue_cert(
        "ecs.example", not_before=now - timedelta(days=90), not_after=now + left
    )
    (directory / "cert").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(directory / "key")
    (directory / "state").mkdir()
    (directory / "spool").mkdir()
    return directory


def check(
    files: Path, *arguments: str, prefix: tuple[str, ...] = (), **environment: str
) -> "subprocess.CompletedProcess[str]":
    settings = {
        "ECS_STATE_DIRECTORY": str(files / "state"),
        "ECS_SPOOL_DIRECTORY": str(files / "spool"),
        "NGINX_TLS_CERTIFICATE": str(files / "cert"),
        "NGINX_TLS_KEY": str(files / "key"),
    }
    return subprocess.run(
        [*prefix, PROGRAM, "check", *arguments],
        env=os.environ | settings | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def checks(done: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, str]]:
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    found = {one["name"]: one for one in document["checks"]}
    levels = {one["level"] for one in found.values()}
    worst = next(level for level in ("failure", "warning", "ok") if level in levels)
    assert document["result"] == worst
    assert done.returncode == (1 if worst == "failure" else 0)
    for one in found.values():
        assert bool(one["fix"]) == (one["level"] != "ok")
    return found


def test_a_real_engine_is_looked_at_through_and_through(
    bare_engine: EngineProbe, files: Path
) -> None:
    info = bare_engine.client.info()
    icc = bare_engine.client.networks.get("bridge").attrs["Options"][
        "com.docker.network.bridge.enable_icc"
    ]

    found = checks(check(files, "--domain", "ecs.example", "--json"))

    assert info["ServerVersion"] in found["engine"]["found"]
    assert info["Driver"] in found["storage driver"]["found"]
    assert f"version {info['CgroupVersion']}" in found["cgroups"]["found"]
    assert info["DockerRootDir"] in found["engine data space"]["found"]
    assert found["task network"]["level"] == ("ok" if icc == "false" else "failure")
    for name in ("resource limits", "seccomp", "TLS files", "TLS key", "TLS names", "TLS expiry"):
        assert found[name]["level"] == "ok", found[name]
    for name in ("clock", "firewall", "spool space", "state inodes", "open ports"):
        assert found[name]["found"]


def test_people_get_a_line_for_each_check(bare_engine: EngineProbe, files: Path) -> None:
    found = checks(check(files, "--json"))
    lines = check(files).stdout.splitlines()

    assert len(lines) == len(found)
    for line in lines:
        level, rest = line.split(maxsplit=1)
        assert any(rest.startswith(name) and one["level"] == level for name, one in found.items())


def test_an_engine_that_is_not_there_leaves_the_rest_unknown(files: Path) -> None:
    found = checks(check(files, "--json", DOCKER_HOST=f"unix://{files}/none"))

    assert found["engine"]["level"] == "failure"
    assert f"{files}/none" in found["engine"]["found"]
    for name in (
        "storage driver",
        "cgroups",
        "resource limits",
        "seccomp",
        "runtime",
        "task network",
    ):
        assert found[name]["level"] == "warning"
        assert found[name]["found"] == "cannot be checked: the engine does not answer"
    assert found["TLS key"]["level"] == "ok"


def test_an_address_that_is_none_is_told(files: Path) -> None:
    found = checks(check(files, "--json", DOCKER_HOST="ssh://node"))

    assert found["engine"]["level"] == "failure"
    assert "ssh://node cannot be used: must be unix:///" in found["engine"]["found"]


@pytest.mark.parametrize(
    ("environment", "name", "told"),
    [
        ({"ECS_TASK_NETWORK": "none-such"}, "task network", "the engine has no network"),
        ({"ECS_RUNTIME": "none-such"}, "runtime", "the engine has no runtime"),
        ({"ECS_STRICT_RUNTIME": "none-such"}, "strict runtime", "the engine has no runtime"),
    ],
)
def test_a_setting_that_the_engine_cannot_follow_is_told(
    environment: dict[str, str],
    name: str,
    told: str,
    bare_engine: EngineProbe,
    files: Path,
) -> None:
    found = checks(check(files, "--json", **environment))

    assert found[name]["level"] == "failure"
    assert told in found[name]["found"]


def test_a_network_on_which_tasks_reach_each_other_is_told(
    bare_engine: EngineProbe, files: Path
) -> None:
    network = bare_engine.client.networks.create(f"ecs-check-{os.getpid()}")
    try:
        found = checks(check(files, "--json", ECS_TASK_NETWORK=str(network.name)))
    finally:
        network.remove()

    assert found["task network"]["level"] == "failure"
    assert "tasks can reach each other" in found["task network"]["found"]


def test_an_expired_certificate_fails(tmp_path: Path) -> None:
    done = check(make_files(tmp_path, -timedelta(days=1)), "--json")

    assert checks(done)["TLS expiry"]["level"] == "failure"
    assert done.returncode == 1


@contextlib.contextmanager
def listening(on: Host, port: int) -> Iterator[None]:
    """Something on the host that takes connections from everywhere."""
    process = subprocess.Popen(
        on.command(sys.executable, "-c", LISTEN, str(port)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "listening\n"
        yield
        process.communicate(timeout=60)


def test_open_ports_of_engine_and_service_are_told_loudly(files: Path) -> None:
    with host(8) as node:
        inside = tuple(node.command())
        before = checks(check(files, "--json", prefix=inside))
        with listening(node, 2375), listening(node, 8448), listening(node, 9999):
            found = checks(check(files, "--json", prefix=inside))
            allowed = checks(check(files, "--json", "--allow-port", "9999", prefix=inside))

    assert {before[name]["level"] for name in ("engine port", "service port", "open ports")} == {
        "ok"
    }
    assert found["engine port"]["level"] == found["service port"]["level"] == "failure"
    assert "OPEN TO OTHERS: 0.0.0.0:2375" in found["engine port"]["found"]
    assert "OPEN TO OTHERS: 0.0.0.0:8448" in found["service port"]["found"]
    assert found["open ports"]["level"] == "warning"
    assert "0.0.0.0:9999" in found["open ports"]["found"]
    assert allowed["open ports"]["level"] == "ok"


def test_the_firewall_is_looked_for_and_a_missing_rule_is_told(files: Path) -> None:
    rules = files / "firewall.nft"
    rules.write_text(nftables_file(Firewall()))
    found = []
    with host(9) as node:
        for words in (["list", "ruleset"], ["-f", str(rules)], ["flush", "chain", *FORWARD]):
            node.run("nft", *words)
            done = check(files, "--json", prefix=tuple(node.command()))
            found.append(checks(done)["firewall"])

    assert [one["level"] for one in found] == ["failure", "ok", "failure"]
    assert "not loaded" in found[0]["found"]
    assert "is missing or was changed" in found[2]["found"]


def test_a_certificate_near_its_end_and_a_flushed_firewall_are_told_to_node_exporter(
    files: Path,
) -> None:
    rules = files / "firewall"
    rules.mkdir()
    (rules / "firewall.nft").write_text(nftables_file(Firewall()))
    ends = certificate_by_openssl(files, days=2)
    textfile = files / "ecs-check.prom"
    told = []
    with host(9) as node:
        for words in (["-f", str(rules / "firewall.nft")], ["flush", "ruleset"]):
            node.run("nft", *words)
            done = check(
                files, "--firewall", str(rules), "--textfile", str(textfile), "--json",
                prefix=tuple(node.command()),
            )  # fmt: skip
            found = checks(done)
            told.append(samples(textfile))
            assert_told(found, told[-1])

    loaded, flushed = told
    firewall = 'ecs_check_success{check="firewall"}'
    assert (loaded[firewall], flushed[firewall]) == (1, 0)
    assert loaded['ecs_check_success{check="TLS expiry"}'] == 1
    assert loaded["ecs_certificate_not_after_timestamp_seconds"] == ends
    assert found["open ports"]["found"] == "nothing beyond loopback is open"


def certificate_by_openssl(files: Path, days: int) -> float:
    """Replace the certificate, and return when openssl says that it expires."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", str(days), "-keyout", files / "key", "-out", files / "cert",
         "-subj", "/CN=ecs.example", "-addext", "subjectAltName=DNS:ecs.example"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-in", files / "cert"],
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    return ssl.cert_time_to_seconds(told.strip().partition("=")[2])


def assert_told(found: dict[str, dict[str, str]], told: dict[str, float]) -> None:
    """See that each check has its sample, as the answer says."""
    assert {
        name: value for name, value in told.items() if name.startswith("ecs_check_success")
    } == {
        f'ecs_check_success{{check="{name}"}}': float(
            one["level"] != "failure" and not one["found"].startswith("cannot be checked")
        )
        for name, one in found.items()
    }


@pytest.mark.parametrize("content", ["none", "garbage"])
def test_a_certificate_that_cannot_be_read_has_no_end(content: str, files: Path) -> None:
    (files / "cert").unlink()
    if content == "garbage":
        (files / "cert").write_text("garbage")

    check(files, "--textfile", str(files / "ecs-check.prom"))

    told = samples(files / "ecs-check.prom")
    assert told['ecs_check_success{check="TLS files"}'] == 0
    assert "ecs_certificate_not_after_timestamp_seconds" not in told


def test_a_deployment_file_says_which_firewall_domains_and_ports_are_right(files: Path) -> None:
    directory = files / "deployment"
    write_named_files(directory)
    deployment = write(directory, everything())
    rules = files / "firewall.nft"
    rules.write_text(nftables_file(load(deployment).firewall))
    own = {
        "NGINX_TLS_CERTIFICATE": str(directory / "tls/fullchain.pem"),
        "NGINX_TLS_KEY": str(directory / "tls/privkey.pem"),
    }
    with host(9) as node, listening(node, 8443), listening(node, 9100), listening(node, 443):
        inside = tuple(node.command())
        node.run("nft", "-f", str(rules))
        by_defaults = checks(check(files, "--json", prefix=inside, **own))
        named = ("--json", "--deployment", str(deployment))
        found = checks(check(files, *named, prefix=inside, **own))
        of_others = checks(check(files, *named, prefix=inside))

    assert by_defaults["firewall"]["level"] == "failure"
    assert "8443" in by_defaults["open ports"]["found"]
    assert found["firewall"] == {
        "name": "firewall", "level": "ok", "found": "loaded and complete", "fix": ""
    }  # fmt: skip
    assert found["open ports"]["found"] == "open beside 22, 8080, 8443, 9100: 0.0.0.0:443"
    assert found["TLS names"]["level"] == "ok"
    assert of_others["TLS names"]["level"] == "failure"
    assert "not for ecs.example.org, docs.ecs.example.org" in of_others["TLS names"]["found"]


def test_a_faulty_deployment_file_is_told_field_by_field(files: Path) -> None:
    document = everything() | {"ports": {"https": 0, "http": 70000}}
    deployment = write(files, document)

    told = check(files, "--deployment", str(deployment))
    as_json = check(files, "--deployment", str(deployment), "--json")

    assert (told.returncode, told.stdout) == (2, "")
    assert [line.split()[2] for line in told.stderr.splitlines()] == ["/ports/https", "/ports/http"]
    assert (as_json.returncode, as_json.stderr) == (2, "")
    pointers = [fault["pointer"] for fault in json.loads(as_json.stdout)]
    assert pointers == ["/ports/https", "/ports/http"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--config", "/none"], "config = '/none' cannot be read"),
        (["--allow-port", "http"], "'--allow-port'"),
        (["--allow-port", "0"], "'--allow-port'"),
        (["--verbose"], "--verbose"),
        (["--firewall", "/none"], "'--firewall': '/none' holds no rendered rules"),
    ],
)
def test_a_mistake_of_use_is_told_in_one_line(arguments: list[str], told: str, files: Path) -> None:
    done = check(files, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_settings_come_from_the_file_that_the_service_reads(files: Path) -> None:
    (files / "ecs.toml").write_text('docker_host = "tcp://127.0.0.1:1"\nport = 8449\n')

    found = checks(check(files, "--json", "--config", str(files / "ecs.toml")))

    assert "tcp://127.0.0.1:1" in found["engine"]["found"]
    assert "8449" in found["service port"]["found"]

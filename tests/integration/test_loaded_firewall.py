"""The check of the host firewall, on hosts of its own; `test_firewall` has it on a whole one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecs.ecsctl.provisioning import loaded_firewall as module
from ecs.ecsctl.provisioning.firewall import Firewall, iptables_files, nftables_file
from ecs.ecsctl.provisioning.loaded_firewall import loaded_firewall, read_rules, rendered
from tests.network_namespaces import namespace, output_in, run_in

FIREWALL = Firewall()
PROGRAMS = ("iptables", "ip6tables")
NOT_LOADED = [f"{program}: the host firewall is not loaded" for program in PROGRAMS]


@pytest.fixture
def host() -> Iterator[Path]:
    """A host without any rules."""
    with namespace() as made:
        yield made


@pytest.fixture
def nftables(host: Path) -> None:
    output_in(host, "nft", "-f", "-", stdin=nftables_file(FIREWALL))


@pytest.fixture
def rendered_files(tmp_path: Path) -> Path:
    """A directory with the rules for iptables, as a node has them."""
    files = iptables_files(FIREWALL)
    (tmp_path / "iptables.rules").write_text(files.rules_v4)
    (tmp_path / "ip6tables.rules").write_text(files.rules_v6)
    (tmp_path / "load").write_text(files.load)
    return tmp_path


@pytest.fixture
def iptables(host: Path, rendered_files: Path) -> None:
    output_in(host, "sh", str(rendered_files / "load"))


def problems(host: Path, firewall: Firewall = FIREWALL) -> list[str]:
    return run_in(host, loaded_firewall, rendered(firewall))


def test_without_rules_it_is_not_loaded(host: Path) -> None:
    assert problems(host) == NOT_LOADED


def test_without_the_programs_it_is_not_loaded(host: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PATH", str(tmp_path))
        assert problems(host) == NOT_LOADED


@pytest.mark.usefixtures("nftables")
def test_a_table_that_is_as_rendered_is_complete(host: Path) -> None:
    assert problems(host) == []


@pytest.mark.usefixtures("nftables")
def test_other_parameters_are_a_difference(host: Path) -> None:
    assert problems(host, Firewall(open_tcp_ports=(22,))) == [
        "rule 'open ports' of chain input is missing or was changed",
        "rule 'open ports' of chain input is not what would be rendered",
    ]


@pytest.mark.usefixtures("nftables")
def test_a_rule_of_somebody_else_in_the_table_is_told(host: Path) -> None:
    output_in(host, "nft", "insert", "rule", "inet", "ecs", "forward", "accept")
    assert problems(host) == ["rule '-' of chain forward is not what would be rendered"]


@pytest.mark.usefixtures("iptables")
def test_chains_that_are_as_rendered_are_complete(host: Path) -> None:
    assert problems(host) == []


@pytest.mark.usefixtures("iptables")
def test_an_ip_version_without_the_firewall_is_told(host: Path) -> None:
    output_in(host, "ip6tables", "-F")
    output_in(host, "ip6tables", "-X")
    assert problems(host) == NOT_LOADED[1:]


@pytest.mark.usefixtures("iptables")
@pytest.mark.parametrize(
    ("chain", "target"),
    [("INPUT", "ECS-INPUT"), ("FORWARD", "DOCKER-USER"), ("DOCKER-USER", "ECS-FORWARD")],
)
def test_a_chain_that_nothing_leads_to_is_told(host: Path, chain: str, target: str) -> None:
    output_in(host, "iptables", "-D", chain, "-j", target)
    assert problems(host) == [f"iptables: chain {chain} does not jump to {target}"]


@pytest.mark.usefixtures("iptables")
def test_a_rule_that_lets_packets_past_the_firewall_is_told(host: Path) -> None:
    output_in(host, "iptables", "-I", "DOCKER-USER", "-j", "RETURN")
    output_in(host, "ip6tables", "-I", "INPUT", "-p", "tcp", "-j", "ACCEPT")
    assert problems(host) == [
        "iptables: chain DOCKER-USER accepts or returns before it jumps to ECS-FORWARD",
        "ip6tables: chain INPUT accepts or returns before it jumps to ECS-INPUT",
    ]


@pytest.mark.usefixtures("iptables")
def test_rules_that_refuse_more_may_stand_anywhere(host: Path) -> None:
    output_in(host, "iptables", "-I", "INPUT", "-s", "198.18.9.9", "-j", "DROP")
    output_in(host, "iptables", "-A", "INPUT", "-j", "ACCEPT")
    assert problems(host) == []


@pytest.mark.usefixtures("iptables")
def test_another_order_is_told(host: Path) -> None:
    first = output_in(host, "iptables", "-S", "ECS-TASK-FORWARD").splitlines()[1].split()
    output_in(host, "iptables", "-D", "ECS-TASK-FORWARD", "1")
    output_in(host, "iptables", *first)
    assert problems(host) == [
        "iptables: the rules are not in the order in which they would be rendered"
    ]


@pytest.mark.usefixtures("iptables")
def test_rules_that_are_as_in_a_directory_are_complete(host: Path, rendered_files: Path) -> None:
    assert run_in(host, loaded_firewall, read_rules(rendered_files)) == []


@pytest.mark.usefixtures("iptables")
def test_rules_of_another_program_than_the_directory_is_for_are_not_loaded(
    host: Path, tmp_path: Path
) -> None:
    (tmp_path / "firewall.nft").write_text(nftables_file(FIREWALL))
    assert run_in(host, loaded_firewall, read_rules(tmp_path)) == [
        "nft: the host firewall is not loaded"
    ]


@pytest.mark.usefixtures("nftables")
def test_a_kernel_without_bridge_netfilter_is_told(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KERNEL_SETTINGS", ("net.bridge.no-such-setting",))
    assert problems(host) == [
        "the kernel has no net.bridge.no-such-setting, so tasks reach each other: load br_netfilter"
    ]


def test_a_program_that_may_not_read_the_rules_is_no_missing_firewall(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nft = tmp_path / "nft"
    nft.write_text("#!/bin/sh\necho Operation not permitted >&2\nexit 1\n")
    nft.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(subprocess.CalledProcessError) as failure:
        problems(host)
    assert failure.value.stderr == "Operation not permitted\n"

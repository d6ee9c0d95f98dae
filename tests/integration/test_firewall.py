"""The host firewall on a real engine: what each of its rules closes or opens, and nothing else."""

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecs.ecsctl.provisioning.firewall import KERNEL_SETTINGS, iptables_files, nftables_file
from ecs.ecsctl.provisioning.loaded_firewall import loaded_firewall, rendered
from tests.firewall_cases import CASES, FIREWALL
from tests.firewall_lab import (
    ANY_PORT,
    BRIDGE,
    DAEMON_PORT,
    NODE,
    OTHER,
    OUTSIDE,
    OUTSIDE6,
    Lab,
    running_lab,
)
from tests.network_namespaces import output_in, run_in
from tests.reachability import REACHED, Probe, outcomes

TIMED_OUT = 124
"""The exit code of timeout when a program needed more time."""

RULES = sorted(set(re.findall(r'comment "([^"]+)"', nftables_file(FIREWALL))))


def without(rule: str, text: str) -> str:
    """The same file without the lines of one rule."""
    return "".join(
        line for line in text.splitlines(keepends=True) if f'comment "{rule}"' not in line
    )


def load_nftables(node: Path, rule: str = "") -> None:
    """Load the firewall as `nft -f` does, perhaps without a rule."""
    output_in(node, "nft", "-f", "-", stdin=without(rule, nftables_file(FIREWALL)))


def unload_nftables(node: Path) -> None:
    output_in(node, "nft", "delete", "table", "inet", "ecs")


def load_iptables(node: Path, rule: str = "") -> None:
    """Load the firewall as its script does, perhaps without a rule."""
    files = iptables_files(FIREWALL)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "iptables.rules").write_text(without(rule, files.rules_v4))
        (directory / "ip6tables.rules").write_text(without(rule, files.rules_v6))
        (directory / "load").write_text(files.load)
        output_in(node, "sh", str(directory / "load"))


def unload_iptables(node: Path) -> None:
    for command in ("iptables", "ip6tables"):
        output_in(node, command, "-D", "INPUT", "-j", "ECS-INPUT")
        output_in(node, command, "-D", "DOCKER-USER", "-j", "ECS-FORWARD")
        output_in(node, f"{command}-restore", "--noflush", stdin=UNLOADED)


UNLOADED = """*filter
-F ECS-INPUT
-F ECS-FORWARD
-X ECS-INPUT
-X ECS-FORWARD
-F ECS-TASK-INPUT
-F ECS-TASK-FORWARD
-X ECS-TASK-INPUT
-X ECS-TASK-FORWARD
COMMIT
"""

Load = Callable[..., None]
FLAVOURS = {
    "iptables": (load_iptables, unload_iptables),
    "nftables": (load_nftables, unload_nftables),
}


@contextlib.contextmanager
def bridged_packets_unfiltered(node: Path) -> Iterator[None]:
    """As where the module br_netfilter is not loaded."""
    settings = [Path("/proc/sys", *name.split(".")) for name in KERNEL_SETTINGS]
    for setting in settings:
        run_in(node, setting.write_text, "0")
    try:
        yield
    finally:
        for setting in settings:
            run_in(node, setting.write_text, "1")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The lab, with no firewall; the engine started behind one of iptables, as at boot."""
    addresses = {case.probe.address for case in CASES if case.probe.to == "outside"}
    with running_lab(load_iptables, addresses - {OUTSIDE, OUTSIDE6}) as running:
        assert run_in(running.node, loaded_firewall, rendered(FIREWALL)) == []
        unload_iptables(running.node)
        yield running


@pytest.fixture(scope="module", params=FLAVOURS)
def load(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Load]:
    """What loads the firewall, with either program."""
    load, unload = FLAVOURS[request.param]
    load(lab.node)
    yield load
    unload(lab.node)


def expected(without: str = "") -> set[Probe]:
    """The probes that arrive when a rule is not there."""
    return {case.probe for case in CASES if case.arrives != (without in case.rules)}


def wrong(lab: Lab, expected: set[Probe]) -> list[str]:
    """Make every probe, and tell which arrived or did not, against what is expected."""
    lab.forget_neighbours()
    probes = [case.probe for case in CASES]
    found = outcomes(probes, lab.places, lab.listeners, expected=expected)
    return [
        f"{probe}: {outcome}"
        for probe, outcome in found.items()
        if (outcome == REACHED) != (probe in expected)
    ]


def test_without_a_firewall_a_task_reaches_everything(lab: Lab) -> None:
    assert not wrong(lab, {case.probe for case in CASES})


def test_a_task_reaches_what_is_public_and_what_is_allowed(lab: Lab, load: Load) -> None:
    load(lab.node)
    assert not wrong(lab, expected())


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_decides_what_it_is_there_for(lab: Lab, load: Load, rule: str) -> None:
    assert expected(rule) != expected()
    load(lab.node, rule)
    assert not wrong(lab, expected(rule))


def test_a_program_in_a_task_is_told_soon_that_it_is_refused(lab: Lab, load: Load) -> None:
    load(lab.node)
    closed = (BRIDGE, NODE, OTHER, "169.254.169.254", "10.0.0.7")
    attempts = [f"nc -w 5 {address} {ANY_PORT} & " for address in (OUTSIDE, *closed)]
    said = lab.task.exec_run(["sh", "-c", f"{''.join(attempts)} wait"]).output.decode()
    told = [f"can't connect to remote host ({address}): No route to host" for address in closed]
    assert [address for address, words in zip(closed, told, strict=True) if words not in said] == []
    assert said.count("outside") == 1


def test_who_is_outside_is_told_nothing_about_closed_ports(lab: Lab, load: Load) -> None:
    load(lab.node)
    wget = [
        "timeout",
        "2",
        "busybox",
        "wget",
        "-q",
        "-O",
        "-",
        f"http://{NODE}:{DAEMON_PORT}/_ping",
    ]
    with pytest.raises(subprocess.CalledProcessError) as failure:
        output_in(lab.places["outside"], *wget)
    assert (failure.value.returncode, failure.value.stderr) == (TIMED_OUT, "")


def test_loaded_again_it_is_the_same(lab: Lab, load: Load) -> None:
    load(lab.node)
    once = output_in(lab.node, "nft", "--stateless", "list", "ruleset")
    load(lab.node)
    assert output_in(lab.node, "nft", "--stateless", "list", "ruleset") == once


def test_the_check_finds_it_complete(lab: Lab, load: Load) -> None:
    load(lab.node)
    assert run_in(lab.node, loaded_firewall, rendered(FIREWALL)) == []


@pytest.mark.parametrize("rule", ["tasks", "private"])
def test_the_check_names_the_rule_that_is_missing(lab: Lab, load: Load, rule: str) -> None:
    load(lab.node, rule)
    problems = run_in(lab.node, loaded_firewall, rendered(FIREWALL))
    assert problems
    assert all(f"rule {rule!r} " in problem for problem in problems)


def test_without_bridge_netfilter_tasks_meet_and_the_check_says_so(lab: Lab, load: Load) -> None:
    load(lab.node)
    with bridged_packets_unfiltered(lab.node):
        arriving = Probe("task", "other", OTHER, ANY_PORT)
        found = outcomes([arriving], lab.places, lab.listeners, expected={arriving})
        problems = run_in(lab.node, loaded_firewall, rendered(FIREWALL))
    assert found == {arriving: REACHED}
    assert problems == [
        f"the kernel's {name} is not 1, so tasks reach each other: set it"
        for name in KERNEL_SETTINGS
    ]

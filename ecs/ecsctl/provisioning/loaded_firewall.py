"""Tells whether the host firewall is loaded on this machine, and complete; changes nothing."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ecs.ecsctl.provisioning.firewall import (
    KERNEL_MODULE,
    KERNEL_SETTINGS,
    Firewall,
    IptablesFiles,
    iptables_files,
    nftables_file,
)

_TIMEOUT_SECONDS = 10
_LIST_TABLE = ("nft", "-j", "list", "table", "inet", "ecs")
_TABLE = {"family": "inet", "name": "ecs"}
# The ways to our chains. The engine makes the first one too, and puts it before all else.
_JUMPS = (("INPUT", "ECS-INPUT"), ("FORWARD", "DOCKER-USER"), ("DOCKER-USER", "ECS-FORWARD"))
_NOT_LOADED = "the host firewall is not loaded"
_DECIDES = re.compile(r"-j (ACCEPT|RETURN)\b")
_COMMENT = re.compile(r'--comment (?:"([^"]+)"|(\S+))')


class Rules(NamedTuple):
    """A firewall as it is rendered, for the programs that may have loaded it; for one at least."""

    nftables: str | None
    iptables: IptablesFiles | None


def rendered(firewall: Firewall) -> Rules:
    """Return the rules of a firewall, whichever program loads them."""
    return Rules(nftables_file(firewall), iptables_files(firewall))


def read_rules(directory: Path) -> Rules:
    """Return the rules that a node has in this directory, for the program that loads them there.

    Raises:
        OSError: they cannot be read, or are not there.
    """
    nftables = directory / "firewall.nft"
    if nftables.exists():
        return Rules(nftables.read_text(encoding="utf-8"), None)
    names = ("iptables.rules", "ip6tables.rules", "load")
    return Rules(None, IptablesFiles(*((directory / name).read_text("utf-8") for name in names)))


class _Rule(NamedTuple):
    chain: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"rule {self.name!r} of chain {self.chain}"


def loaded_firewall(rules: Rules) -> list[str]:
    """Return what is missing of these rules here, in words; nothing if they are complete.

    Compares with the rendering as the same programs read it back from an empty network namespace,
    so that no spelling of theirs is a difference. Needs root.

    Raises:
        subprocess.CalledProcessError: one of them failed, as it does without root; see ``stderr``.
        subprocess.TimeoutExpired: one of them hangs.
    """
    if rules.nftables is not None and _has_nftables_table():
        problems = _nftables_problems(rules.nftables)
    elif rules.iptables is not None:
        problems = _iptables_problems(rules.iptables)
    else:
        problems = [f"nft: {_NOT_LOADED}"]
    return [*problems, *_kernel_problems()]


def _has_nftables_table() -> bool:
    if shutil.which("nft") is None:
        return False
    listing = json.loads(_run("nft", "-j", "list", "tables"))["nftables"]
    return any(_TABLE.items() <= item.get("table", {}).items() for item in listing)


def _nftables_problems(wanted: str) -> list[str]:
    listed = _run_apart(f"nft -f - && {' '.join(_LIST_TABLE)}", wanted)
    return _differences(_nftables_rules(listed), _nftables_rules(_run(*_LIST_TABLE)))


def _nftables_rules(listing: str) -> list[_Rule]:
    return list(_each_nftables_rule(json.loads(listing)["nftables"]))


def _each_nftables_rule(items: list[dict[str, dict[str, Any]]]) -> Iterator[_Rule]:
    for item in items:
        if chain := item.get("chain"):
            hook = [chain.get(key) for key in ("type", "hook", "prio", "policy")]
            yield _Rule(chain["name"], "hook", json.dumps(hook))
        elif rule := item.get("rule"):
            # What a counter has counted is no difference.
            statements = ["counter" if "counter" in part else part for part in rule["expr"]]
            yield _Rule(rule["chain"], rule.get("comment", "-"), json.dumps(statements))


def _iptables_problems(files: IptablesFiles) -> list[str]:
    problems = []
    for program, rules in (("iptables", files.rules_v4), ("ip6tables", files.rules_v6)):
        loaded = _iptables_rules(_run(program, "-S")) if shutil.which(program) else []
        if ours := [rule for rule in loaded if rule.chain.startswith("ECS-")]:
            wanted = _iptables_rules(_run_apart(f"{program}-restore && {program} -S", rules))
            found = [*_missing_jumps(loaded), *_differences(wanted, ours)]
        else:
            found = [_NOT_LOADED]
        problems += [f"{program}: {problem}" for problem in found]
    return problems


def _iptables_rules(listing: str) -> list[_Rule]:
    rules = [line.split(maxsplit=2) for line in listing.splitlines() if line.startswith("-A ")]
    return [_Rule(chain, _comment(text), text) for _, chain, text in rules]


def _comment(text: str) -> str:
    found = _COMMENT.search(text)
    return found[1] or found[2] if found else "-"


def _missing_jumps(loaded: list[_Rule]) -> Iterator[str]:
    for chain, target in _JUMPS:
        texts = [rule.text for rule in loaded if rule.chain == chain]
        jump = f"-j {target}"
        if jump not in texts:
            yield f"chain {chain} does not jump to {target}"
        elif any(_DECIDES.search(text) for text in texts[: texts.index(jump)]):
            yield f"chain {chain} accepts or returns before it jumps to {target}"


def _differences(wanted: list[_Rule], loaded: list[_Rule]) -> list[str]:
    missing = [rule for rule in wanted if rule not in loaded]
    added = [rule for rule in loaded if rule not in wanted]
    problems = [f"{rule} is missing or was changed" for rule in missing]
    problems += [f"{rule} is not what would be rendered" for rule in added]
    if not problems and wanted != loaded:
        problems = ["the rules are not in the order in which they would be rendered"]
    return list(dict.fromkeys(problems))  # a group of many rules is told once


def _kernel_problems() -> Iterator[str]:
    for name in KERNEL_SETTINGS:
        path = Path("/proc/sys", *name.split(".", 2))
        if not path.exists():
            yield f"the kernel has no {name}, so tasks reach each other: load {KERNEL_MODULE}"
        elif path.read_text().strip() != "1":
            yield f"the kernel's {name} is not 1, so tasks reach each other: set it"


def _run_apart(script: str, stdin: str) -> str:
    """Run a shell script in a network namespace that is empty, and gone afterwards."""
    return _run("unshare", "--net", "sh", "-c", script, stdin=stdin)


def _run(*command: str, stdin: str = "") -> str:
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=True, timeout=_TIMEOUT_SECONDS
    ).stdout

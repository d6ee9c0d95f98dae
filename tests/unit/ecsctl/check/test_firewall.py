"""What is made of the firewall's problems; finding them is loaded_firewall's."""

import subprocess

import pytest

from ecs.ecsctl.check import firewall
from ecs.ecsctl.check.findings import Level
from ecs.ecsctl.provisioning.loaded_firewall import Rules


def told(problems: list[str] | Exception, monkeypatch: pytest.MonkeyPatch) -> tuple[Level, str]:
    def loaded_firewall(_: Rules) -> list[str]:
        if isinstance(problems, Exception):
            raise problems
        return problems

    monkeypatch.setattr(firewall, "loaded_firewall", loaded_firewall)
    finding = firewall.check_firewall(Rules(None, None))
    return finding.level, finding.found


@pytest.mark.parametrize(
    ("problems", "expected"),
    [
        ([], (Level.OK, "loaded and complete")),
        (["a", "b", "c"], (Level.FAILURE, "a; b; c")),
        (["a", "b", "c", "d", "e"], (Level.FAILURE, "a; b; c; and 2 more")),
        (
            subprocess.CalledProcessError(4, ["nft"], stderr="not\npermitted"),
            (Level.WARNING, "cannot be checked: nft: not permitted"),
        ),
        (
            subprocess.CalledProcessError(4, ["nft"], stderr=""),
            (Level.WARNING, "cannot be checked: nft: exit code 4"),
        ),
        (
            FileNotFoundError(2, "No such file", "nft"),
            (Level.WARNING, "cannot be checked: [Errno 2] No such file: 'nft'"),
        ),
    ],
)
def test_problems_fail_and_what_cannot_be_seen_is_not_guessed(
    problems: list[str] | Exception,
    expected: tuple[Level, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert told(problems, monkeypatch) == expected

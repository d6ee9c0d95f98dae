"""What docs/sla.md tells operators to install is what the real tools take."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import ecs
from ecs.ecsctl.sla.objective import DAYS, Objective

PROGRAM = Path(sys.executable).parent / "ecsctl"
INSTALLED = "/opt/ecs/.venv/bin/ecsctl"


@pytest.fixture(scope="module")
def document() -> str:
    path = Path(ecs.__file__).parent.parent / "docs" / "sla.md"
    return path.read_text(encoding="utf-8")


def test_the_units_are_units_that_systemd_takes(document: str, tmp_path: Path) -> None:
    units = re.findall(r"```ini\n# /etc/systemd/system/(\S+)\n(.*?)```", document, re.DOTALL)
    assert [name for name, _ in units] == ["ecs-probe.service", "ecs-probe.timer"]
    for name, text in units:
        (tmp_path / name).write_text(text.replace(INSTALLED, str(PROGRAM)))

    done = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / name for name, _ in units)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_command_of_unit_and_cron_is_one_that_the_program_takes(
    document: str, tmp_path: Path
) -> None:
    joined = document.replace("\\\n", " ")
    commands = re.findall(rf"{INSTALLED} (probe .*)", joined)
    assert len(commands) == 2

    for command in commands:
        words = shlex.split(command.replace(">/dev/null", ""))
        words[words.index("--key-file") + 1] = str(tmp_path / "none")
        done = subprocess.run(
            [PROGRAM, *words], capture_output=True, text=True, timeout=60, check=False
        )
        # The file of the key is the last thing that can be wrong before it sends anything.
        assert done.returncode == 2
        assert "'--key-file'" in done.stderr


def test_the_objective_is_the_programs_default(document: str) -> None:
    objective = Objective()

    assert f"Over {DAYS} days:" in document
    assert f"| availability | {objective.availability_percent:g} % |" in document
    assert f"percentile | at most {objective.overhead_p95_seconds:g} s |" in document

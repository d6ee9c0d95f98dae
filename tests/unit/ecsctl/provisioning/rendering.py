"""Calls ``ecsctl render`` as the program does, in this process."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ecs.ecsctl.main import main
from tests.deployments import Document, write

FORMATS = ("cloud-config", "ignition", "cloud-init")


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Outcome:
    """Run the program, and return how it ended."""
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ecsctl", "render", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            assert isinstance(ended.code, int)
            code = ended.code
    written = capsys.readouterr()
    return Outcome(code, written.out, written.err)


def assert_refused(
    capsys: pytest.CaptureFixture[str], directory: Path, document: Document
) -> list[str]:
    """Render what must be refused: exit code 2, nothing written; return the lines of complaint."""
    before = sorted(directory.rglob("*"))
    path = write(directory, document)
    ended = run(capsys, path, "--format", "ignition", "-o", directory / "out")
    assert (ended.code, ended.stdout) == (2, "")
    assert sorted(directory.rglob("*")) == sorted({*before, path})
    lines = ended.stderr.splitlines()
    assert all(line.startswith(f"ecsctl: {path}:") for line in lines)
    return [line.removeprefix(f"ecsctl: {path}:") for line in lines]

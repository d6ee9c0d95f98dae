"""The program itself, as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ecs

PROGRAM = Path(sys.executable).parent / "ecsctl"
MANY = 12


def start(path: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [PROGRAM, *arguments],
        env=os.environ | {"ECS_KEYS_FILE": str(path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


def keys(path: Path) -> set[str]:
    return {line.split(":")[0] for line in path.read_text(encoding="ascii").splitlines()}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "Missing command. See `ecsctl --help`."),
        (["creds"], 2, "Missing command. See `ecsctl creds --help`."),
        (["creds", "revoke"], 2, "Missing argument 'KEY'. See `ecsctl creds revoke --help`."),
        (["creds", "lend"], 2, "lend"),
        (["creds", "list", "--jsn"], 2, "--jsn"),
        (["creds", "list", "extra"], 2, "(extra). See `ecsctl creds list --help`."),
        (["creds", "make", "--comment", "a:b"], 2, "--comment"),
        (["creds", "make", "--file", "/"], 2, "--file"),
        (["creds", "revoke", "nobody"], 1, "there is no key 'nobody' in "),
        (["creds", "make", "--file", "/dev/null/keys"], 1, "cannot be used"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    arguments: list[str], code: int, told: str, tmp_path: Path
) -> None:
    status, stdout, stderr = ended(start(tmp_path / "htpasswd", *arguments))

    assert (status, stdout) == (code, "")
    assert stderr.startswith("ecsctl: ")
    assert told in stderr
    assert len(stderr.splitlines()) == 1


def test_version_is_the_packages(tmp_path: Path) -> None:
    assert ended(start(tmp_path, "--version")) == (0, f"{ecs.__version__}\n", "")


def test_processes_that_make_and_revoke_keys_at_a_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "htpasswd"
    doomed = [
        json.loads(ended(start(path, "creds", "make", "--json"))[1])["key"] for _ in range(MANY)
    ]

    making = [start(path, "creds", "make", "--json") for _ in range(MANY)]
    revoking = [start(path, "creds", "revoke", key) for key in doomed]
    made = [json.loads(ended(process)[1])["key"] for process in making]
    statuses = [ended(process)[0] for process in revoking]

    assert statuses == [0] * MANY
    assert keys(path) == set(made)

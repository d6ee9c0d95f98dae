"""The completion that a shell gets from the program itself."""

import os
import pty
import select
import subprocess
import sys
from io import FileIO
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).parent / "ecsctl"

# What bash does at a press of Tab, with the words of a command line.
PRESS_TAB = """
eval "$(ecsctl completion bash)"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
specification=$(complete -p ecsctl)
function=${specification#*-F } function=${function%% *}
"$function" ecsctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(*words: str) -> set[str]:
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-euc", PRESS_TAB, "bash", *words],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ecsctl", "c"], {"check", "completion", "creds"}),
        (["ecsctl", "creds", "r"], {"revoke"}),
        (["ecsctl", "completion", ""], {"bash", "zsh", "fish"}),
        (["ecsctl", "sla", "--unt"], {"--until"}),
    ],
)
def test_bash_completes_commands_arguments_and_options(
    words: list[str], expected: set[str]
) -> None:
    assert completed(*words) == expected


def test_a_person_at_a_terminal_presses_tab() -> None:
    terminal, inner = pty.openpty()
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        env=os.environ | {"PATH": path, "PS1": "", "TERM": "dumb"},
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    os.close(inner)
    with shell, open(terminal, "r+b", buffering=0) as screen:  # noqa: PTH123 # a descriptor
        screen.write(b'eval "$(ecsctl completion bash)"; echo rea""dy\n')
        shows(screen, b"ready")
        screen.write(b"ecsctl compl\t")
        shows(screen, b"ecsctl completion ")
        shell.kill()


def shows(screen: FileIO, text: bytes) -> None:
    """Read what the terminal shows until this is there."""
    seen = b""
    while text not in seen:
        readable, _, _ = select.select([screen], [], [], 60)
        assert readable, seen
        seen += screen.read(4096)


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o nosort -F"),
        ("zsh", "#compdef ecsctl"),
        ("fish", "complete --no-files"),
    ],
)
def test_each_shell_has_its_own_script(shell: str, line: str) -> None:
    done = subprocess.run(
        [PROGRAM, "completion", shell], capture_output=True, text=True, check=True, timeout=60
    )

    assert line in done.stdout
    assert "ecsctl" in done.stdout


def test_a_shell_that_is_not_known_is_a_mistake_of_use() -> None:
    done = subprocess.run(
        [PROGRAM, "completion", "tcsh"], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr
    assert len(done.stderr.splitlines()) == 1

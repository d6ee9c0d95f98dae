"""The compiled programs are where the service looks for them."""

import platform
import subprocess
from pathlib import Path

import ecs.native
from ecs.native import init_program


def test_there_is_an_init_for_this_machine_that_needs_no_library() -> None:
    program = init_program(platform.machine())

    assert program, "bin/build-native was not run"
    path = Path(ecs.native.__file__).parent / f"init-{platform.machine()}"
    ended = subprocess.run([path], capture_output=True, env={}, check=False)
    assert ended.stderr == b"ecs init: not PID 1 of a container\n"
    assert b"/ld-linux" not in program


def test_there_is_none_for_a_machine_that_nobody_built_it_for() -> None:
    assert init_program("pdp11") is None

"""Runtimes that are not as good as they should be, as programs for an engine to call.

Each passes on to runc what it does not spoil.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

SLOW = """#!/bin/sh
case " $* " in *" create "*) sleep 1 ;; esac
exec runc "$@"
"""
BROKEN = """#!/bin/sh
exit 1
"""
LIMITLESS = f"""#!{sys.executable}
import json, os, pathlib, sys
arguments = sys.argv[1:]
if "create" in arguments:
    config = pathlib.Path(arguments[arguments.index("--bundle") + 1], "config.json")
    document = json.loads(config.read_text())
    del document["linux"]["resources"]
    config.write_text(json.dumps(document))
os.execvp("runc", ["runc", *arguments])
"""
PROGRAMS = {"slow": SLOW, "broken": BROKEN, "limitless": LIMITLESS}


def spoiled_runtimes(directory: Path) -> Mapping[str, Path]:
    """Write the programs, and return them by the name of what is wrong with each."""
    for name, program in PROGRAMS.items():
        (directory / name).write_text(program)
        (directory / name).chmod(0o755)
    return {name: directory / name for name in PROGRAMS}

"""Command line of `bin/load`."""

import argparse
import asyncio
import sys
from pathlib import Path

from tests.load.generator import GeneratorError
from tests.load.publish import publish
from tests.load.sampling import ServiceEndedError
from tests.load.session import DEFAULT_OUTPUT
from tests.load.soak import Plan, run_soak
from tests.load.steps import run_steps

DEFAULT_USERS = "1,2,4,8,16,32"


def main() -> int:
    """Parse the arguments, run, and return the exit status."""
    options = _options()
    try:
        return _run(options)
    except (GeneratorError, ServiceEndedError, OSError, ValueError, AssertionError) as error:
        print(f"bin/load: {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    if options.command == "publish":
        publish(options.file, options.docs)
        return 0
    if options.command == "steps":
        return asyncio.run(
            run_steps(
                options.users,
                options.seconds_per_step,
                output=options.output,
                previous_file=options.previous,
                instance=options.instance,
            )
        )
    plan = Plan(
        options.minutes,
        options.tasks_per_second,
        options.sample_seconds,
        options.settle_seconds,
        options.output,
        options.prometheus,
        options.instance,
    )
    return asyncio.run(run_soak(plan))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/load",
        description="Put the service under load and watch it; docs/load.md tells how to read it.",
        epilog="Exit status: 0 all well, 1 a wrong answer or a leak, 2 wrong usage, "
        "3 too short to tell.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--output", type=Path, default=DEFAULT_OUTPUT, help="directory of the report"
    )
    shared.add_argument("--instance", help="ECS_INSTANCE of the service; default a random one")

    steps = commands.add_parser("steps", parents=[shared], help="stepped concurrency")
    steps.add_argument("--seconds-per-step", type=_positive, default=60.0)
    steps.add_argument(
        "--users", type=_users, default=DEFAULT_USERS, help="as 1,2,4 (default %(default)s)"
    )
    steps.add_argument("--previous", type=Path, help="a steps.json; default that of --output")

    soak = commands.add_parser("soak", parents=[shared], help="a modest load for long")
    soak.add_argument("--minutes", type=_positive, required=True)
    soak.add_argument("--tasks-per-second", type=_positive, default=1.0)
    soak.add_argument("--sample-seconds", type=_positive, default=5.0)
    soak.add_argument("--settle-seconds", type=_positive, default=120.0, help="at the end, at most")
    soak.add_argument(
        "--prometheus", type=Path, metavar="DIRECTORY", help="run one, with its data there"
    )

    publishing = commands.add_parser("publish", help="put figures into the documents")
    publishing.add_argument("file", type=Path, nargs="+", help="steps.json or soak.json")
    publishing.add_argument("--docs", type=Path, default=Path("docs"), help="default %(default)s")
    return parser.parse_args()


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return value


def _users(text: str) -> list[int]:
    counts = [int(count) for count in text.split(",")]
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(f"each must be 1 or more, not {text}")
    return counts


if __name__ == "__main__":
    sys.exit(main())

"""The command ``ecsctl``: what an operator does around the service."""

import importlib
import sys

import click

import ecs

_COMMANDS = {
    "check": "ecs.ecsctl.check.command",
    "completion": "ecs.ecsctl.completion",
    "creds": "ecs.ecsctl.creds",
    "probe": "ecs.ecsctl.probe.command",
    "render": "ecs.ecsctl.render",
    "sla": "ecs.ecsctl.sla.command",
}
"""Each command, and the module in which a command of that name is."""


class _Commands(click.Group):
    """Imports a command when it is asked for: ``creds`` needs little of what the others do."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(_COMMANDS[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        return command


# Without arguments it says what is missing, in one line like any other mistake.
@click.group(cls=_Commands, no_args_is_help=False, context_settings={"max_content_width": 100})
@click.version_option(ecs.__version__, message="%(version)s")
def ecsctl() -> None:
    """Operate the Ephemeral Container Service."""


def main() -> None:
    """Run the command line; exit code 1 for a failure, 2 for a command that is none."""
    try:
        ecsctl.main(prog_name="ecsctl", standalone_mode=False)
    except click.Abort:
        sys.exit("ecsctl: aborted")
    except click.ClickException as error:
        click.echo(f"ecsctl: {_one_line(error)}", err=True)
        sys.exit(error.exit_code)


def _one_line(error: click.ClickException) -> str:
    told = " ".join(error.format_message().split())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        full_stop = "" if told.endswith((".", "?")) else "."
        return f"{told}{full_stop} See `{error.ctx.command_path} --help`."
    return told

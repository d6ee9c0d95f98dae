"""The command ``ecsctl``: what an operator does around the service."""

import sys

import click

import ecs
from ecs.ecsctl.check.command import check
from ecs.ecsctl.completion import completion
from ecs.ecsctl.creds import creds
from ecs.ecsctl.probe.command import probe
from ecs.ecsctl.sla.command import sla


# Without arguments it says what is missing, in one line like any other mistake.
@click.group(no_args_is_help=False, context_settings={"max_content_width": 100})
@click.version_option(ecs.__version__, message="%(version)s")
def ecsctl() -> None:
    """Operate the Ephemeral Container Service."""


for command in (check, completion, creds, probe, sla):
    ecsctl.add_command(command)


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

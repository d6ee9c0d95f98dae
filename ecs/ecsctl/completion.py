"""``ecsctl completion``: the shell completion of this command line, as click makes it."""

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_ECSCTL_COMPLETE"
"""By this click learns that a shell asks; it derives it from the program's name."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL, for its start-up file.

    bash: eval "$(ecsctl completion bash)"
    """
    completer = get_completion_class(shell)
    assert completer is not None, shell  # click knows these three
    command = context.find_root().command
    click.echo(completer(command, {}, "ecsctl", _VARIABLE).source())

"""``ecsctl render``: one deployment file in, the first boot's configuration of one node out.

Knows the command line; what is in the configuration, only ``provisioning`` knows.
"""

import os
import tempfile
from pathlib import Path

import click

from ecs.ecsctl.deployment_file import checked_deployment
from ecs.ecsctl.provisioning import cloud_config, cloud_init, ignition
from ecs.ecsctl.provisioning.model import Platform, build

_RENDERINGS = {
    Platform.FLATCAR: cloud_config.render,
    Platform.FEDORA_COREOS: ignition.render,
    Platform.DEBIAN: cloud_init.render,
}


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--format",
    "format_",
    required=True,
    type=click.Choice([platform.value for platform in Platform]),
    help="cloud-config for Flatcar, ignition for Fedora CoreOS, cloud-init for Debian and Ubuntu.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT",
    help="Write to OUT, which its owner alone can read, instead of to standard output.",
)
@click.option(
    "--node", default=1, show_default=True, type=click.IntRange(min=1), help="Number of the node."
)
@click.option("--json", "as_json", is_flag=True, help="Write faults as JSON to standard output.")
def render(file: Path, format_: str, output: Path | None, node: int, as_json: bool) -> None:
    """Render the configuration of a node from the deployment file FILE.

    It holds the private key and the clients' keys. With exit code 2 every fault of FILE is told in
    a line, and nothing is written.
    """
    deployment = checked_deployment(file, as_json=as_json)
    if node > deployment.nodes:
        raise click.BadParameter(
            f"{node} is not allowed: it takes 1 to nodes/count, {deployment.nodes}.",
            param_hint="'--node'",
        )
    if output is not None and output.exists() and not output.is_file():
        raise click.BadParameter(f"{str(output)!r} is no file.", param_hint="'--output'")
    platform = Platform(format_)
    text = _RENDERINGS[platform](build(deployment, node, platform))
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        _replace(output, text)
    except OSError as error:
        raise click.ClickException(
            f"{str(output)!r} cannot be written: {error.strerror}"
        ) from error


def _replace(path: Path, text: str) -> None:
    """Write the file whole or not at all, with mode 0600."""
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

"""The deployment file as an argument of ``ecsctl``: read, or told what is wrong with it."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from ecs.ecsctl.options import echo_json
from ecs.ecsctl.provisioning.deployment import Deployment, load
from ecs.ecsctl.provisioning.faults import DeploymentError

_FAULTY = 2


def checked_deployment(path: Path, *, as_json: bool) -> Deployment:
    """Return the deployment, or tell each fault in a line or as JSON, and exit with code 2."""
    try:
        return load(path)
    except DeploymentError as error:
        if as_json:
            echo_json([asdict(fault) for fault in error.faults])
        else:
            for fault in error.faults:
                click.echo(f"ecsctl: {fault}", err=True)
        sys.exit(_FAULTY)

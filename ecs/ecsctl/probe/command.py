"""The command line of ``ecsctl probe``, and what it prints."""

import asyncio
import json
import os
import ssl
import sys
import time
from base64 import b64encode
from dataclasses import asdict
from pathlib import Path

import click
from yarl import URL

from ecs.ecsctl.options import (
    echo_json,
    http_url,
    json_option,
    shown,
    textfile_option,
    write_textfile,
)
from ecs.ecsctl.probe import checks
from ecs.ecsctl.probe.checks import Outcome, Target
from ecs.ecsctl.probe.metrics import exposition

_KEY_VARIABLE, _SECRET_VARIABLE = "ECS_PROBE_KEY", "ECS_PROBE_SECRET"
_PATH = click.Path(path_type=Path)


@click.command()
@click.option(
    "--url",
    required=True,
    envvar="ECS_PROBE_URL",
    show_envvar=True,
    metavar="URL",
    help="Where the service is: https://HOST, without /v1.1.",
)
@click.option(
    "--key-file",
    type=_PATH,
    envvar="ECS_PROBE_KEY_FILE",
    show_envvar=True,
    metavar="PATH",
    help="Key and secret as `ecsctl creds make --json` prints them. Without it they are "
    f"{_KEY_VARIABLE} and {_SECRET_VARIABLE}; without these no key is sent.",
)
@click.option(
    "--cacert", type=_PATH, metavar="PATH", help="Authorities to trust (PEM), not the system's."
)
@click.option(
    "--image",
    default="busybox:latest",
    show_default=True,
    metavar="IMAGE",
    help="Image of the task; it must have the program `true`.",
)
@click.option(
    "--network",
    type=click.Choice(["default", "none"]),
    default="default",
    show_default=True,
    help="Network of the task.",
)
@click.option(
    "--timeout-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each answer may take.",
)
@textfile_option
@json_option
def probe(
    *,
    url: str,
    key_file: Path | None,
    cacert: Path | None,
    image: str,
    network: str,
    timeout_seconds: float,
    textfile_path: Path | None,
    as_json: bool,
) -> None:
    """Send one _noop and one task that exits at once. Exit code 1 if one fails."""
    target = Target(_url(url), _authorization(key_file), cacert, timeout_seconds)
    try:
        outcomes = asyncio.run(checks.probe(target, image, network))
    except (OSError, ssl.SSLError) as error:
        raise click.BadParameter(f"{str(cacert)!r}: {error}", param_hint="'--cacert'") from error
    if textfile_path is not None:
        write_textfile(textfile_path, exposition(outcomes, time.time()))
    if as_json:
        echo_json([asdict(outcome) for outcome in outcomes])
    else:
        for outcome in outcomes:
            click.echo(_line(outcome))
    sys.exit(0 if all(outcome.success for outcome in outcomes) else 1)


def _url(text: str) -> URL:
    url = http_url(text, option="--url", takes="https://HOST or http://HOST")
    if url.user is not None or url.password is not None:
        # Everybody on the machine can read a program's arguments.
        told = "no key and secret in it: use --key-file"
        raise click.BadParameter(told, param_hint="'--url'")
    return url


def _authorization(key_file: Path | None) -> str | None:
    if key_file is not None:
        return _basic(*_from_file(key_file))
    key, secret = os.environ.get(_KEY_VARIABLE), os.environ.get(_SECRET_VARIABLE)
    if bool(key) != bool(secret):
        raise click.UsageError(f"{_KEY_VARIABLE} and {_SECRET_VARIABLE} must both be set, or none")
    return _basic(key, secret) if key and secret else None


def _basic(key: str, secret: str) -> str:
    return f"Basic {b64encode(f'{key}:{secret}'.encode()).decode()}"


def _from_file(path: Path) -> tuple[str, str]:
    hint = "'--key-file'"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return document["key"], document["secret"]
    except OSError as error:
        raise click.BadParameter(f"{str(path)!r}: {error.strerror}", param_hint=hint) from error
    except (ValueError, LookupError, TypeError) as error:
        told = f'{str(path)!r} is not {{"key": …, "secret": …}}'
        raise click.BadParameter(told, param_hint=hint) from error


def _line(outcome: Outcome) -> str:
    word = "ok" if outcome.success else "failure"
    status = outcome.status or "---"
    detail = f"  {outcome.detail}" if outcome.detail else ""
    return shown(f"{word:7}  {outcome.check}  {status}  {outcome.seconds:.3f} s{detail}")

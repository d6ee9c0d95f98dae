"""``ecsctl creds``: makes, lists and revokes the keys that nginx asks for in front of the service.

Knows the command line; what the file of keys looks like, only ``htpasswd`` knows.
"""

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from ecs.ecsctl.htpasswd import Entry, KeyFile
from ecs.ecsctl.options import Command, echo_json, json_option, shown

_SECRET_BYTES = 16
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def _file_option(command: Command) -> Command:
    return click.option(
        "--file",
        "path",
        type=click.Path(dir_okay=False, readable=False, path_type=Path),
        envvar="ECS_KEYS_FILE",
        default=Path("deployment/keys/htpasswd"),
        show_default=True,
        show_envvar=True,
        metavar="PATH",
        help="File of the keys, as nginx reads it.",
    )(command)


@click.group(no_args_is_help=False)
def creds() -> None:
    """Make, list and revoke the keys of the front door; each change counts at once."""


@creds.command()
@click.option(
    "--comment", default="", metavar="TEXT", help="Whose key it is, or what for; no colon in it."
)
@json_option
@_file_option
def make(comment: str, as_json: bool, path: Path) -> None:
    """Make a key and its secret, and print both: the secret is kept nowhere."""
    key, secret = str(uuid.uuid4()), secrets.token_hex(_SECRET_BYTES)
    with _told(path):
        try:
            _key_file(path).add(key, secret, comment=comment, made=datetime.now(UTC))
        except ValueError as error:
            raise click.BadParameter(f"{error}.", param_hint="'--comment'") from error
    if as_json:
        echo_json({"key": key, "secret": secret})
    else:
        click.echo(f"key     {key}\nsecret  {secret}")
        click.echo("The secret is shown this once.", err=True)


@creds.command("list")
@json_option
@_file_option
def list_(as_json: bool, path: Path) -> None:
    """List the keys, when each was made, and its comment."""
    with _told(path):
        entries = _key_file(path).read()
    if as_json:
        echo_json([_document(entry) for entry in entries])
        return
    for entry in entries:
        click.echo(f"{shown(entry.key)}  {_made(entry) or '-':20}  {shown(entry.comment)}".rstrip())
    if not entries:
        click.echo(f"There are no keys in {path}.", err=True)


@creds.command()
@click.argument("key")
@json_option
@_file_option
def revoke(key: str, as_json: bool, path: Path) -> None:
    """Revoke KEY: nginx refuses it from the next request on."""
    with _told(path):
        known = _key_file(path).revoke(key)
    if not known:
        raise click.ClickException(f"there is no key {key!r} in {str(path)!r}")
    if as_json:
        echo_json({"key": key, "revoked": True})


def _key_file(path: Path) -> KeyFile:
    return KeyFile(path, warn=lambda words: click.echo(f"ecsctl: {words}", err=True))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell in one line what the system refuses."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(
            f"the file of keys {str(path)!r} cannot be used: {error.strerror}"
            + (f" ({error.filename})" if error.filename else "")
        ) from error


def _document(entry: Entry) -> dict[str, str | None]:
    return {"key": entry.key, "comment": entry.comment, "made": _made(entry)}


def _made(entry: Entry) -> str | None:
    return entry.made.strftime(_TIME_FORMAT) if entry.made else None

"""Options and answers that several commands of ``ecsctl`` have in common."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from yarl import URL

from ecs.ecsctl import textfile

Command = Callable[..., Any]

json_option: Callable[[Command], Command] = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON."
)
textfile_option: Callable[[Command], Command] = click.option(
    "--textfile",
    "textfile_path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Also write the outcome for node_exporter's textfile collector (PATH.prom).",
)


def echo_json(document: object) -> None:
    """Write one JSON document to standard output."""
    click.echo(json.dumps(document))


def write_textfile(path: Path, text: str) -> None:
    """Write the file that ``--textfile`` names.

    Raises:
        click.ClickException: it cannot be written.
    """
    try:
        textfile.write(path, text)
    except OSError as error:
        raise click.ClickException(
            f"the textfile {str(path)!r} cannot be written: {error.strerror}"
        ) from error


def http_url(text: str, *, option: str, takes: str) -> URL:
    """Return the URL that ``option`` has, of http or https.

    Raises:
        click.BadParameter: it is none; ``takes`` says what the option takes.
    """
    try:
        url = URL(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint=f"'{option}'") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise click.BadParameter(f"it takes {takes}", param_hint=f"'{option}'")
    return url


def shown(text: str) -> str:
    """Return text without the characters that could drive the terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)

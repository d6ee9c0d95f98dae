"""Options and answers that several commands of ``ecsctl`` have in common."""

import json
from collections.abc import Callable
from typing import Any

import click
from yarl import URL

Command = Callable[..., Any]

json_option: Callable[[Command], Command] = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON."
)


def echo_json(document: object) -> None:
    """Write one JSON document to standard output."""
    click.echo(json.dumps(document))


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

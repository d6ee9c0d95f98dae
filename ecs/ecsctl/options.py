"""Options and answers that several commands of ``ecsctl`` have in common."""

import json
from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]

json_option: Callable[[Command], Command] = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON."
)


def echo_json(document: object) -> None:
    """Write one JSON document to standard output."""
    click.echo(json.dumps(document))


def shown(text: str) -> str:
    """Return text without the characters that could drive the terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)

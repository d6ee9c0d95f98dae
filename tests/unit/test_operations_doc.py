"""The operators' documents name only programs, options, units and files that are there.

operations.md and runbook.md. That the commands do what they should is seen on a booted node
(test_provisioned_node).
"""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from ecs.ecsctl.main import ecsctl
from ecs.ecsctl.provisioning.deployment import load
from ecs.ecsctl.provisioning.environment import SERVICE_PORT
from ecs.ecsctl.provisioning.units import render
from ecs.settings import Settings
from ecs.settings_help import environment_variable
from tests.deployments import example, write, write_named_files
from tests.documents import blocks

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "docs" / name for name in ("operations.md", "runbook.md")]
ECSCTL = {"ecsctl", "bin/ecsctl", "/opt/ecs/bin/ecsctl"}
NOT_OURS = {
    "apt-get", "cd", "chronyc", "cloud-init", "cp", "curl", "docker", "git", "grep", "install",
    "journalctl", "mv", "openssl", "promtool", "sed", "sleep", "systemctl", "tar", "tee", "umask",
    "wc",
}  # fmt: skip
SEPARATORS = {"do", "done", "until"}
LOOP = re.compile(r"\bfor \w+ in [^;]*;")
VARIABLE = re.compile(r"([A-Z][A-Z_]*)=.*")
INLINE = re.compile(r"`((?:bin/|ecsctl |systemctl |journalctl |docker )[^`]*)`")
CRON = re.compile(r"^(?:[*/\d]+ ){5}root (.+)$", re.MULTILINE)
FILE = re.compile(r"(?<![\w./-])(?:docs|observability|bin)/[\w./-]+")


def commands(document: Path) -> Iterator[list[str]]:
    """Yield the words of every command of a document, in blocks, for cron and among the text."""
    text = document.read_text(encoding="utf-8")
    inline = (" ".join(code.split()) for code in INLINE.findall(text))
    for script in [*blocks(document), *CRON.findall(text), *inline]:
        for line in script.replace("\\\n", " ").splitlines():
            yield from simple_commands(line)


def simple_commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(LOOP.sub("", line), posix=True, punctuation_chars="();&|")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in SEPARATORS or set(word) <= set("();&|"):
            yield from run_by_ssh_or_sudo(words)
            words = []
        elif word[0] not in "<>":
            words.append(word)


def run_by_ssh_or_sudo(words: list[str]) -> Iterator[list[str]]:
    if words and words[0] == "ssh":
        if words[1] == "ecs-1":
            yield from simple_commands(" ".join(words[2:]))
    elif words and (words[0] == "sudo" or VARIABLE.fullmatch(words[0])):
        yield from run_by_ssh_or_sudo(words[1:])
    elif words:
        yield words


def parse(words: list[str]) -> None:
    """Let each command of ecsctl parse its own words, and run none."""
    command: click.Command = ecsctl
    parent = None
    rest = words[1:]
    while isinstance(command, click.Group):
        assert rest, f"{words} names no command"
        name = rest[0]
        parent = command.make_context(name, rest[:1], parent=parent)
        inner = command.get_command(parent, name)
        assert inner is not None, f"{words}: there is no {name}"
        command, rest = inner, rest[1:]
    # Among the text a command may stand for itself.
    if rest:
        command.make_context(command.name, rest, parent=parent)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_command_is_a_program_with_these_options(document: Path) -> None:
    found = list(commands(document))

    assert found
    for words in found:
        program = words[0]
        if program in ECSCTL:
            parse(words)
        elif program.startswith("bin/"):
            assert os.access(ROOT / program, os.X_OK), words
        else:
            assert program in NOT_OURS, words


@pytest.mark.parametrize(
    "words",
    [
        ["bin/ecsctl", "creds", "forge"],
        ["bin/ecsctl", "render", "deployment.yaml", "--format", "toml"],
        ["bin/ecsctl", "check", "--deploy", "--verbose"],
        ["bin/ecsctl", "creds", "revoke", "--file", "keys"],
    ],
)
def test_a_command_that_is_none_would_be_noticed(words: list[str]) -> None:
    with pytest.raises((click.UsageError, AssertionError)):
        parse(words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_unit_is_rendered(document: Path, tmp_path: Path) -> None:
    write_named_files(tmp_path)
    units = render(load(write(tmp_path, example())), has_selinux=False)
    named = [
        word
        for words in commands(document)
        if words[0] in {"systemctl", "journalctl"}
        for word in words
        if word.startswith("ecs") and word != "ecs*"
    ]

    assert named
    assert [one for one in named if one not in units and f"{one}.service" not in units] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_file_of_the_checkout_and_each_setting_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    settings = {environment_variable(name) for name in Settings.model_fields}
    parameters = (ROOT / "dockerfiles/nginx/parameters").read_text()

    for name in FILE.findall(text):
        assert (ROOT / name.rstrip(".")).exists(), name
    for name in re.findall(r"\bECS_[A-Z_]+\b", text):
        assert name in settings, name
    for name in re.findall(r"\bNGINX_[A-Z_]+\b", text):
        assert f"{name} " in parameters, name


def test_prometheus_scrapes_where_a_node_listens_by_default(tmp_path: Path) -> None:
    write_named_files(tmp_path)
    front = load(write(tmp_path, example())).network("front")
    scrapes = yaml.safe_load((ROOT / "observability/prometheus.yaml").read_text())

    jobs = {one["job_name"]: one["static_configs"] for one in scrapes["scrape_configs"]}
    [target] = jobs["ecs"][0]["targets"]
    assert target == f"{front[2]}:{SERVICE_PORT}"
    for name in ("runbook.md", "telemetry.md"):
        assert target in (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert f"DEPLOYMENT_FRONT_PREFIX {str(front[2]).removesuffix('.2')})" in (
        ROOT / "bin/lib/deployment.sh"
    ).read_text(encoding="utf-8")

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ecs.ecsctl.main import ecsctl
from tests.unit.ecsctl.independent_crypt import crypt

FOREIGN_LINE = b"bob:hash:red \x1b[31m\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "htpasswd"


def run(*arguments: str, path: Path) -> Result:
    return CliRunner(env={"ECS_KEYS_FILE": str(path)}).invoke(ecsctl, ["creds", *arguments])


def made(path: Path, *arguments: str) -> dict[str, str]:
    result = run("make", "--json", *arguments, path=path)
    assert result.exit_code == 0, result.output
    document: dict[str, str] = json.loads(result.stdout)
    return document


def test_a_key_is_made_and_printed_once_with_its_secret(path: Path) -> None:
    result = run("make", "--comment", "for the grader", path=path)

    assert result.exit_code == 0
    printed = re.fullmatch(r"key     (\S+)\nsecret  (\S+)\n", result.stdout)
    assert printed
    key, hashed, remark = path.read_text(encoding="ascii").rstrip("\n").split(":")
    assert key == printed[1]
    assert crypt(printed[2], hashed) == hashed
    assert remark.endswith("Z for the grader")


def test_a_key_is_a_random_uuid_and_a_secret_128_random_bits(path: Path) -> None:
    one, two = made(path), made(path)

    assert one.keys() == {"key", "secret"}
    assert uuid.UUID(one["key"]).version == 4
    assert str(uuid.UUID(one["key"])) == one["key"]
    assert re.fullmatch(r"[0-9a-f]{32}", one["secret"])
    assert one["key"] != two["key"]
    assert one["secret"] != two["secret"]


def test_keys_are_listed_with_when_they_were_made_and_their_comments(path: Path) -> None:
    key = made(path, "--comment", "for the grader")["key"]

    result = run("list", path=path)

    listed = re.fullmatch(rf"{key}  (\S+)  for the grader\n", result.stdout)
    assert listed
    age = datetime.now(UTC) - datetime.strptime(listed[1], "%Y-%m-%dT%H:%M:%S%z")
    assert timedelta(0) <= age < timedelta(minutes=10)


def test_keys_are_listed_as_json(path: Path) -> None:
    path.write_bytes(b"bob:hash:Bob\nann:hash:20260131T235958Z for the grader\n# foreign\n")

    result = run("list", "--json", path=path)

    assert json.loads(result.stdout) == [
        {"key": "bob", "comment": "Bob", "made": None},
        {"key": "ann", "comment": "for the grader", "made": "2026-01-31T23:59:58Z"},
    ]


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"]])
def test_a_list_shows_neither_secrets_nor_hashes(arguments: list[str], path: Path) -> None:
    secret = made(path)["secret"]
    hashed = path.read_text(encoding="ascii").split(":")[1]

    result = run(*arguments, path=path)

    assert secret not in result.output
    assert hashed not in result.output
    assert "$" not in result.output


def test_a_line_of_somebody_elses_does_not_drive_the_terminal(path: Path) -> None:
    path.write_bytes(FOREIGN_LINE)

    assert "\x1b" not in run("list", path=path).output


@pytest.mark.parametrize(("arguments", "stdout"), [(["list"], ""), (["list", "--json"], "[]\n")])
def test_where_there_are_no_keys_the_list_is_empty(
    arguments: list[str], stdout: str, path: Path
) -> None:
    result = run(*arguments, path=path)

    assert (result.exit_code, result.stdout) == (0, stdout)


def test_a_key_that_is_revoked_is_gone(path: Path) -> None:
    key, other = made(path)["key"], made(path)["key"]

    result = run("revoke", key, path=path)

    assert (result.exit_code, result.output) == (0, "")
    assert [entry["key"] for entry in json.loads(run("list", "--json", path=path).stdout)] == [
        other
    ]


def test_a_revocation_is_told_as_json(path: Path) -> None:
    key = made(path)["key"]

    result = run("revoke", "--json", key, path=path)

    assert json.loads(result.stdout) == {"key": key, "revoked": True}


def test_a_key_that_is_not_there_cannot_be_revoked(path: Path) -> None:
    made(path)
    before = path.read_bytes()

    result = run("revoke", "nobody", path=path)

    assert result.exit_code == 1
    assert result.stderr == f"Error: there is no key 'nobody' in {str(path)!r}\n"
    assert path.read_bytes() == before


@pytest.mark.parametrize("comment", ["a:b", "a\nb", "\x1b[31m"])
def test_a_comment_that_cannot_stand_in_the_file_is_a_mistake_of_use(
    comment: str, path: Path
) -> None:
    result = run("make", "--comment", comment, path=path)

    assert result.exit_code == 2
    assert "no colon, line break or other control character" in result.stderr
    assert not path.exists()


@pytest.mark.parametrize("command", ["make", "list"])
def test_a_file_that_cannot_be_used_is_told_with_the_reason(command: str, path: Path) -> None:
    path.write_bytes(b"")  # a file, where a directory is needed

    result = run(command, path=path / "keys")

    assert result.exit_code == 1
    assert f"the file of keys '{path}/keys' cannot be used: " in result.stderr


def test_a_flag_beats_the_environment(path: Path, tmp_path: Path) -> None:
    made(path, "--file", str(tmp_path / "other"))

    assert (tmp_path / "other").exists()
    assert not path.exists()


@pytest.mark.parametrize("variable", [None, ""])
def test_without_flag_and_variable_the_file_is_in_the_deployment_here(
    variable: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner(env={"ECS_KEYS_FILE": variable}).invoke(ecsctl, ["creds", "make"])

    assert result.exit_code == 0
    assert (tmp_path / "deployment" / "keys" / "htpasswd").exists()


@pytest.mark.parametrize("command", ["make", "list", "revoke"])
def test_help_names_the_file_its_default_and_its_variable(command: str, path: Path) -> None:
    told = "".join(run(command, "--help", path=path).stdout.split())

    assert "--filePATH" in told
    assert "[envvar:ECS_KEYS_FILE;default:deployment/keys/htpasswd]" in told

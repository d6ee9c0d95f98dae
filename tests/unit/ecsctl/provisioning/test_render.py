"""What ``ecsctl render`` writes, and where."""

import json
import stat
from pathlib import Path

import pytest

from tests.deployments import everything, write
from tests.unit.ecsctl.provisioning.rendering import FORMATS, run

FIRST_BYTES = {
    "cloud-config": "#cloud-config\n",
    "ignition": "{\n",
    "cloud-init": "#cloud-config\n",
}


@pytest.fixture
def deployment(directory: Path) -> Path:
    return write(directory, everything())


@pytest.mark.parametrize("format_", FORMATS)
def test_a_rendering_goes_to_standard_output_or_to_a_file_of_its_owner_alone(
    format_: str, deployment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"

    shown = run(capsys, deployment, "--format", format_)
    written = run(capsys, deployment, "--format", format_, "-o", output)

    assert (shown.code, shown.stderr) == (0, "")
    assert shown.stdout.startswith(FIRST_BYTES[format_])
    assert (written.code, written.stdout, written.stderr) == (0, "", "")
    assert output.read_text() == shown.stdout
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deployment", "out"]


def test_a_file_that_was_there_is_replaced_with_its_mode(
    deployment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    output.write_text("former")
    output.chmod(0o644)

    run(capsys, deployment, "--format", "ignition", "-o", output)

    assert output.read_text().startswith("{")
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


@pytest.mark.parametrize("node", ["1", "3"])
def test_a_node_is_rendered_with_its_own_name(
    node: str, deployment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = run(capsys, deployment, "--format", "cloud-init", "--node", node).stdout

    assert f"hostname: node-{node}\n" in text
    assert f"ECS_INSTANCE=node-{node}\n" in text


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--node", "4"], 2, "4 is not allowed: it takes 1 to nodes/count, 3. See"),
        (["--node", "0"], 2, "'--node'"),
        (["--node", "many"], 2, "'--node'"),
        (["--format", "json"], 2, "'--format'"),
        (["-o", "/nonexistent/out"], 1, "'/nonexistent/out' cannot be written: No such file"),
        (["-o", "/dev"], 2, "'/dev' is a directory"),
        (["-o", "/dev/null"], 2, "'/dev/null' is no file"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(
    arguments: list[str],
    code: int,
    told: str,
    deployment: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = run(capsys, deployment, "--format", "ignition", *arguments)

    assert (ended.code, ended.stdout) == (code, "")
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_what_cannot_be_written_whole_is_not_written(
    deployment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    output = tmp_path / "out"
    output.write_text("former")
    monkeypatch.setattr("os.fsync", full)

    ended = run(capsys, deployment, "--format", "ignition", "-o", output)

    assert ended.code == 1
    assert ended.stderr == f"ecsctl: '{output}' cannot be written: No space left on device\n"
    assert output.read_text() == "former"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deployment", "out"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, ": cannot be read: No such file or directory"),
        (b"\xff\xfe", ": is not UTF-8 text"),
        (b"a: [", ":1: is no YAML: expected the node content"),
        (b"", ":1: / is not allowed: it takes fields of its own: domains,"),
    ],
)
def test_a_file_that_is_no_deployment_is_told_in_one_line(
    content: bytes | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deployment.yaml"
    if content is not None:
        path.write_bytes(content)

    ended = run(capsys, path, "--format", "ignition")

    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"ecsctl: {path}{told}")
    assert len(ended.stderr.splitlines()) == 1


def test_faults_come_as_json_where_that_is_asked_for(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = everything()
    document["ports"]["https"] = 0
    path = write(directory, document)

    ended = run(capsys, path, "--format", "ignition", "--json")

    assert (ended.code, ended.stderr) == (2, "")
    assert json.loads(ended.stdout) == [
        {
            "file": str(path),
            "line": 5,
            "pointer": "/ports/https",
            "detail": "= 0 is not allowed: it takes a whole number from 1 to 65535",
        }
    ]

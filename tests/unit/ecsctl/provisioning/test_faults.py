"""Whatever is wrong in whichever field: a line that says so, exit code 2, nothing written."""

from pathlib import Path

import pytest

from ecs.ecsctl.provisioning.deployment import load, schema
from tests.deployments import changed, everything, write
from tests.unit.ecsctl.provisioning.broken import Broken, broken, fields
from tests.unit.ecsctl.provisioning.rendering import assert_refused

BROKEN = list(broken(everything()))


def test_the_whole_deployment_has_every_field_and_is_right(directory: Path) -> None:
    document = everything()
    for path, _, _ in fields(schema()):
        value = document
        for part in path:
            value = value[part]  # type: ignore[index]

    load(write(directory, document))


@pytest.mark.parametrize("case", BROKEN, ids=[f"{case.pointer} {case.how}" for case in BROKEN])
def test_a_broken_field_is_told_in_one_line(
    case: Broken, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if case.how == "is too long" and isinstance(case.value, list):
        # Its items are wrong as well, and told on lines of their own.
        lines = assert_refused(capsys, directory, case.document)
        assert any(f" {case.pointer} has too many entries" in line for line in lines)
        return
    (line,) = assert_refused(capsys, directory, case.document)

    number, _, told = line.partition(": ")
    assert number.isdigit()
    assert told.startswith(f"{case.pointer} ")
    assert "is not allowed: it takes " in told or case.value is None
    assert "TOPSECRET" not in line or case.is_shown
    if case.is_shown and case.value is not None:
        assert f" = {repr(case.value)[:60]}" in told


def test_all_faults_are_told_each_on_the_line_of_its_field(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {
        "domains": {"api": "ECS.example.org"},
        "ports": {"https": 0, "http": 70000},
        "keys": "keys/htpasswd",
        "images": {"services": "ecs/services", "nginx": "a:b:c"},
    }
    assert assert_refused(capsys, directory, document) == [
        "1: /tls is missing: it takes fields of its own: certificate, key, profile",
        "1: /keys_file is missing: it takes the path of a file, seen from the deployment file's "
        "directory, of letters, digits, spaces and ._/-",
        f"6: /keys is no field; known here are {', '.join(schema()['properties'])}",
        "2: /domains/api = 'ECS.example.org' is not allowed: it takes a host name in lower case, "
        "such as ecs.example.org",
        "4: /ports/https = 0 is not allowed: it takes a whole number from 1 to 65535",
        "5: /ports/http = 70000 is not allowed: it takes a whole number from 1 to 65535",
        "7: /images/apidocs is missing: it takes [registry/]name:tag or [registry/]name@sha256:…",
        "8: /images/services = 'ecs/services' is not allowed: it takes [registry/]name:tag or "
        "[registry/]name@sha256:…",
        "9: /images/nginx = 'a:b:c' is not allowed: it takes [registry/]name:tag or "
        "[registry/]name@sha256:…",
    ]


@pytest.mark.parametrize(
    ("section", "values", "told"),
    [
        ("domains", {"docs": "ecs.example.org"}, "/domains/docs = 'ecs.example.org' is not"),
        ("ports", {"http": 8443}, "/ports/http = 8443 is not"),
        ("networks", {"docs": "172.31.1.0/24"}, "/networks/docs = '172.31.1.0/24' is not"),
        ("networks", {"front": "172.31.1.1/28"}, "/networks/front = '172.31.1.1/28' is not"),
        ("networks", {"front": "172.31.1.0/30"}, "/networks/front = '172.31.1.0/30' is not"),
        ("front_door", {"answer_timeout_seconds": 749}, "at least queue, pull and run limits "),
        ("front_door", {"max_body_bytes": 65537}, "limits/max_request_bytes, 65536"),
        ("limits", {"default_pids": 129}, "/limits/default_pids = 129 is not allowed: at most "),
        ("limits", {"default_cpus": 2.5}, "/limits/default_cpus = 2.5 is not allowed: at most "),
        ("limits", {"warm_images": ["a:1=128", "b:1=129"]}, "/limits/warm_images is not allowed: "),
        ("limits", {"warm_images": ["a:1=0"]}, "/limits/warm_images/0 = 'a:1=0' is not allowed: "),
        ("limits", {"warm_images": ["a=1"]}, "it takes image=count, such as busybox:1.36=8"),
        ("nodes", {"host_name_prefix": "-"}, "/nodes/host_name_prefix = '-' is not"),
        ("tls", {"certificate": "tls/"}, "/tls/certificate is not allowed: it takes the path"),
    ],
)
def test_values_that_do_not_go_together_are_told_in_one_line(
    section: str,
    values: dict[str, object],
    told: str,
    directory: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = changed(everything(), lambda whole: whole[section].update(values))

    (line,) = assert_refused(capsys, directory, document)

    assert told in line


@pytest.mark.parametrize(
    ("name", "shown"), [("a\nb", "a\ufffdb"), ("\x1b[2J", "\ufffd[2J"), ("a/b", "a~1b"), (1, "1")]
)
def test_a_fields_name_breaks_no_line(
    name: object, shown: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = changed(everything(), lambda whole: whole["ports"].update({name: 1}))

    (line,) = assert_refused(capsys, directory, document)

    assert f" /ports/{shown} is no field; known here are https, http" in line

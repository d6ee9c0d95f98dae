"""Each rendering, before the programs that read it: what they refuse is never rendered."""

import base64
import copy
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ecs.ecsctl.main import ecsctl
from ecs.ecsctl.provisioning.deployment import load, schema
from ecs.ecsctl.provisioning.model import Node, Platform, build
from tests.deployments import Document, everything, example, write, write_named_files
from tests.node.debian import debian_root, in_root
from tests.unit.ecsctl.provisioning.broken import resolved

CLOUD_INIT_KEYS = {
    "hostname", "ssh_authorized_keys", "write_files", "ntp", "package_update", "packages", "runcmd",
}  # fmt: skip
CLOUD_CONFIG_KEYS = {"hostname", "ssh_authorized_keys", "write_files", "coreos"}
"""Of those that coreos-cloudinit knows; it ignores others without a word, as cloud-init does."""
UNIT_KEYS = {"name", "content", "enable", "command"}
FILE_KEYS = {"path", "permissions", "owner", "content"}
BACKENDS = ("nftables", "iptables")
DEPLOYMENTS = ("example", "everything", "least")


@dataclass(frozen=True)
class Rendered:
    """What was rendered, from what, and a directory with it that is /mnt in the root."""

    platform: Platform
    text: str
    node: Node
    directory: Path

    @property
    def units(self) -> dict[str, str]:
        return {unit.name: unit.content for unit in self.node.units}

    @property
    def files(self) -> dict[str, tuple[int, int, str]]:
        return {file.path: (file.mode, file.group_id, file.content) for file in self.node.files}


@pytest.fixture(scope="module")
def root() -> Path:
    return debian_root()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("deployment")
    write_named_files(made)
    return made


def document(name: str) -> Document:
    if name == "everything":
        return everything()
    if name == "example":
        return example()
    wanted = ("domains", "tls", "keys_file", "images")
    return {field: example()[field] for field in wanted}


Renderings = dict[Platform, Rendered]


def render_all(directory: Path, name: str, factory: pytest.TempPathFactory) -> Renderings:
    """All three renderings of a deployment, as the program writes them."""
    path = write(directory, document(name))
    deployment = load(path)
    renderings = {}
    for platform in Platform:
        shared = factory.mktemp(platform.value)
        output = shared / "rendered"
        arguments = ["render", str(path), "--format", platform.value, "-o", str(output)]
        ecsctl.main(arguments, standalone_mode=False)
        node = build(deployment, 1, platform)
        renderings[platform] = Rendered(platform, output.read_text(), node, shared)
    return renderings


@pytest.fixture(scope="module", params=DEPLOYMENTS)
def rendered(
    request: pytest.FixtureRequest, directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Renderings:
    return render_all(directory, request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def of_the_example(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Renderings:
    return render_all(directory, "example", tmp_path_factory)


def refusal(root: Path, shared: Path, *command: str) -> str:
    """What a validator writes as it refuses."""
    with pytest.raises(AssertionError) as refused:
        in_root(root, *command, shared=shared)
    return str(refused.value)


@pytest.mark.parametrize(
    ("platform", "keys"),
    [(Platform.FLATCAR, CLOUD_CONFIG_KEYS), (Platform.DEBIAN, CLOUD_INIT_KEYS)],
)
def test_cloud_init_takes_it_and_it_has_no_key_that_nobody_reads(
    platform: Platform, keys: set[str], rendered: Renderings, root: Path
) -> None:
    one = rendered[platform]

    said = in_root(root, "cloud-init", "schema", "-c", "/mnt/rendered", shared=one.directory)

    assert said == "Valid cloud-config: /mnt/rendered\n"
    assert one.text.startswith("#cloud-config\n")
    assert set(yaml.safe_load(one.text)) <= keys


def test_cloud_init_refuses_a_mode_that_is_not_quoted(
    of_the_example: Renderings, root: Path, tmp_path: Path
) -> None:
    text = of_the_example[Platform.DEBIAN].text
    (tmp_path / "rendered").write_text(text.replace("permissions: '0600'", "permissions: 0600", 1))

    said = refusal(root, tmp_path, "cloud-init", "schema", "-c", "/mnt/rendered")

    assert re.search(r"write_files\.0\.permissions: \d+ is not of type 'string'", said)


def test_flatcar_gets_the_files_and_units_of_the_model(
    rendered: Renderings,
) -> None:
    one = rendered[Platform.FLATCAR]
    parsed = yaml.safe_load(one.text)

    assert all(set(file) <= FILE_KEYS for file in parsed["write_files"])
    assert {
        file["path"]: (
            int(file["permissions"], 8),
            int(file["owner"].removeprefix("0:")),
            file["content"],
        )
        for file in parsed["write_files"]
    } == one.files
    units = parsed["coreos"]["units"]
    assert all(set(unit) <= UNIT_KEYS for unit in units)
    assert {unit["name"]: unit["content"] for unit in units if "content" in unit} == one.units
    started = {unit["name"] for unit in units if unit.get("command") == "start" and unit["enable"]}
    assert started == {"ecs.target", "ecs-firewall.service"}


def test_debian_gets_the_files_and_units_of_the_model(rendered: Renderings) -> None:
    one = rendered[Platform.DEBIAN]
    groups = {"root": 0, "www-data": 33}
    units = {
        f"/etc/systemd/system/{name}": (0o644, 0, content) for name, content in one.units.items()
    }

    assert {
        file["path"]: (
            int(file["permissions"], 8),
            groups[file["owner"].removeprefix("root:")],
            file["content"],
        )
        for file in yaml.safe_load(one.text)["write_files"]
    } == one.files | units


def test_ignition_takes_it(rendered: Renderings, root: Path) -> None:
    one = rendered[Platform.FEDORA_COREOS]

    assert in_root(root, "ignition-validate", "/mnt/rendered", shared=one.directory) == ""


def test_ignition_refuses_what_is_none(
    of_the_example: Renderings, root: Path, tmp_path: Path
) -> None:
    parsed = json.loads(of_the_example[Platform.FEDORA_COREOS].text)
    parsed["storage"]["files"][0]["mode"] = 0o10000
    (tmp_path / "rendered").write_text(json.dumps(parsed))

    said = refusal(root, tmp_path, "ignition-validate", "/mnt/rendered")

    assert "$.storage.files.0.mode" in said


def test_fedora_coreos_gets_the_files_and_units_of_the_model(
    rendered: Renderings,
) -> None:
    one = rendered[Platform.FEDORA_COREOS]
    parsed = json.loads(one.text)
    name = {"/etc/hostname": (0o644, 0, f"{one.node.host_name}\n")}

    assert parsed["ignition"] == {"version": "3.3.0"}
    assert {
        file["path"]: (
            file["mode"],
            file["group"]["id"],
            base64.b64decode(file["contents"]["source"].removeprefix("data:;base64,")).decode(),
        )
        for file in parsed["storage"]["files"]
    } == one.files | name
    units = parsed["systemd"]["units"]
    assert {unit["name"]: unit["contents"] for unit in units} == one.units
    enabled = {unit["name"] for unit in units if unit.get("enabled")}
    assert enabled == {"ecs.target", "ecs-firewall.service"}


def test_ignition_applies_it(rendered: Renderings, root: Path, tmp_path: Path) -> None:
    """By the program that does so on Fedora CoreOS, at its first boot, to an empty machine."""
    one = rendered[Platform.FEDORA_COREOS]
    program = "/usr/lib/dracut/modules.d/30ignition/ignition"
    shutil.copy(one.directory / "rendered", tmp_path / "rendered")
    machine = tmp_path / "machine"
    for name in ("etc", "usr/bin", "root", "home"):
        (machine / name).mkdir(parents=True)
    (machine / "etc/selinux").mkdir()
    (machine / "etc/selinux/config").write_text("SELINUXTYPE=targeted\n")
    # It labels what it made; this kernel knows no labels.
    (tmp_path / "setfiles").symlink_to("/usr/bin/true")
    (machine / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (machine / "etc/group").write_text("root:x:0:\n")
    stages = " && ".join(
        f"PATH=/mnt:$PATH IGNITION_CONFIG_FILE=/mnt/rendered {program} --platform=file "
        f"--root=/mnt/machine --config-cache=/tmp/ignition.json --stage={stage} --log-to-stdout"
        for stage in ("fetch-offline", "fetch", "files")
    )
    without_user = json.loads(one.text) | {"passwd": {}}  # there is no user to be found
    (tmp_path / "rendered").write_text(json.dumps(without_user))

    in_root(root, "sh", "-c", f"rm -f /tmp/ignition.json; {stages}", shared=tmp_path)

    for path, (mode, group, content) in one.files.items():
        found = machine / path.lstrip("/")
        assert found.read_text() == content
        status = found.stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (mode, 0, group)
    for name, content in one.units.items():
        assert (machine / "etc/systemd/system" / name).read_text() == content


@pytest.mark.parametrize("platform", Platform)
def test_systemd_has_nothing_to_say_about_the_units(
    platform: Platform, rendered: Renderings, root: Path
) -> None:
    one = rendered[platform]
    for name, content in one.units.items():
        (one.directory / name).write_text(content)
    assert verified(root, one.directory, *one.units) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("ExecStart=/usr/bin/docker", "ExecStart=/usr/bin/dokker", "/usr/bin/dokker is not exec"),
        ("TimeoutStopSec=", "TimeoutStopSec=soon", "Failed to parse time value, ignoring: soon"),
        ("Restart=", "Restarts=", "Unknown key 'Restarts' in section [Service], ignoring."),
    ],
)
def test_systemd_says_what_is_wrong_with_a_unit(
    right: str, wrong: str, told: str, of_the_example: Renderings, root: Path, tmp_path: Path
) -> None:
    for name, content in of_the_example[Platform.DEBIAN].units.items():
        (tmp_path / name).write_text(content.replace(right, wrong))

    assert told in verified(root, tmp_path, "ecs-nginx.service")


def verified(root: Path, shared: Path, *names: str) -> str:
    units = " ".join(f"/mnt/{name}" for name in names)
    script = (
        # One unit's program comes with the node.
        "install -D -m 755 /dev/null /etc/ecs/firewall/load; "
        # Of the exit code nothing follows: it is 0 also for values that systemd ignores.
        f"systemd-analyze verify {units}; rm -r /etc/ecs"
    )
    return in_root(root, "sh", "-c", script, shared=shared)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_firewall_is_one_that_the_kernel_takes(
    backend: str, directory: Path, root: Path, tmp_path: Path
) -> None:
    whole = copy.deepcopy(everything())
    whole["firewall"]["backend"] = backend
    node = build(load(write(directory, whole)), 1, Platform.DEBIAN)
    for file in node.files:
        if file.path.startswith("/etc/ecs/firewall/"):
            (tmp_path / Path(file.path).name).write_text(file.content)
    checks = {
        "nftables": "nft -c -f /mnt/firewall.nft",
        "iptables": "iptables-restore --test --noflush </mnt/iptables.rules && "
        "ip6tables-restore --test --noflush </mnt/ip6tables.rules",
    }

    # In a network of its own, whatever they do.
    assert in_root(root, "unshare", "--net", "sh", "-c", checks[backend], shared=tmp_path) == ""


def test_nginx_takes_the_largest_limits_that_the_schema_allows(
    directory: Path, tmp_path: Path
) -> None:
    whole = copy.deepcopy(everything())
    for name, rules in schema()["properties"]["front_door"]["properties"].items():
        whole["front_door"][name] = resolved(rules)["maximum"]
    whole["limits"]["max_request_bytes"] = whole["front_door"]["max_body_bytes"]
    node = build(load(write(directory, whole)), 1, Platform.DEBIAN)
    variables = next(file.content for file in node.files if file.path == "/etc/ecs/nginx.env")
    (tmp_path / "nginx.env").write_text(variables)

    done = subprocess.run(
        ["docker", "run", "--rm", "--network=none", f"--env-file={tmp_path}/nginx.env",
         "--tmpfs=/run/nginx", f"--volume={directory}/tls:/etc/ecs/tls:ro",
         f"--volume={directory}/keys:/etc/ecs/keys:ro", "--entrypoint=sh", "ecs/nginx:latest", "-c",
         "/etc/ecs/nginx/entrypoint /run/nginx && nginx -t -q -c /run/nginx/nginx.conf"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")

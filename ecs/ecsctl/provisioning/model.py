"""One node as a model: its files, units and packages; the three renderings only write it down."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ecs.ecsctl.provisioning import environment, firewall, units
from ecs.ecsctl.provisioning.deployment import Deployment

WWW_DATA = 33
"""The group of nginx's workers: a fixed number of Debian's, also in the nginx image."""
SECRET = 0o600
READABLE = 0o644
EXECUTABLE = 0o755
_CRUN = "/usr/bin/crun"
"""Of Debian's package, and part of Fedora CoreOS."""


class Platform(Enum):
    """What a node boots."""

    FLATCAR = "cloud-config"
    FEDORA_COREOS = "ignition"
    DEBIAN = "cloud-init"


@dataclass(frozen=True)
class File:
    """One file; its owner is root, its group ``group_id``."""

    path: str
    content: str
    mode: int = READABLE
    group_id: int = 0


@dataclass(frozen=True)
class Unit:
    """One systemd unit; an enabled one is started at boot."""

    name: str
    content: str
    is_enabled: bool = False


@dataclass(frozen=True)
class Node:
    """What a machine must have to be this node."""

    host_name: str
    files: tuple[File, ...]
    units: tuple[Unit, ...]
    packages: tuple[str, ...]
    ssh_authorized_keys: tuple[str, ...]
    time_servers: tuple[str, ...]
    restarted_services: tuple[str, ...]
    """The distribution's own, whose configuration is among the files."""


def build(deployment: Deployment, number: int, platform: Platform) -> Node:
    """Return node ``number``, from 1, of a deployment."""
    document = deployment.document
    host_name = f"{document['nodes']['host_name_prefix']}{number}"
    return Node(
        host_name=host_name,
        files=(
            *_containers_files(deployment, host_name),
            *_firewall_files(deployment),
            *_system_files(document, platform),
        ),
        units=tuple(
            Unit(name, content, name in units.ENABLED)
            for name, content in units.render(
                deployment, has_selinux=platform is Platform.FEDORA_COREOS
            ).items()
        ),
        packages=_packages(document) if platform is Platform.DEBIAN else (),
        ssh_authorized_keys=tuple(document["ssh_authorized_keys"]),
        time_servers=tuple(document["time_servers"]),
        restarted_services=_restarted_services(document, platform),
    )


def _packages(document: Mapping[str, Any]) -> tuple[str, ...]:
    crun = ("crun",) if _wants_crun(document) else ()
    return ("docker.io", *crun, document["firewall"]["backend"], "chrony")


def _wants_crun(document: Mapping[str, Any]) -> bool:
    return bool(document["limits"].get("runtime") == "auto")


def _containers_files(deployment: Deployment, instance: str) -> list[File]:
    secrets = deployment.secrets
    variables = environment.variables(deployment, instance)
    return [
        *(File(f"/etc/ecs/{name}.env", text, SECRET) for name, text in variables.items()),
        File("/etc/ecs/tls/fullchain.pem", secrets.certificate),
        File("/etc/ecs/tls/privkey.pem", secrets.key, SECRET),
        File("/etc/ecs/keys/htpasswd", secrets.keys, 0o640, WWW_DATA),
    ]


def _firewall_files(deployment: Deployment) -> list[File]:
    directory = "/etc/ecs/firewall"
    if deployment.document["firewall"]["backend"] == "nftables":
        rules = firewall.nftables_file(deployment.firewall)
        return [File(f"{directory}/firewall.nft", rules)]
    files = firewall.iptables_files(deployment.firewall)
    return [
        File(f"{directory}/iptables.rules", files.rules_v4),
        File(f"{directory}/ip6tables.rules", files.rules_v6),
        File(f"{directory}/load", files.load, EXECUTABLE),
    ]


def _system_files(document: Mapping[str, Any], platform: Platform) -> list[File]:
    files = [
        File("/etc/docker/daemon.json", _engine_configuration(document, platform)),
        File(
            "/etc/systemd/journald.conf.d/50-ecs.conf",
            f"[Journal]\nStorage=persistent\nSystemMaxUse={document['logs']['journal_bytes']}\n",
        ),
    ]
    servers = document["time_servers"]
    if platform is Platform.FEDORA_COREOS:
        # Its flags would contradict daemon.json, and the engine would not start.
        files.append(File("/etc/sysconfig/docker", "# All is in /etc/docker/daemon.json.\n"))
        if servers:
            files.append(File("/etc/chrony.conf", _chrony_configuration(servers)))
    if platform is Platform.FLATCAR and servers:
        named = f"[Time]\nNTP={' '.join(servers)}\n"
        files.append(File("/etc/systemd/timesyncd.conf.d/50-ecs.conf", named))
    return files


def _engine_configuration(document: Mapping[str, Any], platform: Platform) -> str:
    """Return daemon.json: no TCP socket, whoever reaches one rules the machine."""
    configuration: dict[str, object] = {
        # Tasks are not to reach each other over the bridge.
        "icc": False,
        # A task that outlived its engine would have lost its output; its unit drains it before.
        "live-restore": False,
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "5"},
    }
    if platform is Platform.FEDORA_COREOS:
        configuration["selinux-enabled"] = True
    if _wants_crun(document) and platform is not Platform.FLATCAR:
        configuration["runtimes"] = {"crun": {"path": _CRUN}}
    return json.dumps(configuration, indent=2) + "\n"


def _chrony_configuration(servers: list[str]) -> str:
    named = "".join(f"server {server} iburst\n" for server in servers)
    return f"{named}driftfile /var/lib/chrony/drift\nmakestep 1.0 3\nrtcsync\n"


def _restarted_services(document: Mapping[str, Any], platform: Platform) -> tuple[str, ...]:
    """Return what runs before the files are there; Ignition writes them before the boot."""
    if platform is Platform.FEDORA_COREOS:
        return ()
    services = ["systemd-journald.service", "docker.service"]
    if platform is Platform.FLATCAR and document["time_servers"]:
        services.append("systemd-timesyncd.service")
    return tuple(services)

"""The systemd units of a node, from the templates beside this module."""

import math
from pathlib import Path

import jinja2

from ecs.ecsctl.provisioning.deployment import Deployment, Resources
from ecs.ecsctl.provisioning.firewall import KERNEL_MODULE, KERNEL_SETTINGS

ENABLED = frozenset({"ecs.target", "ecs-firewall.service"})
"""The target wants the rest."""
CONTAINERS = ("services", "nginx", "apidocs")
TEXTFILES = "/var/lib/prometheus/node-exporter"
"""Where Debian's node_exporter looks for them."""
_CHECK = Resources(memory_bytes=128 * 1024**2, cpus=1, pids=32)
_CLEAN_UP_SECONDS = 60
"""What the service may take beyond drain_timeout_seconds, 45 at most, and some to spare."""

_TEMPLATES = jinja2.Environment(
    # No HTML; the schema lets nothing through that means something to systemd or a shell.
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_NAMES = (
    "ecs-firewall.service",
    "ecs-networks.service",
    "ecs-images.service",
    "ecs-nginx.service",
    "ecs-services.service",
    "ecs-apidocs.service",
    "ecs-task-images.service",
    "ecs-check.service",
    "ecs-check.timer",
    "ecs.target",
)


def render(deployment: Deployment, *, has_selinux: bool) -> dict[str, str]:
    """Return the content of each unit by its name."""
    return {name: _render(name, deployment, has_selinux=has_selinux) for name in _NAMES}


def _render(name: str, deployment: Deployment, *, has_selinux: bool) -> str:
    images = deployment.document["images"]
    container = name.removeprefix("ecs-").removesuffix(".service")
    values: dict[str, object] = {
        "kernel_module": KERNEL_MODULE,
        "kernel_settings": KERNEL_SETTINGS,
        "backend": deployment.document["firewall"]["backend"],
        "ports": deployment.document["ports"],
        "front": deployment.network("front"),
        "docs": deployment.network("docs"),
        "selinux": has_selinux,
        "stop_seconds": math.ceil(deployment.settings.drain_timeout_seconds) + _CLEAN_UP_SECONDS,
    }
    if container in CONTAINERS:
        values |= {"image": images[container], "limits": deployment.resources(container)}
    elif container == "images":
        values["images"] = [images[each] for each in CONTAINERS]
    elif container == "task-images":
        values["images"] = images["tasks"]
    elif container == "check":
        values |= {
            "image": images["services"],
            "limits": _CHECK,
            "domains": deployment.domains,
            "open_tcp_ports": deployment.firewall.open_tcp_ports,
            "textfiles": TEXTFILES,
        }
    return _TEMPLATES.get_template(name).render(values)

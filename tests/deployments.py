"""Deployment files, and the files that they name: certificate, keys, headers."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trustme
import yaml
from click.testing import CliRunner

from ecs.ecsctl.main import ecsctl

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "deployment.yaml"
HEADERS = "authorization=Bearer TOPSECRET-TOKEN"
Document = dict[str, Any]


def example() -> Document:
    """The example of the documentation."""
    document: Document = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    return document


def everything() -> Document:
    """A deployment that says something in every field; each value is a right one."""
    return {
        "domains": {"api": "ecs.example.org", "docs": "docs.ecs.example.org"},
        "ports": {"https": 8443, "http": 8080},
        "tls": {
            "certificate": "tls/fullchain.pem",
            "key": "tls/privkey.pem",
            "profile": "modern",
        },
        "keys_file": "keys/htpasswd",
        "nodes": {"count": 3, "host_name_prefix": "node-"},
        "ssh_authorized_keys": [f"ssh-ed25519 {'A' * 68} operator"],
        "images": {
            "services": "ecs/services:latest",
            "nginx": "ecs/nginx:latest",
            "apidocs": "ecs/apidocs:latest",
            "tasks": ["busybox:latest"],
        },
        "networks": {"front": "172.31.1.0/28", "docs": "172.31.2.0/28"},
        "limits": {
            "sandboxes": 8,
            "min_sandboxes": 3,
            "sandbox_reuse": "never",
            "warm_images": ["registry.example.org/task:1=2"],
            "warm_memory_bytes": 0,
            "max_starting_tasks": 4,
            "max_running_tasks": 32,
            "max_queued_tasks": 100,
            "queue_timeout_seconds": 30,
            "pull_timeout_seconds": 120,
            "default_timeout_seconds": 10.5,
            "max_timeout_seconds": 600,
            "drain_timeout_seconds": 20,
            "default_memory_bytes": 67108864,
            "max_memory_bytes": 134217728,
            "default_cpus": 0.5,
            "max_cpus": 2,
            "default_pids": 64,
            "max_pids": 128,
            "max_request_bytes": 65536,
            "max_output_bytes": 65536,
            "output_limit_bytes": 1048576,
            "profile": "strict",
            "runtime": "default",
            "allowed_registries": ["docker.io", "registry.example.org:5000"],
        },
        "front_door": {
            "max_body_bytes": 65536,
            "address_requests_per_second": 101,
            "address_burst_requests": 201,
            "address_connections": 202,
            "key_requests_per_second": 21,
            "key_burst_requests": 41,
            "key_connections": 203,
            "header_timeout_seconds": 11,
            "body_timeout_seconds": 12,
            "send_timeout_seconds": 61,
            "answer_timeout_seconds": 1000,
        },
        "resources": {
            "services": {"memory_bytes": 300000000, "cpus": 1.5, "pids": 70},
            "nginx": {"memory_bytes": 100000000, "cpus": 0.75, "pids": 71},
            "apidocs": {"memory_bytes": 50000000, "cpus": 0.25, "pids": 72},
        },
        "firewall": {
            "backend": "iptables",
            "dns_servers": ["10.0.0.2", "fd00::2"],
            "allowed_destinations": [{"network": "10.0.7.0/24", "ports": [443]}],
            "denied_networks": ["2a00:1:2::/48"],
            "open_tcp_ports": [22, 9100],
        },
        "time_servers": ["ntp.example.org"],
        "logs": {"journal_bytes": 268435456},
        "telemetry": {
            "otlp_endpoint": "https://telemetry.example.org:4318/v1",
            "otlp_headers_file": "telemetry/headers",
        },
    }


def write(directory: Path, document: Document) -> Path:
    """Write a deployment file."""
    path = directory / "deployment.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def write_named_files(directory: Path, *domains: str) -> Path:
    """Make what the example names, for the domains; return the certificate authority."""
    domains = domains or ("ecs.example.org", "docs.ecs.example.org")
    authority = trustme.CA()
    issued = authority.issue_cert(*domains)
    (directory / "tls").mkdir(parents=True)
    (directory / "tls/privkey.pem").write_bytes(issued.private_key_pem.bytes())
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    (directory / "tls/fullchain.pem").write_bytes(chain)
    (directory / "telemetry").mkdir()
    (directory / "telemetry/headers").write_text(f"{HEADERS}\n")
    make_key(directory)
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    return directory / "ca.pem"


def make_key(directory: Path) -> str:
    """Make a key in the file of keys that the example names; return ``key:secret``."""
    made = CliRunner().invoke(
        ecsctl,
        ["creds", "make", "--file", str(directory / "keys/htpasswd")],
        catch_exceptions=False,
    )
    lines = dict(line.split() for line in made.stdout.splitlines() if line[0] in "ks")
    return f"{lines['key']}:{lines['secret']}"


def changed(document: Document, change: Callable[[Document], object]) -> Document:
    """A copy of the document with a change."""
    copied = copy.deepcopy(document)
    change(copied)
    return copied

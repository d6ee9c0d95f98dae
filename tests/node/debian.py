"""The root file system of a Debian 12 with what a node has, cached under build/."""

import hashlib
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASE_IMAGE = "debian:bookworm-slim"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "cloud-init", "docker.io", "nftables", "iptables",
    "chrony", "kmod", "ignition", "curl", "ca-certificates", "iproute2",
)  # fmt: skip
INSTALL_TIMEOUT_SECONDS = 300
COMMAND_TIMEOUT_SECONDS = 60
CLOUD_CONFIGURATION = "network: {config: disabled}\nlocale: false\nssh_genkeytypes: []\n"
"""There is no card, no other locale and no ssh server that cloud-init could configure."""


def debian_root() -> Path:
    """Return the directory; make it from the engine's base image if there is none yet."""
    base = docker("image", "inspect", "--format={{.Id}}", BASE_IMAGE).strip()
    key = hashlib.sha256(" ".join((base, *PACKAGES)).encode()).hexdigest()[:16]
    root = ROOT / "build" / f"debian-root-{key}"
    if root.exists():
        return root
    for former in root.parent.glob("debian-root-*"):
        shutil.rmtree(former)
    part = root.with_name(f"{root.name}.part")
    part.mkdir(parents=True)
    container = docker("create", BASE_IMAGE, "true").strip()
    try:
        subprocess.run(
            f"docker export {container} | tar -C {part} -x",
            shell=True, check=True, timeout=INSTALL_TIMEOUT_SECONDS,
        )  # fmt: skip
    finally:
        docker("rm", container)
    shutil.copy("/etc/resolv.conf", part / "etc" / "resolv.conf")
    in_root(part, "apt-get", "-q", "update")
    in_root(part, "apt-get", "-q", "-y", "install", "--no-install-recommends", *PACKAGES)
    in_root(part, "apt-get", "clean")
    (part / "etc" / "resolv.conf").write_text("")
    (part / "etc/cloud/cloud.cfg.d/99-test.cfg").write_text(CLOUD_CONFIGURATION)
    return part.rename(root)


def in_root(root: Path, *command: str, shared: Path | None = None) -> str:
    """Run a command in the root, where ``shared`` is /mnt; return all that it wrote."""
    script = ['mount -t proc proc "$1/proc"', 'mount --bind /dev "$1/dev"']
    if shared:
        script.append('mount --bind "$2" "$1/mnt"')
    script.append('root=$1; shift 2; exec chroot "$root" "$@"')
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-ec",
         "\n".join(script), "bash", root, shared or "", *command],
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            # systemd-analyze says what is wrong in colours otherwise.
            "SYSTEMD_COLORS": "0",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_TIMEOUT_SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True, timeout=60
    ).stdout

"""Writes the root file system of a small busybox image as a tar to standard output.

With --check it only tells, by its exit status, whether this machine has a static busybox.
"""

import io
import shutil
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

DIRECTORIES = {"bin": 0o755, "etc": 0o755, "home": 0o755, "root": 0o700, "tmp": 0o1777}
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
PROGRAM_INTERPRETER = 3  # PT_INTERP: an ELF file that has one is dynamically linked


def is_static(program: bytes) -> bool:
    """Tell whether a 64-bit ELF program needs no dynamic linker."""
    (table,) = struct.unpack_from("=Q", program, 0x20)
    entry_bytes, entries = struct.unpack_from("=HH", program, 0x36)
    kinds = (struct.unpack_from("=I", program, table + i * entry_bytes) for i in range(entries))
    return (PROGRAM_INTERPRETER,) not in kinds


def static_busybox() -> Path | None:
    """Return this machine's busybox if it can run in an otherwise empty container."""
    found = shutil.which("busybox")
    return Path(found) if found and is_static(Path(found).read_bytes()) else None


def add(tar: tarfile.TarFile, name: str, mode: int, content: bytes) -> None:
    """Add a regular file."""
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = mode, len(content)
    tar.addfile(entry, io.BytesIO(content))


def rootfs(busybox: Path) -> bytes:
    """Return the tar: the accounts, the usual directories, busybox under each of its names."""
    listing = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in DIRECTORIES.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for name, content in ACCOUNTS.items():
            add(tar, name, 0o644, content.encode())
        add(tar, "bin/busybox", 0o755, busybox.read_bytes())
        # The list names busybox too: a link of that name would replace the program by itself.
        for applet in sorted(set(listing.stdout.split()) - {"busybox"}):
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return buffer.getvalue()


def main() -> int:
    """Return the exit status."""
    busybox = static_busybox()
    if busybox is None:
        sys.stderr.write("no static busybox on this machine (Debian's package: busybox-static)\n")
        return 1
    if "--check" not in sys.argv:
        sys.stdout.buffer.write(rootfs(busybox))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The C library's crypt, which nginx calls too."""

import subprocess


def crypt(secret: str, setting: str) -> str:
    """Hash the secret as the hash `setting` was made."""
    return subprocess.run(
        ["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", secret, setting],
        check=True,
        capture_output=True,
        text=True,
    ).stdout

"""The file of keys that nginx asks for: ``key:hash:comment`` in each line; no command line here.

nginx reads the file anew at each request and ignores what follows the second colon. The comment
begins with the time at which the key was made, as in ``20260131T235959Z``, and a space.
"""

import fcntl
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from passlib.hash import sha512_crypt  # type: ignore[import-untyped] # libpass has no types

# A secret of 128 random bits needs no stretching, and nginx computes one hash a request: 0.9 ms.
_HASH_ROUNDS = 1000
_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_NGINX_GROUP = 33
"""www-data: Debian's fixed number, also in the nginx image."""
_DIRECTORY_MODE = 0o755
_GROUP_MODE = 0o640
_EVERYBODY_MODE = 0o644
_LOCK_MODE = 0o600
# Control characters, halves of a character, and what ends a line or paragraph.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True)
class Entry:
    """One key; ``made`` is when, in UTC, or ``None`` in a line that another program wrote."""

    key: str
    comment: str
    made: datetime | None


class KeyFile:
    """A file of keys; several processes may change it at a time.

    nginx may read it at any moment: it sees the whole file before a change or the whole one after.
    Lines that are none of ours stay as they are. Every method raises ``OSError`` for what the
    system refuses; the file is then what it was.
    """

    def __init__(self, path: Path, *, warn: Callable[[str], None]) -> None:
        # A symbolic link stays one, and its target is replaced.
        self._path = path.resolve()
        self._warn = warn

    def read(self) -> list[Entry]:
        """Return the keys in their order in the file; none if there is no file."""
        return [entry for line in self._lines() if (entry := _entry(line))]

    def add(self, key: str, secret: str, *, comment: str, made: datetime) -> None:
        """Add a key, with a hash of its secret; make file and directory if there is none.

        Raises:
            ValueError: the comment cannot stand in the file.
        """
        _check_comment(comment)
        hashed = sha512_crypt.using(rounds=_HASH_ROUNDS).hash(secret)
        time = f"{made.astimezone(UTC):{_TIME_FORMAT}}"
        remark = f"{time} {comment}" if comment else time
        _make_directory(self._path.parent)
        with self._locked():
            self._replace([*self._lines(), f"{key}:{hashed}:{remark}".encode()])

    def revoke(self, key: str) -> bool:
        """Take a key out, and tell whether it was there."""
        if not self._path.exists():
            return False
        with self._locked():
            lines = self._lines()
            kept = [line for line in lines if _key(line) != os.fsencode(key)]
            if len(kept) == len(lines):
                return False
            self._replace(kept)
        return True

    def _lines(self) -> list[bytes]:
        # As for nginx, a line ends with LF alone, and its bytes are in no particular encoding.
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        return content.removesuffix(b"\n").split(b"\n") if content else []

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # The file itself cannot be the lock: it is replaced.
        path = self._path.with_name(f".{self._path.name}.lock")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, _LOCK_MODE), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _replace(self, lines: list[bytes]) -> None:
        # One name is enough under the lock, and what a killed run left is then no litter.
        temporary = self._path.with_name(f".{self._path.name}.new")
        temporary.unlink(missing_ok=True)
        try:
            with temporary.open("xb") as file:
                self._set_access(file.fileno())
                file.write(b"".join(line + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(self._path.parent)

    def _set_access(self, descriptor: int) -> None:
        try:
            existing = self._path.stat()
        except FileNotFoundError:
            self._set_access_of_new(descriptor)
            return
        made = os.fstat(descriptor)
        if (made.st_uid, made.st_gid) != (existing.st_uid, existing.st_gid):
            os.fchown(descriptor, existing.st_uid, existing.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(existing.st_mode))

    def _set_access_of_new(self, descriptor: int) -> None:
        try:
            os.fchown(descriptor, -1, _NGINX_GROUP)
        except OSError as error:
            os.fchmod(descriptor, _EVERYBODY_MODE)
            self._warn(
                f"{str(self._path)!r} can be read by everybody on this machine, since it cannot "
                f"be given to nginx's group {_NGINX_GROUP}: {error.strerror}; run this as root"
            )
        else:
            os.fchmod(descriptor, _GROUP_MODE)


def _key(line: bytes) -> bytes | None:
    key, colon, _ = line.partition(b":")
    return key if key and colon and not key.startswith(b"#") else None


def _entry(line: bytes) -> Entry | None:
    if _key(line) is None:
        return None
    key, _, rest = line.rstrip(b"\r").decode(errors="backslashreplace").partition(":")
    _, _, remark = rest.partition(":")
    time, _, comment = remark.partition(" ")
    try:
        made = datetime.strptime(time, _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return Entry(key, remark, None)
    return Entry(key, comment, made)


def _check_comment(comment: str) -> None:
    for character in comment:
        if character == ":" or unicodedata.category(character) in _FORBIDDEN_CATEGORIES:
            raise ValueError(
                f"a comment may hold no colon, line break or other control character, "
                f"and {character!r} is one"
            )


def _make_directory(directory: Path) -> None:
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    directory.chmod(_DIRECTORY_MODE)  # nginx must get through, whatever the umask is


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Which local images came in through somebody's credentials, kept in SQLite.

The engine itself does not know: once pulled, an image is anybody's. No credentials are stored.
"""

import asyncio
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from ecs.errors import StateStoreError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS private_images (
    image_id TEXT NOT NULL,
    repository TEXT NOT NULL,
    PRIMARY KEY (image_id, repository)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS private_repositories (repository TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unfinished_pulls (
    reference TEXT PRIMARY KEY,
    image_id_before TEXT NOT NULL
) WITHOUT ROWID;
"""
_BUSY_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Privacy:
    """Of an image: the repositories from which credentials brought it; of a repository: whether
    credentials brought any image of it.
    """

    origins: frozenset[str]
    repository_is_private: bool


class PrivateImageStore:
    """What needs proof at the registry, and the pulls with credentials that are under way.

    Kept are images by id, with the repositories they came from, since one image can have many
    names; and repositories, since what is private there may be here already under another name.

    A pull is noted before it begins, so that a crash in its midst cannot make an image public.
    """

    def __init__(self, path: Path) -> None:
        """Open, or make, the database at ``path``; raise ``OSError`` or ``sqlite3.Error``."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._lock = threading.Lock()
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    async def look_up(self, image_id: str, repository: str) -> "Privacy":
        """Return what is known of an image and of the repository it is asked for by."""
        rows = await self._execute(
            "SELECT 'origin', repository FROM private_images WHERE image_id = ? "
            "UNION ALL SELECT 'private', repository FROM private_repositories WHERE repository = ?",
            image_id,
            repository,
        )
        return Privacy(
            origins=frozenset(name for kind, name in rows if kind == "origin"),
            repository_is_private=any(kind == "private" for kind, _ in rows),
        )

    async def add_image(self, image_id: str, repository: str) -> None:
        """Note that credentials brought the image, from ``repository``."""
        await self._execute(
            "INSERT OR IGNORE INTO private_images VALUES (?, ?)", image_id, repository
        )

    async def add_repository(self, repository: str) -> None:
        """Note that credentials brought an image of ``repository``."""
        await self._execute("INSERT OR IGNORE INTO private_repositories VALUES (?)", repository)

    async def forget(self, image_id: str, repository: str) -> None:
        """Forget both: ``repository`` gives the image to anybody. Other origins stay."""
        await self._execute(
            "DELETE FROM private_images WHERE image_id = ? AND repository = ?",
            image_id,
            repository,
        )
        await self._execute("DELETE FROM private_repositories WHERE repository = ?", repository)

    async def begin_pull(self, reference: str, image_id_before: str) -> None:
        """Note that a pull with credentials is about to begin, and what ``reference`` is now."""
        await self._execute(
            "INSERT OR REPLACE INTO unfinished_pulls VALUES (?, ?)", reference, image_id_before
        )

    async def end_pull(self, reference: str) -> None:
        """Note that the pull has ended and its image, if there is one, is noted."""
        await self._execute("DELETE FROM unfinished_pulls WHERE reference = ?", reference)

    async def unfinished_pulls(self) -> list[tuple[str, str]]:
        """Return ``(reference, image_id_before)`` of the pulls that began and never ended."""
        rows = await self._execute("SELECT reference, image_id_before FROM unfinished_pulls")
        return [(reference, image_id_before) for reference, image_id_before in rows]

    async def _execute(self, statement: str, *parameters: str) -> list[tuple[str, ...]]:
        return await asyncio.to_thread(self._execute_now, statement, parameters)

    def _execute_now(self, statement: str, parameters: tuple[str, ...]) -> list[tuple[str, ...]]:
        try:
            with self._lock:
                return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StateStoreError(f"the service's own database failed: {error}") from error

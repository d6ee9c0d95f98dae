"""Which local images came in through somebody's credentials, kept in SQLite.

The engine itself does not know: once pulled, an image is anybody's. No credentials are stored.
"""

import asyncio
import sqlite3
import threading
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS private (subject TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unfinished_pulls (
    reference TEXT PRIMARY KEY,
    image_id_before TEXT NOT NULL
) WITHOUT ROWID;
"""
_BUSY_TIMEOUT_SECONDS = 10.0


class PrivateImageStore:
    """What needs proof at the registry, and the pulls with credentials that are under way.

    Kept are image ids, since one image can have many names, and names of repositories, since what
    is private there may be here already under another name.

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

    async def is_private(self, image_id: str, name: str) -> bool:
        """Tell whether the image, or the repository ``name``, came in through credentials."""
        return bool(
            await self._execute("SELECT 1 FROM private WHERE subject IN (?, ?)", image_id, name)
        )

    async def add(self, subject: str) -> None:
        """Note that an image id, or a repository's name, came in through credentials."""
        await self._execute("INSERT OR IGNORE INTO private VALUES (?)", subject)

    async def remove(self, image_id: str, name: str) -> None:
        """Forget both: the registry gives them to anybody."""
        await self._execute("DELETE FROM private WHERE subject IN (?, ?)", image_id, name)

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
        with self._lock:
            return self._connection.execute(statement, parameters).fetchall()

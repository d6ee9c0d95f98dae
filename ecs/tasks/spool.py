"""An append-only run of bytes: small in memory, then in a file that has no name.

The file is unlinked as it is made, so that nothing is left even when the process is killed.
"""

import asyncio
import os
import tempfile
import threading
from pathlib import Path

from ecs.errors import OutputSpoolError


class Spool:
    """Bytes that are appended by one and read by many, at any offset."""

    def __init__(self, directory: Path | None, memory_bytes: int) -> None:
        """Keep up to ``memory_bytes`` in memory, more in a file in ``directory``."""
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._memory = bytearray()
        self._file_descriptor: int | None = None
        self._closed = False
        # Held around each call on the file, so that close() cannot pull it from under a thread.
        self._lock = threading.Lock()
        self.size_bytes = 0

    async def append(self, data: bytes) -> None:
        """Add ``data`` at the end; once closed, drop it.

        Raises:
            OutputSpoolError: the disk refuses it.
        """
        if self._closed:
            return
        if self.size_bytes + len(data) <= self._memory_bytes:
            self._memory += data
        else:
            await asyncio.to_thread(self._write, data)
        self.size_bytes += len(data)

    async def read(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset``; fewer only at the end, or once closed.

        Raises:
            OutputSpoolError: the disk refuses it.
        """
        if self._file_descriptor is None:
            return bytes(self._memory[offset : offset + length])
        return await asyncio.to_thread(self._read, offset, length)

    def close(self) -> None:
        """Give memory and file back; reading then returns nothing."""
        with self._lock:
            self._closed = True
            self._memory.clear()
            if self._file_descriptor is not None:
                os.close(self._file_descriptor)
                self._file_descriptor = None

    def _write(self, data: bytes) -> None:
        with self._lock:
            if self._closed:
                return
            try:
                if self._file_descriptor is None:
                    descriptor = _nameless_file(self._directory)
                    self._file_descriptor = descriptor
                    _write_all(descriptor, self._memory)
                    self._memory.clear()
                _write_all(self._file_descriptor, data)
            except OSError as error:
                raise OutputSpoolError(f"the task's output cannot be kept: {error}") from error

    def _read(self, offset: int, length: int) -> bytes:
        with self._lock:
            if self._closed or self._file_descriptor is None:
                return b""
            try:
                return os.pread(self._file_descriptor, length, offset)
            except OSError as error:
                raise OutputSpoolError(f"the task's output cannot be read: {error}") from error


def _nameless_file(directory: Path | None) -> int:
    with tempfile.TemporaryFile(dir=directory, prefix="ecs-output-") as file:
        return os.dup(file.fileno())


def _write_all(file_descriptor: int, data: bytes | bytearray) -> None:
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += os.write(file_descriptor, view[written:])

"""What a child prints: the tail in memory, the whole in a file when it is long."""

from __future__ import annotations

import os

from executor import files
from executor.events import OUTPUT_TAIL


class Capture:
    """The last bytes of an output; the whole goes to a file once it outgrows them."""

    def __init__(self, path: str) -> None:
        self.size = 0
        self.tail = b""
        self.file = ""
        self._path = path
        self._fd = -1

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self.size += len(data)
        if self._path and self._fd < 0 and self.size > OUTPUT_TAIL:
            self._spill()
        if self._fd >= 0:
            os.write(self._fd, data)
        self.tail = (self.tail + data)[-OUTPUT_TAIL:]

    def _spill(self) -> None:
        files.private_folder(os.path.dirname(self._path))
        self._fd = files.created(self._path)
        os.write(self._fd, self.tail)
        self.file = self._path

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def size_of(path: str) -> int:
    """Return how large a file is, 0 for one that is not there."""
    try:
        return os.stat(path).st_size if path else 0
    except OSError:
        return 0

"""The output of a child: its tail in memory, all of it in a file when it is long."""

from __future__ import annotations

import os

from executor.system import files
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

OUTPUT_TAIL = 4096  # bytes of output that a line of the log carries; the whole is in output_file
MARGIN = 8192  # bytes before the tail, to recognise a secret that the cut divides


class OutputTail:
    """The last bytes of an output; all of it goes to a file once it is longer than them."""

    def __init__(self, path: str) -> None:
        self.size = 0
        self._kept = b""
        self.file = ""
        self._path = path
        self._fd = -1

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        self.size += len(data)
        if self._path and self._fd < 0 and self.size > OUTPUT_TAIL:
            self._spill()
        if self._fd >= 0:
            os.write(self._fd, data)
        self._kept = (self._kept + data)[-OUTPUT_TAIL - MARGIN :]

    @property
    def tail(self) -> bytes:
        """The last bytes, not masked."""
        return self._kept[-OUTPUT_TAIL:]

    def masked(self, mask: Callable[[bytes], bytes] | None) -> bytes:
        """Return the last bytes; `mask`, which keeps the length, is given the bytes before them too."""
        is_cut = mask is not None and len(self._kept) > OUTPUT_TAIL
        return (mask(self._kept) if mask and is_cut else self._kept)[-OUTPUT_TAIL:]

    def _spill(self) -> None:
        files.private_folder(os.path.dirname(self._path))
        self._fd = files.open_new(self._path)
        os.write(self._fd, self._kept)
        self.file = self._path

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

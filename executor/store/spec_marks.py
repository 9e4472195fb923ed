"""Marks that threads write to SPEC.md: marks that arrive during a write are written together in the next one."""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque

from executor.store import spec_file


class SpecMarks:
    """The marks of one run that wait to be written; one write costs two syncs for any number of marks."""

    def __init__(self, path: str, lock: str) -> None:
        self._path, self._file_lock = path, lock
        self._writing = allocate_lock()
        self._waiting: deque[spec_file.WantedMark] = deque()

    def write(self, wanted: spec_file.WantedMark) -> spec_file.Change:
        """Write a mark, together with the waiting marks of other threads; return when it is in the file."""
        self._waiting.append(wanted)
        with self._writing:
            if not (wanted.change or wanted.error):
                self._write_all()
        if wanted.error:
            raise wanted.error
        assert wanted.change is not None  # noqa: S101 - every mark that was taken has one or the other
        return wanted.change

    def _write_all(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            spec_file.mark_all(self._path, self._file_lock, batch)
        except BaseException as error:
            for one in batch:
                one.error = one.error or error
            raise

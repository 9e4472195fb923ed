"""Follow a growing file: the bytes or lines that were appended, across truncation, replacement and rotation."""

from __future__ import annotations

import os
import re
from binascii import crc32

from executor.system import safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

BLOCK_BYTES = 1 << 20  # the most that one read returns
CONTEXT_BYTES = 64  # before the offset, whose checksum shows that the file was replaced
SHORT_BYTES = 1 << 16  # a file up to this offset is compared as a whole
LAST_BYTES = 512
MOST_ENTRIES = 2000  # entries of a folder among which a renamed file is looked for


class Chunk(Record):
    """Appended bytes; `before` are the up to CONTEXT_BYTES bytes before them."""

    data: bytes = b""
    before: bytes = b""


class FileTail:
    """A reader that continues where the last one with the same `state` stopped.

    `state` is a dict that JSON can store; {} for a file that was not read yet. Keys for callers:

    - `at`: offset of the next byte; `seen`: inode, size, mtime in ns at the last read
    - `gained`: bytes appended since the last read; `behind`: more bytes can be read now
    - `midway`: the first read began behind the start of the file
    - `anew`: the file was truncated or replaced and is read from its start; `was`: its size before
    - `turned`: another file has taken the path, as rotation does
    - `form`: facts of the caller about the format, emptied with `anew`

    Of a file with no change since `began_ns` the first read begins at the end, of another at most `first_bytes` (a
    block) before the end. `flags` are further flags of open(2), such as O_NOFOLLOW. Without `compares` a file with
    other bytes before the offset counts as the same file: the outputs of a run are masked in place when it has ended.
    """

    def __init__(
        self,
        path: str,
        state: dict[str, Any],
        *,
        began_ns: int = 0,
        first_bytes: int | None = None,
        block_bytes: int = BLOCK_BYTES,
        flags: int = 0,
        compares: bool = True,
    ) -> None:
        self.path = path
        self.state = state
        self._began_ns = began_ns
        self._first_bytes = block_bytes if first_bytes is None else first_bytes
        self._block_bytes = block_bytes
        self._flags = flags
        self._compares = compares

    # Bytes

    def read(self, path: str = "") -> Chunk:
        """Return the bytes behind the offset, at most one block; `consume` moves the offset.

        Raises:
            OSError: the file is missing, cannot be read, or is no regular file. A FIFO is never opened.
        """
        state, path = self.state, path or self.path
        state["gained"] = 0
        if state.get("seen") == _version(os.stat(path)) and not state.get("behind"):
            return Chunk()
        fd = safe_open.open_regular(path, self._flags)
        try:
            status = os.fstat(fd)
            self._begin(status)
            chunk = self._pread(fd, status.st_size)
            is_anew = self._is_replaced(fd, chunk, status)
            if is_anew:
                self._begin_anew(path, status)
                chunk = self._pread(fd, status.st_size)
                state["mark"] = crc32(chunk.before)
        finally:
            os.close(fd)
        state["gained"] = status.st_size if is_anew else self._growth(status)
        state["seen"] = _version(status)
        state["behind"] = state["at"] + len(chunk.data) < status.st_size
        return chunk

    def consume(self, chunk: Chunk, count: int) -> None:
        """Move the offset behind the first `count` bytes of a chunk."""
        if count:
            state = self.state
            state["at"] += count
            if "sum" in state and state["at"] <= SHORT_BYTES:
                state["sum"] = crc32(chunk.data[:count], state["sum"])
            read = chunk.before + chunk.data[max(0, count - CONTEXT_BYTES) : count]
            state["mark"] = crc32(read[-CONTEXT_BYTES:])

    def skip_to(self, offset: int) -> None:
        """Move the offset forward without reading."""
        self.state.update(at=offset, behind=True)
        self.state.pop("sum", None)
        del self.state["mark"]

    def appended(self) -> Iterator[bytes]:
        """Yield new bytes, at most one block of each file: first of one that was renamed by rotation."""
        for path in self._sources():
            chunk = self.read(path)
            self.consume(chunk, len(chunk.data))
            yield chunk.data

    # Lines

    def lines(self, *, ended: bool = False, is_whole: Callable[[bytes], bool] | None = None) -> Iterator[bytes]:
        r"""Yield the new lines without their line feed, first those of a file that was renamed by rotation.

        A carriage return ends a line too and stays at its end: a terminal draws the next line over it. A last line
        without an end is left for the next read, unless `ended` (the file is complete) or `is_whole` accepts it. A line
        longer than a block is left out.
        """
        accept = _always if ended else is_whole
        for path in self._sources():
            yield from self._lines_of(path, accept if path == self.path else _always)

    def newest_lines(self) -> Iterator[bytes]:
        """Yield new lines as `lines`, only the last block of them when there are more."""
        size = os.stat(self.path).st_size
        if "at" in self.state and size - self.state["at"] > self._block_bytes:
            self.skip_to(size - self._block_bytes)
            self.state["broken"] = True
        return self.lines()

    def _lines_of(self, path: str, is_whole: Callable[[bytes], bool] | None) -> Iterator[bytes]:
        chunk, state = self.read(path), self.state
        data = chunk.data
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, max(0, len(data) - 1))) + 1  # a last \r may be half of \r\n
        rest = data[end:]
        if rest and is_whole is not None and is_whole(rest):
            data, end = data + b"\n", len(data) + 1
        is_too_long = len(data) >= self._block_bytes
        self.consume(chunk, min(end, len(chunk.data)) or (len(data) if is_too_long else 0))
        is_broken = state.get("broken", False)
        start = _first_end(data) if is_broken else 0
        state["broken"] = not end and (is_broken or is_too_long)
        if start < end:
            yield from _split(data[start:end])

    # Rotation

    def _sources(self) -> Iterator[str]:
        """Yield the paths to read now; the caller reads one block of each before it takes the next."""
        state, gained = self.state, 0
        old = self._renamed()
        state["behind"] = state.get("behind", False) or bool(old)  # its last line may never get an end
        while old:
            yield old
            gained += state["gained"]
            if not state["behind"]:
                state.update(at=0, mark=0, sum=0, broken=False, seen=[0, 0, 0], turned=True)
                break
        yield self.path
        state["gained"] += gained

    def _renamed(self) -> str:
        """Return the new path of the file that had this path at the last read, empty when it still has it."""
        if "at" not in self.state or "seen" not in self.state or os.path.islink(self.path):
            return ""
        inode = self.state["seen"][0]
        if os.stat(self.path).st_ino == inode:
            return ""
        left = MOST_ENTRIES
        with os.scandir(os.path.dirname(self.path)) as entries:
            for entry in entries:
                left -= 1
                if entry.inode() == inode and entry.is_file(follow_symlinks=False):
                    return entry.path if entry.stat().st_size >= self.state["at"] else ""
                if not left:
                    break
        return ""

    # Offset

    def _begin(self, status: os.stat_result) -> None:
        """Set the offset of the first read; `broken` means that it is inside a line."""
        state = self.state
        if "at" not in state:
            is_new = status.st_mtime_ns >= self._began_ns
            state["at"] = max(0, status.st_size - self._first_bytes) if is_new else status.st_size
            state["midway"] = state["at"] > 0
            if not state["at"]:
                state["sum"] = 0
            state["broken"] = is_new and state["midway"]

    def _begin_anew(self, path: str, status: os.stat_result) -> None:
        """Set the offset to the start of a file that was truncated or replaced.

        A link that now names a file from before `began_ns` is read from the end of that file.
        """
        is_old = status.st_mtime_ns < self._began_ns and os.path.islink(path)
        was = self.state["seen"][1] if "seen" in self.state else 0
        at = status.st_size if is_old else 0
        self.state.update(at=at, mark=0, sum=0, broken=False, anew=True, was=was, form={})

    def _is_replaced(self, fd: int, chunk: Chunk, status: os.stat_result) -> bool:
        """Return True when the bytes that were read before are no longer there."""
        state = self.state
        if status.st_size < state["at"] or not self._compares:
            return bool(status.st_size < state["at"])
        if state.setdefault("mark", crc32(chunk.before)) != crc32(chunk.before):
            return True
        is_short = "sum" in state and CONTEXT_BYTES < state["at"] <= SHORT_BYTES
        return is_short and crc32(os.pread(fd, state["at"], 0)) != state["sum"]

    def _growth(self, status: os.stat_result) -> int:
        """Return the bytes appended since the last read, the whole size of a file that became shorter."""
        first = 0 if status.st_mtime_ns >= self._began_ns else status.st_size
        before: int = self.state["seen"][1] if "seen" in self.state else first
        return status.st_size - before if status.st_size >= before else status.st_size

    def _pread(self, fd: int, size: int) -> Chunk:
        at = self.state["at"]
        start = max(0, at - CONTEXT_BYTES)
        block = os.pread(fd, max(0, min(at + self._block_bytes, size) - start), start)
        return Chunk(block[at - start :], block[: at - start])


def at_end(path: str) -> dict[str, Any]:
    """Return the state of a tail that yields only what is appended from now on."""
    try:
        status = os.stat(path)
    except OSError:
        return {"at": 0}
    return {"at": status.st_size, "seen": _version(status)}


def last_bytes(path: str) -> bytes:
    """Return the last LAST_BYTES bytes of a regular file, for a line without an end.

    In a longer file they begin behind a blank: half of a secret would not be masked.
    """
    piece = safe_open.read_end(path, LAST_BYTES)
    return piece if len(piece) < LAST_BYTES else re.split(rb"\s", piece, maxsplit=1)[-1]


def _version(status: os.stat_result) -> list[int]:
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _always(_: bytes) -> bool:
    return True


def _first_end(data: bytes) -> int:
    """Return the offset behind the first line, 0 when no line ends."""
    ends = [at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0]
    return min(ends, default=-1) + 1


def _split(data: bytes) -> Iterator[bytes]:
    for line in data.splitlines(keepends=True):
        if line != b"\r":
            yield line if line.endswith(b"\r") else line.removesuffix(b"\n").removesuffix(b"\r")

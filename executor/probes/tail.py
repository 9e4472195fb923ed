"""Reads of a file what it gained since the last look."""

from __future__ import annotations

import errno
import os
import stat
from binascii import crc32

from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.readings import Memory

LOOK_BYTES = 1 << 20  # the most that one look reads
MARK_BYTES = 64
HEAD_BYTES = 1 << 16
LAST_BYTES = 512
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class News(Value):
    """What a file gained; `before` are the bytes that stand just before it."""

    data: bytes = b""
    before: bytes = b""


NOTHING = News()


def look(path: str, kept: Memory, began_ns: int) -> News:
    """Return what stands behind `kept["at"]`, at most LOOK_BYTES; who deals with it says so to `used`.

    The first look at a file that nobody wrote since `began_ns` begins at its end, at another at most LOOK_BYTES
    before that. A file that was cut or replaced is read from its start: `kept["anew"]` is set, `kept["form"]`, what its
    reader knows of it, is emptied; one that was replaced by a longer one that begins alike is read on. OSError for
    what is missing, or no plain file: a FIFO is never opened. `kept["gained"]` is how many bytes came since the last.
    """
    kept["gained"] = 0
    status = os.stat(path)
    _refuse_odd(status)
    if kept.get("seen") == _version(status) and not kept.get("behind"):
        return NOTHING
    fd = os.open(path, FLAGS)
    try:
        status = os.fstat(fd)
        _refuse_odd(status)
        _begin(kept, status, began_ns)
        news = _read(fd, kept["at"], status.st_size)
        is_anew = kept.setdefault("mark", crc32(news.before)) != crc32(news.before) or status.st_size < kept["at"]
        if is_anew:
            kept.update(at=0, mark=0, broken=False, anew=True, form={})
            news = _read(fd, 0, status.st_size)
    finally:
        os.close(fd)
    kept["gained"] = status.st_size if is_anew else _grown(kept, status, began_ns)
    kept["seen"] = _version(status)
    kept["behind"] = kept["at"] + len(news.data) < status.st_size
    return news


def _version(status: os.stat_result) -> list[int]:
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _grown(kept: Memory, status: os.stat_result, began_ns: int) -> int:
    """Return by how many bytes a file grew since the last look, its whole size when it became shorter."""
    first = 0 if status.st_mtime_ns >= began_ns else status.st_size
    before: int = kept["seen"][1] if "seen" in kept else first
    return status.st_size - before if status.st_size >= before else status.st_size


def _refuse_odd(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file")


def _begin(kept: Memory, status: os.stat_result, began_ns: int) -> None:
    """Settle where the first look begins; `broken` says that it is in the midst of a line, `midway` of a file."""
    if "at" not in kept:
        ours = status.st_mtime_ns >= began_ns
        kept["at"] = max(0, status.st_size - LOOK_BYTES) if ours else status.st_size
        kept["midway"] = kept["at"] > 0
        kept["broken"] = ours and kept["midway"]


def _read(fd: int, at: int, size: int) -> News:
    start = max(0, at - MARK_BYTES)
    block = os.pread(fd, max(0, min(at + LOOK_BYTES, size) - start), start)
    return News(block[at - start :], block[: at - start])


def used(kept: Memory, news: News, count: int) -> None:
    """Go on behind the first `count` bytes at the next look."""
    if count:
        kept["at"] += count
        kept["mark"] = crc32((news.before + news.data[max(0, count - MARK_BYTES) : count])[-MARK_BYTES:])


def jump(kept: Memory, at: int) -> None:
    """Go on at a place further on, with nothing known of what stands before it."""
    kept.update(at=at, behind=True)
    del kept["mark"]


def lines(
    path: str, kept: Memory, began_ns: int, *, ended: bool = False, is_whole: Callable[[bytes], bool] = bool
) -> Iterator[bytes]:
    """Yield the whole lines that are new; a torn last one is left for the next look, one too long is passed over.

    A carriage return ends a line too, and stays at its end: what follows is drawn over it. `ended`: nothing is written
    any more, so the last line is whole without a line end. `is_whole` tells it of a last line from its bytes.
    """
    news = look(path, kept, began_ns)
    data = news.data
    end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, max(0, len(data) - 1))) + 1  # \r alone may be half of \r\n
    rest = data[end:]
    if rest and (ended or (is_whole is not bool and is_whole(rest))):
        data, end = data + b"\n", len(data) + 1
    used(kept, news, min(end, len(news.data)) or (len(data) if len(data) >= LOOK_BYTES else 0))
    start = _first_end(data) if kept["broken"] else 0
    kept["broken"] = (kept["broken"] and not end) or (not end and len(data) >= LOOK_BYTES)
    if start < end:
        yield from _split(data[start:end])


def _first_end(data: bytes) -> int:
    """Return where the first line ends."""
    ends = [at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0]
    return min(ends, default=-1) + 1


def _split(data: bytes) -> Iterator[bytes]:
    for line in data.splitlines(keepends=True):
        if line != b"\r":
            yield line if line.endswith(b"\r") else line.removesuffix(b"\n").removesuffix(b"\r")


def newest_lines(path: str, kept: Memory, began_ns: int) -> Iterator[bytes]:
    """Yield new lines as `lines`, only the newest when there are more than one look reads."""
    size = os.stat(path).st_size
    if "at" in kept and size - kept["at"] > LOOK_BYTES:
        jump(kept, size - LOOK_BYTES)
        kept["broken"] = True
    return lines(path, kept, began_ns)


def first_line(path: str) -> bytes:
    """Return the first line of a plain file, empty when it is not whole within HEAD_BYTES."""
    head = _piece(path, HEAD_BYTES, from_end=0)
    return head[: head.find(b"\n") + 1]


def last_bytes(path: str) -> bytes:
    """Return the end of a plain file, for a line that is not whole yet."""
    return _piece(path, LAST_BYTES, from_end=LAST_BYTES)


def _piece(path: str, length: int, *, from_end: int) -> bytes:
    """Return bytes from the start of a plain file, or from so many before its end."""
    status = os.stat(path)
    _refuse_odd(status)
    fd = os.open(path, FLAGS)
    try:
        return os.pread(fd, length, max(0, status.st_size - from_end) if from_end else 0)
    finally:
        os.close(fd)

"""Reads of a file what it gained since the last look."""

from __future__ import annotations

import errno
import os
import re
import stat
from binascii import crc32

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.monitoring.model import Memory

LOOK_BYTES = 1 << 20  # the most that one look reads
MARK_BYTES = 64
HEAD_BYTES = 1 << 16
LAST_BYTES = 512
MOST_BESIDE = 2000  # entries of a folder among which a renamed file is looked for
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class News(Record):
    """What a file gained; `before` are the bytes that stand just before it."""

    data: bytes = b""
    before: bytes = b""


NOTHING = News()


def look(path: str, kept: Memory, began_ns: int) -> News:
    """Return what stands behind `kept["at"]`, at most LOOK_BYTES; who deals with it says so to `used`.

    The first look at a file that nobody wrote since `began_ns` begins at its end, at another at most LOOK_BYTES
    before that. A file that was cut or replaced is read from its start: `kept["anew"]` is set, `kept["was"]` is its
    size before, `kept["form"]`, what its reader knows of it, is emptied; one that was replaced by a longer one that
    begins alike is read on. `kept["gained"]` is how many bytes came since the last look. OSError for what is missing,
    or no plain file: a FIFO is never opened.
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
        is_anew = _is_anew(fd, kept, news, status)
        if is_anew:
            at = status.st_size if status.st_mtime_ns < began_ns and os.path.islink(path) else 0
            kept["was"] = kept["seen"][1] if "seen" in kept else 0
            kept.update(at=at, mark=0, sum=0, broken=False, anew=True, form={})
            news = _read(fd, at, status.st_size)
            kept["mark"] = crc32(news.before)
    finally:
        os.close(fd)
    kept["gained"] = status.st_size if is_anew else _grown(kept, status, began_ns)
    kept["seen"] = _version(status)
    kept["behind"] = kept["at"] + len(news.data) < status.st_size
    return news


def _is_anew(fd: int, kept: Memory, news: News, status: os.stat_result) -> bool:
    """Tell whether what was read before stands no more: of a short file all of it, of a long one what stood last."""
    if kept.setdefault("mark", crc32(news.before)) != crc32(news.before) or status.st_size < kept["at"]:
        return True
    is_short = "sum" in kept and MARK_BYTES < kept["at"] <= HEAD_BYTES
    return is_short and crc32(os.pread(fd, kept["at"], 0)) != kept["sum"]


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
        if not kept["at"]:
            kept["sum"] = 0
        kept["broken"] = ours and kept["midway"]


def _read(fd: int, at: int, size: int) -> News:
    start = max(0, at - MARK_BYTES)
    block = os.pread(fd, max(0, min(at + LOOK_BYTES, size) - start), start)
    return News(block[at - start :], block[: at - start])


def used(kept: Memory, news: News, count: int) -> None:
    """Go on behind the first `count` bytes at the next look."""
    if count:
        kept["at"] += count
        if "sum" in kept and kept["at"] <= HEAD_BYTES:
            kept["sum"] = crc32(news.data[:count], kept["sum"])
        kept["mark"] = crc32((news.before + news.data[max(0, count - MARK_BYTES) : count])[-MARK_BYTES:])


def jump(kept: Memory, at: int) -> None:
    """Go on at a place further on, with nothing known of what stands before it."""
    kept.update(at=at, behind=True)
    kept.pop("sum", None)
    del kept["mark"]


def lines(
    path: str, kept: Memory, began_ns: int, *, ended: bool = False, is_whole: Callable[[bytes], bool] | None = None
) -> Iterator[bytes]:
    """Yield the whole lines that are new; a torn last one is left for the next look, one too long is passed over.

    A carriage return ends a line too, and stays at its end: what follows is drawn over it. `ended`: nothing is written
    any more, so the last line is whole without a line end. `is_whole` tells it of a last line from its bytes. Of a file
    that was renamed when another began under its name, as rotation does, the lines that no look has seen come first.
    """
    gained = 0
    old = _renamed(path, kept)
    kept["behind"] = kept.get("behind", False) or bool(old)  # its last line may have no end, and never will
    while old:
        yield from _lines(old, kept, began_ns, lambda _: True)
        gained += kept["gained"]
        if not kept["behind"]:
            kept.update(at=0, mark=0, sum=0, broken=False, seen=[0, 0, 0], turned=True)
            break
    yield from _lines(path, kept, began_ns, (lambda _: True) if ended else is_whole)
    kept["gained"] += gained


def _renamed(path: str, kept: Memory) -> str:
    """Return the path that the file has now which stood here at the last look, empty when it stands here still."""
    if "at" not in kept or "seen" not in kept or os.path.islink(path):
        return ""
    inode = kept["seen"][0]
    if os.stat(path).st_ino == inode:
        return ""
    folder, left = os.path.dirname(path), MOST_BESIDE
    with os.scandir(folder) as entries:
        for entry in entries:
            left -= 1
            if entry.inode() == inode and entry.is_file(follow_symlinks=False):
                return entry.path if entry.stat().st_size >= kept["at"] else ""
            if not left:
                break
    return ""


def _lines(path: str, kept: Memory, began_ns: int, is_whole: Callable[[bytes], bool] | None) -> Iterator[bytes]:
    news = look(path, kept, began_ns)
    data = news.data
    end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, max(0, len(data) - 1))) + 1  # \r alone may be half of \r\n
    rest = data[end:]
    if rest and is_whole is not None and is_whole(rest):
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


def head(path: str) -> bytes:
    """Return the first HEAD_BYTES of a plain file."""
    return _piece(path, HEAD_BYTES, from_end=0)


def whole(path: str) -> bytes:
    """Return a plain file, of one longer than LOOK_BYTES its end."""
    return _piece(path, LOOK_BYTES, from_end=LOOK_BYTES)


def last_bytes(path: str) -> bytes:
    """Return the end of a plain file, for a line that is not whole yet.

    Of a longer file it begins behind a blank: half of a key would not be known as one.
    """
    piece = _piece(path, LAST_BYTES, from_end=LAST_BYTES)
    return piece if len(piece) < LAST_BYTES else re.split(rb"\s", piece, maxsplit=1)[-1]


def _piece(path: str, length: int, *, from_end: int) -> bytes:
    """Return bytes from the start of a plain file, or from so many before its end."""
    status = os.stat(path)
    _refuse_odd(status)
    fd = os.open(path, FLAGS)
    try:
        return os.pread(fd, length, max(0, status.st_size - from_end) if from_end else 0)
    finally:
        os.close(fd)

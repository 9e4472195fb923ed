"""Answers one built-in check, alone in a process that may be stopped.

`python child.py KIND JSON` in the project root: the last line of stdout is one JSON object
`{"ok", "expected", "got", "fix"}`. Exit 0 = ok, 1 = not, 2 = bad arguments. Imports nothing of ours and keeps to
Python 3.8: python_import and call run under the project's own interpreter.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Said = dict[str, Any]
    Fields = dict[str, Any]
    Found = list[tuple[str, os.stat_result]]
    Entry = list[
        int
    ]  # inode, size, mtime_ns, ctime_ns, checksum, 1 when of samples, 1 when an earlier MAIN of the step made it

__all__ = ["KINDS", "Before", "content", "expanded", "main", "matching", "read_before", "read_record", "stamp"]

BLOCK = 1 << 20
TAIL = 64 * BLOCK
GB = 10**9
SKEW_NS = 60 * GB  # by how much the clock of a file server may be ahead
KILO = 1000
WIDTH = 120
PORTS = range(1, 65536)
WHOLE = 16 * 1024  # bytes: a longer file may be compared by samples
SAMPLES = 3
SAMPLE = 2048
MOST_INSIDE = 2000  # files of a folder that is evidence
UNREAD = -1
SEARCH_S = 5.0  # of CPU time that a pattern may take
ENTRY = 7
MOSTLY = 3  # times as many bytes as there are zeros: more are UTF-16
ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
ODD = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class UnmetError(Exception):
    """Ends a check with a no, from wherever that is known."""

    def __init__(self, expected: str, got: str, fix: str) -> None:
        super().__init__(got)
        self.said = no(expected, got, fix)


def yes(expected: str, got: str) -> Said:
    return {"ok": True, "expected": line(expected), "got": line(got), "fix": ""}


def no(expected: str, got: str, fix: str) -> Said:
    return {"ok": False, "expected": line(expected), "got": line(got), "fix": line(fix)}


# Words


def line(text: object, limit: int = 300) -> str:
    """Return the text as one line that a terminal and UTF-8 can bear."""
    clean = " ".join(ODD.sub(" ", str(text)[: 4 * limit]).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def count(number: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def size(number: float) -> str:
    if number < KILO:
        return count(int(number), "byte")
    units = ["TB", "GB", "MB", "kB"]
    while number >= KILO and units:
        number, unit = number / KILO, units.pop()
    return f"{number:.1f} {unit}"


def span(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{max(seconds, 0):.3f} s"


def words(error: BaseException) -> str:
    """Return an operating system error in its own words, any other as `TypeName: message`."""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


# What is asked


def asked(asks: Any, short: str, known: Sequence[str]) -> Fields:
    """Return the fields of a check; a bare value stands for the field `short`."""
    fields = asks if isinstance(asks, dict) else {short: asks} if short else None
    if fields is None:
        raise UnmetError(f"a mapping of {', '.join(known)}", kind_of(asks), "correct the check in the definitions")
    odd = [str(name) for name in fields if name not in known]
    if odd:
        raise UnmetError(f"only {', '.join(known)}", f"unknown: {', '.join(odd)}", "correct the check's fields")
    return fields


def text(fields: Fields, name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if isinstance(value, str) and value and "\0" not in value:
        return value
    raise UnmetError(f"{name}: a text", f"{name}: {kind_of(value)}", f"give {name} in the definitions")


def number(fields: Fields, name: str, default: float | None = None) -> float:
    value = fields.get(name, default)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf"):
        return value
    raise UnmetError(f"{name}: a number", f"{name}: {kind_of(value)}", f"give {name} as a number in the definitions")


def whole(fields: Fields, name: str, default: int | None = None) -> int:
    return int(number(fields, name, default))


def kind_of(value: Any) -> str:
    """Return what a value is, never what a text holds: it may be an address with a password."""
    nouns = {"str": "a text", "list": "a list", "dict": "a mapping", "NoneType": "nothing"}
    return nouns.get(type(value).__name__) or line(f"{type(value).__name__} {value!r}", WIDTH)


def octets(fields: Fields, name: str) -> int:
    """Return a size in bytes: a number, or 10MB (decimal), 10MiB or 10M (binary), as the core utilities do."""
    value = fields.get(name, 0)
    if not isinstance(value, str):
        return int(number(fields, name, 0))
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(b?)\s*", value.lower())
    if not found:
        raise UnmetError(
            f"{name}: a size such as 10MB", f"{name}: {line(value, WIDTH)}", "write it as 512, 10MB or 1.5GiB"
        )
    base = 1000 if found[4] and not found[3] else 1024
    return int(float(found[1]) * base ** ("kmgt".find(found[2]) + 1 if found[2] else 0))


# Files


def file(asks: Any) -> Said:
    """Asks: a glob, or path, min_size, min_count, newer_than (a path), dir_ok, and when it is evidence those of SINCE.

    `before` is the record of what was there when MAIN began, `newer_than_ns` that time, for a glob not in the record.
    """
    fields = asked(asks, "path", ("path", "min_size", "min_count", "newer_than", "dir_ok", *SINCE))
    wants = [f"{count(whole(fields, 'min_count', 1), 'file')} or more"]
    if octets(fields, "min_size"):
        wants.append(f"{size(octets(fields, 'min_size'))} or more each")
    if "newer_than" in fields:
        wants.append(f"newer than {text(fields, 'newer_than')}")
    if any(key in fields for key in SINCE):
        wants.append("newer than MAIN's start" if before(fields) is None else "new since MAIN began")
    expected = f"{text(fields, 'path')} ({', '.join(wants)})"
    return yes(expected, described(good_files(fields, expected)))


def good_files(fields: Fields, expected: str) -> Found:
    """Return the files that are large and new enough; raises UnmetError when they are too few."""
    found = matching(text(fields, "path"))
    files = [entry for entry in found if entry[0].endswith("/") or fields.get("dir_ok") or not os.path.isdir(entry[0])]
    least, late_by = octets(fields, "min_size"), lateness(fields, expected)
    held = {name for name, status in files if was_there(fields, name, status)}
    good = [one for one in files if one[1].st_size >= least and late_by(one[1]) <= 0 and one[0] not in held]
    missing = whole(fields, "min_count", 1) - len(good)
    if missing <= 0:
        return good
    if not files:
        raise UnmetError(expected, *nothing_there(text(fields, "path"), len(found)))
    old = [late_by(status) for _, status in files if late_by(status) > 0]
    small = [status.st_size for name, status in files if status.st_size < least and name not in held]
    raise UnmetError(expected, shortage(len(files), len(held), old, small), remedy(held, old, small, missing))


def matching(pattern: str) -> Found:
    """Return what a path or glob finds, with its status; a name that exists is never read as a glob."""
    import glob

    path = expanded(pattern)
    names = [path] if os.path.exists(path) else sorted(glob.glob(path, recursive=True))
    return [(name, status) for name in names for status in statuses(name)]


def expanded(path: str) -> str:
    """Return a path with the home folder for a `~` or `$HOME` at its start."""
    return os.path.expanduser(re.sub(r"^\$(?:HOME\b|\{HOME\})", "~", path))


def statuses(name: str) -> list[os.stat_result]:
    """Return the status of what is there, nothing for what went meanwhile or leads nowhere."""
    try:
        return [os.stat(name)]
    except (OSError, ValueError):
        return []


def lateness(fields: Fields, expected: str) -> Callable[[os.stat_result], float]:
    """Return what tells by how many seconds a file is too old; 0 or less is new enough."""
    if "newer_than_ns" in fields and before(fields) is None:
        start = whole(fields, "newer_than_ns")
        return lambda status: (start - changed_ns(status)) / GB
    if "newer_than" not in fields:
        return lambda _: 0.0
    reference = text(fields, "newer_than")
    try:
        than = os.stat(expanded(reference)).st_mtime_ns + 1
    except OSError as error:
        raise UnmetError(expected, f"{reference}: {words(error)}", f"make {reference}, or correct newer_than") from None
    return lambda status: (than - status.st_mtime_ns) / GB


def changed_ns(status: os.stat_result) -> int:
    """Return when a file was changed last; a time ahead of the clock says nothing."""
    return max(one for one in (0, status.st_mtime_ns, status.st_ctime_ns) if one <= time.time_ns() + SKEW_NS)


def nothing_there(pattern: str, folders: int) -> tuple[str, str]:
    if folders:
        return f"{count(folders, 'directory')}, no file", f"write {pattern}/ when a directory is what counts"
    if pattern.startswith(".do-tasks/"):
        return "nothing there", "let MAIN write it, to the path in DO_TASKS_RESULT"
    return "nothing there", f"make {pattern}, or correct the path: it starts in the project's root"


def shortage(files: int, held: int, old: list[float], small: list[int]) -> str:
    parts = [count(files, "file")]
    if held:
        parts.append(f"{share(held, files)}older than MAIN, unchanged")
    if old:
        more = " or more" if span(min(old)) != span(max(old)) else ""
        parts.append(f"{share(len(old), files)}older by {span(min(old))}{more}")
    if small:
        parts.append(f"{share(len(small), files)}too small: {size(max(small))}{' at most' * (len(small) > 1)}")
    return ", ".join(parts)


def share(part: int, files: int) -> str:
    return f"{part} of them " if part < files else {1: "", 2: "both "}.get(files, "all ")


def remedy(held: set[str], old: list[float], small: list[int], missing: int) -> str:
    if held:
        return "write any_age: true where an old one will do; else move it away and let MAIN make it anew (--rerun)"
    if old:
        return "make it again: it was there before"
    return "look whether writing it was cut short" if small else f"{missing} more needed"


def described(files: Found) -> str:
    if not files:
        return "no file"
    sizes = [status.st_size for _, status in files]
    between = size(min(sizes)) if size(min(sizes)) == size(max(sizes)) else f"{size(min(sizes))} to {size(max(sizes))}"
    age = span(time.time() - max(status.st_mtime for _, status in files))
    return f"{count(len(files), 'file')}, {between}, {'newest ' * (len(files) > 1)}{age} old"


def read_files(fields: Fields, expected: str) -> list[str]:
    """Return the names of the regular files under the field `file`, newest first."""
    known = {"path": text(fields, "file"), **{key: fields[key] for key in SINCE if key in fields}}
    good = sorted(good_files(known, expected), key=lambda entry: entry[1].st_mtime_ns, reverse=True)
    names = [name for name, _ in good if os.path.isfile(name)]
    if not names:
        raise UnmetError(expected, f"{known['path']} is not a regular file", "name a file that can be read")
    return names


def tail(name: str, behind: int = 0, *, cut: bool = False) -> str:
    """Return a file as text, from `behind` bytes on; of more than 64 MiB the last, from the start of a line.

    A carriage return ends a line too. `cut`: it begins in the midst of a line, which is left out.
    """
    blocks: list[bytes] = []
    with open(name, "rb") as stream:
        start = max(behind, os.fstat(stream.fileno()).st_size - TAIL)
        cut = cut or start > behind
        stream.seek(start)
        while len(blocks) < TAIL // BLOCK:
            blocks.append(stream.read(BLOCK))
            if not blocks[-1]:
                break
    content = decoded(b"".join(blocks)).replace("\r\n", "\n").replace("\r", "\n")
    return (content.partition("\n")[2] or content) if cut else content.lstrip("\ufeff")


def decoded(content: bytes) -> str:
    """Return bytes as text without colours: UTF-8, a byte that is none by itself as Windows has it, or UTF-16."""
    start = content[:SAMPLE]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        said = content.decode("utf-16", "replace")
    elif MOSTLY * start.count(b"\0") > len(start) and b"\0\0\0" not in start:
        said = content.decode("utf-16-be" if start[:1] == b"\0" else "utf-16-le", "replace")
    else:
        said = content.decode("utf-8", "do-tasks-single")
    return ESCAPE.sub("", said) if "\x1b" in said else said


def single(error: UnicodeError) -> tuple[str, int]:
    """Decode a byte that is no UTF-8."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("do-tasks-single", single)


# What was there before

SINCE = ("before", "newer_than_ns")


class Before:
    """What a glob found when MAIN began. Evidence is what was not there then, or has other content since."""

    def __init__(
        self, names: dict[str, Entry], began_ns: int, *, is_cut: bool, pieces: Mapping[str, list[int]] | None = None
    ) -> None:
        self._names = names
        self._pieces = pieces or {}
        self._inodes = {entry[0]: entry for entry in names.values()}
        self._began_ns = began_ns
        self._is_cut = is_cut
        self._answers: dict[tuple[object, ...], bool] = {}

    def holds(self, name: str, status: os.stat_result) -> bool:
        """Return True for a file or folder that was there, with the content that it has now."""
        now, path = stamp(name, status), os.path.normpath(name)
        if (path, *now) not in self._answers:
            self._answers[path, *now] = self._holds(path, now, status)
        return self._answers[path, *now]

    def _holds(self, name: str, now: Entry, status: os.stat_result) -> bool:
        entry = self._names.get(name)
        if entry is not None and unchanged(name, status, entry, now):
            return True
        if entry is None and now[3] < self._began_ns and leads_elsewhere(name, self._began_ns):
            return True
        moved = self._inodes.get(now[0])  # renamed or linked: the same file under another name
        then = entry or moved
        is_same_folder = then is not None and then[0] == now[0] and stat.S_ISDIR(status.st_mode)
        if then and is_same_folder and nothing_written(name, then[3] or self._began_ns - 1):
            return True
        if moved and stat.S_ISREG(status.st_mode) and moved[2] == now[2] and unchanged(name, status, moved, now):
            return True
        return entry is None and self._is_cut and now[3] < self._began_ns

    def grown_from(self, name: str) -> int:
        """Return the size a file had then when all of that still stands at its start, else 0."""
        entry, status = self._names.get(os.path.normpath(name)), os.stat(name)
        if entry is None or entry[4] == UNREAD or not 0 < entry[1] < status.st_size:
            return 0
        return entry[1] if content(name, status, entry[1], samples=bool(entry[5])) == entry[4] else 0

    def pieces(self, name: str) -> dict[int, int]:
        """Return how often each line stood in a file that has not merely grown since; {} where all of it counts."""
        entry = self._names.get(os.path.normpath(name))
        if entry is None or entry[6] or self.grown_from(name):
            return {}
        found: dict[int, int] = {}
        for mark in self._pieces.get(os.path.normpath(name), ()):
            found[mark] = found.get(mark, 0) + 1
        return found


def leads_elsewhere(name: str, since_ns: int) -> bool:
    """Return True when a link on the way to a file was made since then: what it leads to may have been there before."""
    parts = name.split(os.sep)
    for at in range(1, len(parts) + 1):
        try:
            status = os.lstat(os.sep.join(parts[:at]) or os.sep)
        except OSError:
            return False
        if stat.S_ISLNK(status.st_mode) and status.st_ctime_ns >= since_ns:
            return True
    return False


def nothing_written(folder: str, since_ns: int) -> bool:
    """Return True when no file of a folder was written or put there since: at most some were removed."""
    files = [status for _, status in inside(folder)]
    return bool(files) and all(status.st_ctime_ns <= since_ns for status in files)


def unchanged(name: str, status: os.stat_result, entry: Entry, now: Entry) -> bool:
    """Return True when a file is what it was; what cannot be read is when its size is."""
    if now == entry[:4]:
        return True
    if now[1] != entry[1]:
        return False
    is_written_anew = now[0] != entry[0] or now[2] != entry[2]
    if entry[6] and is_written_anew:  # an earlier MAIN of the step made it, and this one makes the same again
        return False
    checksum = content(name, status, entry[1], samples=bool(entry[5]))
    return UNREAD in (checksum, entry[4]) or checksum == entry[4]


def stamp(name: str, status: os.stat_result) -> list[int]:
    """Return inode, size and both times; of a folder the sum and the newest of it and the files in it."""
    if not stat.S_ISDIR(status.st_mode):
        return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    files = [inner for _, inner in inside(name)]
    changed_ns = max([status.st_mtime_ns, *(one.st_mtime_ns for one in files)])
    moved_ns = max([status.st_ctime_ns, *(one.st_ctime_ns for one in files)])
    return [status.st_ino, sum(one.st_size for one in files), changed_ns, moved_ns]


def inside(folder: str) -> Found:
    """Return the files below a folder with their status, links not followed, in the order of their names."""
    found: Found = []
    for below, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(below, name)
            try:
                found.append((path, os.lstat(path)))
            except OSError:  # it went meanwhile
                continue
            if len(found) >= MOST_INSIDE:
                return found
    return found


def content(name: str, status: os.stat_result, size: int, *, samples: bool) -> int:
    """Return a checksum of the first `size` bytes of a file, or of samples of them; of a folder that of its files.

    UNREAD when it cannot be read, and for what is neither.
    """
    if stat.S_ISREG(status.st_mode):
        return checksum_of(name, size, samples=samples)
    return folder_checksum(name) if stat.S_ISDIR(status.st_mode) else UNREAD


def folder_checksum(folder: str) -> int:
    from zlib import crc32

    total = 0
    for path, status in inside(folder):
        own = content(path, status, status.st_size, samples=True)
        line_of_it = f"{os.path.relpath(path, folder)}\0{status.st_size}\0{own}\0"
        total = crc32(line_of_it.encode("utf-8", "surrogateescape"), total)
    return total


def checksum_of(path: str, size: int, *, samples: bool) -> int:
    from zlib import crc32

    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return UNREAD
    checksum = 0
    try:
        for place, length in pieces(size, samples=samples):
            checksum = crc32(os.pread(handle, length, place), checksum)
    except OSError:
        return UNREAD
    finally:
        os.close(handle)
    return checksum


def pieces(size: int, *, samples: bool) -> list[tuple[int, int]]:
    """Return which bytes of a file are compared, as places and lengths: all, or some at its start, middle and end."""
    if size <= WHOLE:
        return [(0, size)]
    if not samples:
        return [(place, min(BLOCK, size - place)) for place in range(0, size, BLOCK)]
    return [(number * (size - SAMPLE) // (SAMPLES - 1), SAMPLE) for number in range(SAMPLES)]


def read_before(path: str, pattern: str) -> Before | None:
    """Return what a record says of a glob; None when the glob is not in it, or there is no whole record."""
    body = read_record(path)
    found = body["globs"].get(pattern) if body else None
    if not body or not found:
        return None
    return Before(found["names"], body["began_ns"], is_cut=found["cut"], pieces=found.get("pieces"))


def read_record(path: str) -> dict[str, Any] | None:
    """Return a record of what was there before; None when there is none, or when it is not as it was written."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            return None
        with open(path, encoding="utf-8", errors="surrogateescape") as record:
            body = json.load(record)
        whole_record = isinstance(body["began_ns"], int) and all(map(well_formed, body["globs"].values()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return body if whole_record else None


def well_formed(found: Any) -> bool:
    entries = found["names"].values()
    marks = [mark for one in found.get("pieces", {}).values() for mark in one]
    return (
        isinstance(found["cut"], bool)
        and all(len(entry) == ENTRY and all(isinstance(number, int) for number in entry) for entry in entries)
        and all(isinstance(mark, int) for mark in marks)
    )


READ: dict[tuple[str, str], Before | None] = {}


def before(fields: Fields) -> Before | None:
    """Return what is known of the time before MAIN under the glob that is asked for."""
    if "before" not in fields:
        return None
    key = (text(fields, "before"), text(fields, "path" if "path" in fields else "file"))
    if key not in READ:
        READ[key] = read_before(*key)
    return READ[key]


def was_there(fields: Fields, name: str, status: os.stat_result) -> bool:
    known = before(fields)
    return known is not None and known.holds(name, status)


def grown_from(fields: Fields, name: str) -> int:
    """Return where in a file begins what was added since MAIN began; 0 when all of it counts."""
    known = before(fields)
    return known.grown_from(name) if known is not None else 0


class Fresh:
    """Tells which lines, or rows, a file gained since MAIN began, in whatever order it was written anew."""

    def __init__(self, fields: Fields, name: str) -> None:
        known = before(fields)
        self._old = known.pieces(name) if known is not None else {}

    @property
    def has_old(self) -> bool:
        """True when some of its lines stood there before."""
        return bool(self._old)

    def is_news(self, piece: str) -> bool:
        """Return True for a piece that stands there more often than it did; each is to be asked for once."""
        if not self._old:
            return True
        mark = mark_of(piece)
        left = self._old.get(mark, 0)
        self._old[mark] = left - 1
        return left <= 0


def mark_of(piece: str) -> int:
    from zlib import crc32

    return crc32(" ".join(piece.split()).encode("utf-8", "replace"))


def pieces_of(name: str) -> list[str]:
    """Return what a file of text is made of: the rows of a list in JSON, else its lines that are not blank."""
    said = tail(name)
    try:
        whole_file = json.loads(said)
    except (ValueError, RecursionError):
        return [text_line for text_line in said.split("\n") if text_line.strip()]
    listed = whole_file.get("log_history") if isinstance(whole_file, dict) else whole_file
    return [json.dumps(row, sort_keys=True) for row in listed] if isinstance(listed, list) else []


def disk_free(asks: Any) -> Said:
    """Asks: GB, or path, min_gb; free means free for this user, with a real write."""
    fields = asked(asks, "min_gb", ("path", "min_gb"))
    path, least = text(fields, "path", "."), number(fields, "min_gb", 0)
    expected = f"{least:g} GB free and writable in {path}"
    try:
        space = os.statvfs(expanded(path))
        probe(expanded(path))
    except OSError as error:
        return no(expected, words(error), f"make {path} a directory with room that you may write to")
    free = space.f_bavail * space.f_frsize / GB
    if free < least:
        return no(expected, f"{free:.1f} GB free", f"free {least - free:.1f} GB in {path}, or name another path")
    return yes(expected, f"{free:.1f} GB free, 4 KiB written")


def probe(folder: str) -> None:
    """Write and sync 4 KiB in a file that loses its name at once, so that nothing is ever left behind."""
    path = os.path.join(folder, f".do-tasks-probe-{os.getpid()}-{time.time_ns()}")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.unlink(path)
        left = bytes(4096)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def matches(asks: Any) -> Said:
    """Asks: file (a glob), pattern (Python, multi-line), flags (letters), and those of SINCE."""
    fields = asked(asks, "", ("file", "pattern", "flags", *SINCE))
    expected = f"/{text(fields, 'pattern')}/ in {text(fields, 'file')}"
    sought = compiled(text(fields, "pattern"), str(fields.get("flags", "")), expected)
    names, lines = read_files(fields, expected), 0
    added = 0
    limit_cpu(expected)
    for name in names:
        behind = grown_from(fields, name)
        said = new_lines(fields, name, tail(name, behind))
        hit = sought.search(said)
        if hit:
            return yes(expected, line_at(said, hit.start()))
        lines += said.count("\n") + (not said.endswith("\n") and said != "")
        added += behind > 0
    where = f" of {count(len(names), 'file')}" if len(names) > 1 else ""
    new = "new " if added == len(names) else ""
    return no(expected, f"no match in {count(lines, f'{new}line')}{where}", f"read {names[0]}, or correct the pattern")


def limit_cpu(expected: str) -> None:
    """End this check with a no once a pattern has taken too much CPU time: it may never come to an end."""
    import signal

    def over(*_: object) -> None:
        fix = "write a simpler pattern: none that repeats what repeats already, as (a+)+ does"
        raise UnmetError(expected, f"no answer in {SEARCH_S:g} s of CPU time: the pattern takes too long", fix)

    signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, SEARCH_S)


def new_lines(fields: Fields, name: str, said: str) -> str:
    """Return a text without the lines that stood in it before MAIN."""
    fresh = Fresh(fields, name)
    if not fresh.has_old:
        return said
    return "\n".join(text_line for text_line in said.split("\n") if fresh.is_news(text_line))


def compiled(pattern: str, flags: str, expected: str) -> re.Pattern[str]:
    letters = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "a": re.ASCII}
    if set(flags) - set(letters):
        raise UnmetError(expected, f"flags: {line(flags, 60)}", f"use the letters {', '.join(letters)}")
    try:
        return re.compile(pattern, sum(letters[letter] for letter in {"m", *flags}))
    except re.error as error:
        raise UnmetError(expected, f"not a regular expression: {error}", "correct the pattern") from None


def line_at(content: str, place: int) -> str:
    """Return the line around a place, at most WIDTH characters of it, the place among them."""
    begin, end = content.rfind("\n", 0, place) + 1, content.find("\n", place)
    end = len(content) if end < 0 else end
    return line(content[begin if end - begin <= WIDTH else max(begin, place - 20) : end], WIDTH)


# What runs leave behind


def figure(value: Any) -> float:
    """Return a number; NaN for what is none."""
    try:
        return float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def result(asks: Any) -> Said:
    """Asks: file, name, and those of SINCE; the result file must say met: true with its evidence."""
    fields = asked(asks, "", ("file", "name", *SINCE))
    name = text(fields, "name")
    expected = f'"{name}" met, by {text(fields, "file")}'
    path = read_files(fields, expected)[0]
    try:
        criteria = json.loads(tail(path))["criteria"]
        entry = criteria.get(name)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return no(expected, "no criteria in it", 'write {"criteria": {NAME: {"met": true, "evidence": "..."}}} there')
    if not isinstance(entry, dict):
        return no(expected, f"not among its criteria: {', '.join(map(str, criteria)) or 'none'}", f'add "{name}" to it')
    evidence = str(entry.get("evidence") or "").strip()
    if entry.get("met") is not True:
        return no(expected, f"met: {json.dumps(entry.get('met'))} {evidence}", "make it true, then write met: true")
    return yes(expected, evidence) if evidence else no(expected, "met, no evidence", "quote what was seen as evidence")


# The machine

CARD = "index,memory.free,utilization.gpu"


def gpu_free(asks: Any) -> Said:
    """Asks: GB, or min_gb, count, max_utilization (percent)."""
    bare = asks is None or asks is True
    fields = asked({} if bare else asks, "min_gb", ("min_gb", "count", "max_utilization"))
    least, most = number(fields, "min_gb", 0), number(fields, "max_utilization", 100)
    wanted = whole(fields, "count", 1)
    expected = f"{count(wanted, 'GPU')} with {least:g} GB free, {most:g} % busy at most"
    cards = gpus(expected)
    good = [card for card in cards if card[1] >= least and (card[2] <= most or "max_utilization" not in fields)]
    got = "; ".join(f"GPU {name}: {free:.1f} GB free, {busy:g} % busy" for name, free, busy in cards) or "no GPU"
    if len(good) >= wanted:
        return yes(expected, got)
    return no(expected, got, "stop what holds the GPU (nvidia-smi shows it), or ask for less")


def gpus(expected: str) -> list[tuple[str, float, float]]:
    """Return index, free GB, percent busy of each card that nvidia-smi shows; NaN for what it cannot tell."""
    import subprocess

    query = ["nvidia-smi", f"--query-gpu={CARD}", "--format=csv,noheader,nounits"]
    try:
        run = subprocess.run(query, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    except FileNotFoundError:
        raise UnmetError(expected, "nvidia-smi not found", "run on a machine with an NVIDIA GPU and driver") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnmetError(expected, f"nvidia-smi: {words(error)}", "run nvidia-smi by hand") from None
    output = run.stdout.decode("utf-8", "replace")
    if run.returncode:
        said = (output + run.stderr.decode("utf-8", "replace")).strip().split("\n")[-1]
        raise UnmetError(
            expected, f"nvidia-smi: exit {run.returncode}: {said}", "mend the driver: run nvidia-smi by hand"
        )
    cards = [row.split(",") for row in output.splitlines() if row.count(",") == CARD.count(",")]
    return [(name.strip(), figure(free) * 2**20 / GB, figure(busy)) for name, free, busy in cards]


def port(asks: Any) -> Said:
    """Asks: a number, or host, port, state (open, free)."""
    fields = asked(asks, "port", ("host", "port", "state"))
    host, place, state = text(fields, "host", "127.0.0.1"), whole(fields, "port"), text(fields, "state", "open")
    expected = f"{host}:{place} {state}"
    if state not in STATES or place not in PORTS:
        return no("a port from 1 to 65535, open or free", expected, "correct the check in the definitions")
    attempt, got, fix = STATES[state]
    try:
        attempt(host, place)
    except OSError as error:
        return no(expected, words(error), fix)
    return yes(expected, got)


def reach(host: str, place: int) -> None:
    import socket

    socket.create_connection((host, place), timeout=3).close()


def claim(host: str, place: int) -> None:
    import socket

    family, kind, protocol, _, address = socket.getaddrinfo(host, place, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as claimed:
        claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a connection closed a minute ago counts
        claimed.bind(address)


STATES: dict[str, tuple[Callable[[str, int], None], str, str]] = {
    "open": (reach, "it answers", "start what should listen there, or correct host or port"),
    "free": (claim, "free", "stop what listens there, or choose another port"),
}


def url(asks: Any) -> Said:
    """Asks: an address, or url, status, contains, timeout (s); no secret part of the address is told."""
    fields = asked(asks, "url", ("url", "status", "contains", "timeout"))
    address, sought = text(fields, "url"), str(fields.get("contains", ""))
    wanted, limit_s = whole(fields, "status", 200), number(fields, "timeout", 10)
    expected = f"status {wanted} from {shown(address)}" + f" with {sought!r}" * bool(sought)
    try:
        status, body = fetched(address, limit_s)
    except OSError as error:  # any other message may quote the address, so only its type is told
        reason = getattr(error, "reason", error)
        told = words(reason) if isinstance(reason, OSError) else type(error).__name__
        return no(expected, told, "start the server, or correct the address")
    except Exception as error:  # noqa: BLE001 - as above
        return no(expected, type(error).__name__, "correct the address: http or https, no blanks in it")
    if status != wanted:
        return no(expected, f"status {status}", "correct the address or its key, or ask for that status")
    if sought not in body:
        return no(expected, f"status {status}, not in its {count(len(body), 'character')}", "look at what it answers")
    return yes(expected, f"status {status}")


def shown(address: str) -> str:
    """Return an address without its user, password or the values of its query."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(address)
        torn = parts.port is not None and "@" in parts.path  # a slash in the password
    except ValueError:
        return "the url"
    pairs = [pair.partition("=") for pair in parts.query.split("&")]
    query = "?" + "&".join(f"{name}=***" if equals else "***" for name, equals, _ in pairs)
    plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return "the url" if torn else plain + query * bool(parts.query)


def fetched(address: str, limit_s: float) -> tuple[int, str]:
    """Return status and body, 1 MiB at most; redirects are followed, a user in the address is sent as such."""
    from base64 import b64encode
    from urllib.error import HTTPError
    from urllib.parse import unquote, urlsplit
    from urllib.request import ProxyHandler, Request, build_opener

    parts = urlsplit(address)
    user, at, server = parts.netloc.rpartition("@")
    if parts.scheme not in ("http", "https"):
        raise ValueError("neither http nor https")
    request = Request(  # noqa: S310 - the scheme was just looked at
        parts._replace(netloc=server, fragment="").geturl(), headers={"User-Agent": "do-tasks"}
    )
    if at:  # unredirected: another server must not see it
        request.add_unredirected_header("Authorization", "Basic " + b64encode(unquote(user).encode()).decode())
    host = parts.hostname or ""
    loopback = host in ("localhost", "::1") or host.startswith("127.")
    try:
        with build_opener(*[ProxyHandler({})] * loopback).open(request, timeout=limit_s) as reply:
            return reply.status, reply.read(BLOCK).decode("utf-8", "replace")
    except HTTPError as reply:
        with reply:
            return reply.code, reply.read(BLOCK).decode("utf-8", "replace")


# The project's own code

NAMED_OTHERWISE = {"yaml": "PyYAML", "sklearn": "scikit-learn", "PIL": "Pillow", "cv2": "opencv-python"}
COMPARE: dict[str, Callable[[list[int], list[int]], bool]] = {
    "==": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
    ">=": lambda have, want: have >= want,
    "<=": lambda have, want: have <= want,
    ">": lambda have, want: have > want,
    "<": lambda have, want: have < want,
}


def python_import(asks: Any) -> Said:
    """Asks: a module, a list of them, or module, version."""
    wanted = asks if isinstance(asks, list) else [asks]
    each = [imported(one) for one in wanted]
    bad = [said for said in each if not said["ok"]]
    if bad or len(each) == 1:
        return (bad or each)[0]
    if not each:
        return no("a module", "an empty list", "name a module")
    return yes("; ".join(said["expected"] for said in each), "; ".join(said["got"] for said in each))


def imported(asks: Any) -> Said:
    import importlib

    fields = asked(asks, "module", ("module", "version"))
    module, limits = re.fullmatch(r"([^=!<>~\s]*)\s*(.*)", text(fields, "module"), re.DOTALL).groups()  # type: ignore[union-attr]
    limits = text(fields, "version", limits or "any")
    expected = f"import {module}" + f", version {limits}" * (limits != "any")
    from_the_root()
    try:
        found = importlib.import_module(module)
    except BaseException as error:  # noqa: BLE001 - a module may raise anything, SystemExit too
        return no(expected, blamed(error), import_fix(module, error))
    version = version_of(module, found)
    if limits == "any" or fits(version, limits):
        return yes(expected, f"{module} {version}".strip())
    return no(expected, f"{module} {version or 'of no known version'}", installer(module, limits))


def from_the_root() -> None:
    """Import from the working directory too, never from the folder of this file.

    Python's own modules come first, so that no file of the project hides one of them; installed ones come after it.
    """
    here, root = os.path.dirname(os.path.realpath(__file__)), os.getcwd()
    if sys.path and os.path.realpath(sys.path[0]) == here:
        del sys.path[0]
    installed = [at for at, one in enumerate(sys.path) if os.path.basename(one) in ("site-packages", "dist-packages")]
    if root not in sys.path:
        sys.path.insert(installed[0] if installed else len(sys.path), root)


def blamed(error: BaseException) -> str:
    """Return `TypeName: message`, whatever the error does to prevent it."""
    try:
        return f"{type(error).__name__}: {error}".strip().rstrip(":").splitlines()[0]
    except Exception:  # noqa: BLE001 - its __str__ is not ours
        return type(error).__name__


def import_fix(module: str, error: BaseException) -> str:
    lacking = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    if lacking and (module + ".").startswith(lacking + "."):
        return installer(lacking)
    return installer(lacking) if lacking else f"see why: {sys.executable} -c 'import {module}'"


def installer(module: str, limits: str = "") -> str:
    top = module.partition(".")[0]
    wanted = NAMED_OTHERWISE.get(top, top) + limits
    return f"{sys.executable} -m pip install " + (f"'{wanted}'" if limits else wanted)


def version_of(module: str, found: Any) -> str:
    """Return the version of the distribution that brings a module, else its own word, else nothing."""
    from importlib import metadata

    top = module.partition(".")[0]
    try:
        return metadata.version(NAMED_OTHERWISE.get(top, top)) or ""
    except metadata.PackageNotFoundError:
        pass
    brings: Fields = getattr(metadata, "packages_distributions", dict)()  # from Python 3.10 on
    return metadata.version(brings[top][0]) if top in brings else str(getattr(found, "__version__", ""))


def fits(version: str, limits: str) -> bool:
    """Compare release numbers: 2.1.0+cu121 is 2.1, 2.0rc1 is 2.0."""
    clauses = [re.fullmatch(r"\s*(==|!=|>=|<=|>|<)\s*v?(\d+(?:\.\d+)*)\s*", clause) for clause in limits.split(",")]
    if not all(clauses):
        fix = "use == != >= <= > < before a number, with commas between"
        raise UnmetError("a version such as >=1.2,<2", f"version {limits}", fix)
    have = release(version)
    return have != [] and all(COMPARE[clause[1]](have, release(clause[2])) for clause in clauses if clause)


def release(version: str) -> list[int]:
    digits = re.match(r"v?(\d+(?:\.\d+)*)", version)
    numbers = [int(part) for part in digits[1].split(".")] if digits else []
    while numbers[1:] and not numbers[-1]:
        numbers.pop()
    return numbers


def call(asks: Any) -> Said:
    """Asks: pkg.mod.func, or target, args (keywords); passes on True, None or {"ok": True}."""
    fields = asked(asks, "target", ("target", "args"))
    target, given = text(fields, "target").replace(":", "."), fields.get("args") or {}
    expected = f"{target} to pass"
    if not isinstance(given, dict):
        return no("args: a mapping of keywords", f"args: {kind_of(given)}", "write args as name: value")
    from_the_root()
    try:
        return judged(expected, function_at(target)(**given))
    except UnmetError:
        raise
    except BaseException as error:  # noqa: BLE001 - a function may raise anything, SystemExit too
        return no(expected, blamed(error), f"look at {scene(error) or target}")


def function_at(target: str) -> Callable[..., Any]:
    """Import as much of a dotted path as is modules, then follow attributes."""
    import importlib

    parts = target.split(".")
    for place in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:place])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if place > 1 and (module + ".").startswith(f"{error.name}."):
                continue
            raise
        for part in parts[place:]:
            found = getattr(found, part)
        return found  # type: ignore[no-any-return]
    raise UnmetError("package.module.function", target, "name a function in a module")


def judged(expected: str, answer: Any) -> Said:
    if isinstance(answer, dict) and "ok" in answer:
        said = {key: str(answer[key]) for key in ("expected", "got", "fix") if key in answer}
        wanted, got = said.get("expected", expected), said.get("got", f"ok: {answer['ok']}")
        return yes(wanted, got) if is_true(answer["ok"]) else no(wanted, got, said.get("fix", "see what it looks at"))
    if answer is None or is_true(answer):
        return yes(expected, f"returned {answer}")
    return no(expected, f"returned {line(repr(answer), WIDTH)}", "return True or None, or {'ok': ..., 'got': ...}")


def is_true(answer: Any) -> bool:
    """Tell True, numpy's too, from what is merely truthy."""
    return type(answer).__name__ in ("bool", "bool_") and bool(answer)


def scene(error: BaseException) -> str:
    """Return file:line of the project's frame that raised, else nothing."""
    trace, place = error.__traceback__, ""
    while trace:
        name = trace.tb_frame.f_code.co_filename
        if os.path.isfile(name) and os.path.realpath(name) != os.path.realpath(__file__):
            place = f"{os.path.relpath(name)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


# The answer

KINDS: dict[str, Callable[[Any], Said]] = {
    "file": file,
    "disk_free": disk_free,
    "gpu_free": gpu_free,
    "port": port,
    "url": url,
    "python_import": python_import,
    "matches": matches,
    "result": result,
    "call": call,
}


def replied(answer: Callable[[Any], Said], kind: str, asks: Any) -> Said:
    try:
        return answer(asks)
    except UnmetError as ended:
        return ended.said
    except BaseException as error:  # noqa: BLE001 - whatever happens, the asker gets an answer
        return no(f"an answer to {kind}", blamed(error), "correct the check in the definitions, or report this")


def main(arguments: list[str], kinds: Mapping[str, Callable[[Any], Said]] = KINDS) -> int:
    """Answer on the stdout we began with; return 0 = ok, 1 = not, 2 = bad arguments."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what imported code prints goes to stderr, so the answer stays the last line
    try:
        kind, asks = arguments[0], json.loads(*arguments[1:])
        wrong = kind not in kinds
    except (IndexError, TypeError, ValueError, RecursionError):
        wrong = True
    said = (
        no(
            f"KIND JSON, KIND one of {', '.join(kinds)}",
            f"{count(len(arguments), 'argument')}, kind {arguments[:1]}",
            "correct the call",
        )
        if wrong
        else replied(kinds[kind], kind, asks)
    )
    sys.stdout.flush()
    os.write(answers, json.dumps(said).encode() + b"\n")
    return 2 if wrong else 0 if said["ok"] else 1


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # at once: threads and exit hooks of imported code cannot hold the answer back

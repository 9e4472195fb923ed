"""Find the files that a check names; only content that is new since MAIN began is evidence."""

from __future__ import annotations

import os
import time

from executor.checks.project_worker import UnmetError, kind_of, text
from executor.system.earlier_files import EarlierFiles, read_earlier
from executor.system.folders import expand_home, find_matching
from executor.system.quantities import SIZE_HINT, TIME_HINT, parse_duration, parse_size
from executor.system.records import TYPE_CHECKING
from executor.system.text import counted, decimal_size, duration, one_line
from executor.system.text_files import row_checksum

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.checks.project_worker import Fields
    from executor.system.folders import Found

SINCE = ("before", "newer_than_ns")  # fields of a check of evidence
NS = 10**9
SKEW_NS = 60 * NS  # by how much the clock of a file server may be ahead


# The fields of a check


def number(fields: Fields, name: str, default: float | None = None) -> float:
    value = fields.get(name, default)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf"):
        return value
    raise UnmetError(f"{name}: a number", f"{name}: {kind_of(value)}", f"give {name} as a number in the definitions")


def whole(fields: Fields, name: str, default: int | None = None) -> int:
    return int(number(fields, name, default))


def octets(fields: Fields, name: str, *, unit: float = 1) -> float:
    """Return a size in bytes; `unit` is that of a number without one."""
    size = parse_size(fields.get(name, 0), unit=unit)
    if size is None:
        raise UnmetError(
            f"{name}: a size such as 10MB", f"{name}: {one_line(str(fields[name]), 120)}", f"write {SIZE_HINT}"
        )
    return size


def seconds(fields: Fields, name: str, default: float) -> float:
    """Return a time in seconds."""
    value = parse_duration(fields.get(name, default))
    if value is None:
        raise UnmetError(f"{name}: a time", f"{name}: {one_line(str(fields[name]), 120)}", f"write {TIME_HINT}")
    return value


def words(error: BaseException) -> str:
    """Return an operating system error in its own words, any other as `TypeName: message`."""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


# The files


def good_files(fields: Fields, expected: str) -> Found:
    """Return the files that are large and new enough; raises UnmetError when they are too few."""
    found = find_matching(text(fields, "path"))
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


def lateness(fields: Fields, expected: str) -> Callable[[os.stat_result], float]:
    """Return a function that gives the seconds by which a file is too old; 0 or less is new enough."""
    if "newer_than_ns" in fields and before(fields) is None:
        start = whole(fields, "newer_than_ns")
        return lambda status: (start - changed_ns(status)) / NS
    if "newer_than" not in fields:
        return lambda _: 0.0
    reference = text(fields, "newer_than")
    try:
        than = os.stat(expand_home(reference)).st_mtime_ns + 1
    except OSError as error:
        raise UnmetError(expected, f"{reference}: {words(error)}", f"make {reference}, or correct newer_than") from None
    return lambda status: (than - status.st_mtime_ns) / NS


def changed_ns(status: os.stat_result) -> int:
    """Return when a file was changed last; 0 for a time ahead of the clock."""
    return max(one for one in (0, status.st_mtime_ns, status.st_ctime_ns) if one <= time.time_ns() + SKEW_NS)


def nothing_there(pattern: str, folders: int) -> tuple[str, str]:
    if folders:
        return f"{counted(folders, 'directory')}, no file", f"write {pattern}/ when a directory is what counts"
    if pattern.startswith(".do-tasks/"):
        return "nothing there", "let MAIN write it, to the path in DO_TASKS_RESULT"
    return "nothing there", f"make {pattern}, or correct the path: it starts in the project's root"


def shortage(files: int, held: int, old: list[float], small: list[int]) -> str:
    parts = [counted(files, "file")]
    if held:
        parts.append(f"{share(held, files)}older than MAIN, unchanged")
    if old:
        more = " or more" if duration(min(old)) != duration(max(old)) else ""
        parts.append(f"{share(len(old), files)}older by {duration(min(old))}{more}")
    if small:
        parts.append(f"{share(len(small), files)}too small: {decimal_size(max(small))}{' at most' * (len(small) > 1)}")
    return ", ".join(parts)


def share(part: int, files: int) -> str:
    return f"{part} of them " if part < files else {1: "", 2: "both "}.get(files, "all ")


def remedy(held: set[str], old: list[float], small: list[int], missing: int) -> str:
    if held:
        return "write any_age: true where an old one will do; else move it away and let MAIN make it anew (--rerun)"
    if old:
        return "make it again: it was there before"
    return "look whether writing it was cut short" if small else f"{missing} more needed"


def read_files(fields: Fields, expected: str) -> list[str]:
    """Return the names of the regular files under the field `file`, newest first."""
    known = {"path": text(fields, "file"), **{key: fields[key] for key in SINCE if key in fields}}
    good = sorted(good_files(known, expected), key=lambda entry: entry[1].st_mtime_ns, reverse=True)
    names = [name for name, _ in good if os.path.isfile(name)]
    if not names:
        raise UnmetError(expected, f"{known['path']} is not a regular file", "name a file that can be read")
    return names


# Earlier content

_read: dict[tuple[str, str], EarlierFiles | None] = {}


def before(fields: Fields) -> EarlierFiles | None:
    """Return the record made before MAIN of the files under the glob in question."""
    if "before" not in fields:
        return None
    key = (text(fields, "before"), text(fields, "path" if "path" in fields else "file"))
    if key not in _read:
        _read[key] = read_earlier(*key)
    return _read[key]


def was_there(fields: Fields, name: str, status: os.stat_result) -> bool:
    known = before(fields)
    return known is not None and known.holds(name, status)


def grown_from(fields: Fields, name: str) -> int:
    """Return the offset from which a file is new since MAIN began; 0 when all of it counts."""
    known = before(fields)
    return known.grown_from(name) if known is not None else 0


class Fresh:
    """The lines, or rows, that a file gained since MAIN began; their order does not matter."""

    def __init__(self, fields: Fields, name: str) -> None:
        known = before(fields)
        self._old = known.pieces(name) if known is not None else {}

    @property
    def has_old(self) -> bool:
        """True when some of its lines stood there before, or may have."""
        return self._old is None or bool(self._old)

    def is_news(self, piece: str) -> bool:
        """Return True for a piece that stands there more often than it did; each is to be asked for once."""
        if self._old is None:
            return False
        if not self._old:
            return True
        mark = row_checksum(piece)
        left = self._old.get(mark, 0)
        self._old[mark] = left - 1
        return left <= 0

"""The kinds of trouble that end a run, each with the next move in its words."""

from __future__ import annotations

import errno

from executor.system.records import Record

WAYS_OUT = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "mend the rights"),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EINVAL), "move it away"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "allow more open files"),
    errno.EROFS: "mount it so that it can be written",
    errno.EBUSY: "mount its folder instead of the file alone",
    errno.EFBIG: "make it smaller, or move it away",
    errno.ENOENT: "see that its folder is there",
    errno.ENAMETOOLONG: "shorten its path",
    errno.ENOMEM: "free some memory",
}


def way_out(error: OSError) -> str:
    """Return what to do about what the system refused."""
    return WAYS_OUT.get(error.errno or 0, "see to the disk")


class Problem(Record):
    """One thing wrong in a file: `file:line:col: path: message`; line and col count from 1, 0 = unknown.

    `severity` is error, warning, or note: what is right, and what a reader should know.
    """

    file: str
    message: str
    path: str = ""
    line: int = 0
    col: int = 0
    severity: str = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.col}" if self.line else self.file
        kind = "" if self.severity == "error" else f"{self.severity}: "
        return f"{place}: {kind}{self.path}: {self.message}" if self.path else f"{place}: {kind}{self.message}"


class DoTasksError(Exception):
    """What a user is told instead of a traceback."""


class UsageError(DoTasksError):
    """The command line asks for something that is not there."""


class DefinitionError(DoTasksError):
    """The definitions cannot be used; carries every problem found, in file order."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class SpecError(DoTasksError):
    """SPEC.md cannot be read or patched without guessing."""


class MachineError(DoTasksError):
    """The disk, the rights or the kernel refuse."""


class PersonWantedError(DoTasksError):
    """Nothing may run before a person has looked."""


class BusyError(DoTasksError):
    """Another executor holds the lock."""

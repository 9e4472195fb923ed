"""Errors that end a run; each message names the next command."""

from __future__ import annotations

import errno

REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "fix the permissions"),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EINVAL), "move it away"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files"),
    errno.EROFS: "mount it writable",
    errno.EBUSY: "mount its folder instead of the file alone",
    errno.EFBIG: "make it smaller, or move it away",
    errno.ENOENT: "create its folder",
    errno.ENAMETOOLONG: "shorten its path",
    errno.ENOMEM: "free some memory",
}


def remedy(error: OSError) -> str:
    """Return the next step for a person after an error of the system."""
    return REMEDIES.get(error.errno or 0, "check the disk")


class Problem:
    """One thing wrong in a file: `file:line:col: path: message`; line and col count from 1, 0 = unknown.

    `severity` is error, warning or note; a note states a fact that needs no correction.
    """

    def __init__(
        self, file: str, message: str, path: str = "", line: int = 0, col: int = 0, severity: str = "error"
    ) -> None:
        self.file, self.message, self.path = file, message, path
        self.line, self.col, self.severity = line, col, severity

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.col}" if self.line else self.file
        kind = "" if self.severity == "error" else f"{self.severity}: "
        return f"{place}: {kind}{self.path}: {self.message}" if self.path else f"{place}: {kind}{self.message}"


class DoTasksError(Exception):
    """An error with a message for the user, shown without a traceback."""


class UsageError(DoTasksError):
    """The command line names something that does not exist."""


class DefinitionError(DoTasksError):
    """The definitions are invalid; `problems` holds every problem found, in file order."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class SpecError(DoTasksError):
    """SPEC.md cannot be read or patched without guessing."""


class MachineError(DoTasksError):
    """The disk, the permissions or the kernel refuse an operation."""


class PersonNeededError(DoTasksError):
    """A person must decide before anything may run."""


class BusyError(DoTasksError):
    """Another process of do-tasks holds the lock."""

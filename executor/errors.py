"""The kinds of trouble that end a run, each with the next move in its words."""

from __future__ import annotations

from executor.values import Value


class Problem(Value):
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


class BusyError(DoTasksError):
    """Another executor holds the lock."""

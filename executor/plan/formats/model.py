"""Tasks, findings and marks, as every format reads and writes them."""

from __future__ import annotations

from hashlib import sha256

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    Files = Mapping[str, bytes]

    class PlanFormat(Protocol):
        """A format of plan files: pure functions from bytes to tasks, and from a mark to changed bytes.

        `Files` maps paths relative to the plan's folder to bytes. The plan's own file, the one that a person names,
        is always there; `companions` names the others that the format reads.
        """

        @property
        def name(self) -> str:
            """Return the name of the format."""

        @property
        def marks(self) -> Mapping[str, str]:
            """Return the mark that is written for done, failed and started, in words for the docs."""

        def matches(self, path: str, data: bytes) -> bool:
            """Return True when a file with this path and content is a plan of this format."""

        def companions(self, path: str, data: bytes) -> tuple[str, ...]:
            """Return glob patterns, relative to the plan's folder, of further files that the format reads."""

        def read(self, path: str, files: Files) -> PlanDocument:
            """Return the tasks of a plan and what contradicts itself in it; never raise for odd content."""

        def write(self, path: str, files: Files, task: PlanTask, mark: TaskMark) -> Files:
            """Return the changed files in the order of their writing, none when the mark stands already.

            Every byte outside the task's own line or value stays. Raises MarkError where the format has no place
            for the mark, or the task is ambiguous, or its line is no longer the one that was read.
            """


OPEN, STARTED, DONE, FAILED, BLOCKED, CANCELLED = "open", "started", "done", "failed", "blocked", "cancelled"
STATES = (OPEN, STARTED, DONE, FAILED, BLOCKED, CANCELLED)


class MarkError(Exception):
    """A mark that cannot be written, with the reason: the state stays in the side file."""


class NoLineError(MarkError):
    """A mark of a task that has no line of its own in any state: the side file holds them all."""


class PlanTask(Record):
    """A task of a plan.

    `id` is as the plan writes it, or made where it writes none; `nth` counts tasks with the same id from 1. `line` is
    the 1-based line in `file` that a mark changes, 0 when no line is the task's own: then `declared_line` names it.
    `digest` is the SHA-256 (16 hex digits) of that line's text without its state, by which a changed line is refused,
    empty where `text` is compared. `text` is what the task asks for:
    when it changes, the task has changed. `order` places the task in the document.
    `ambiguous` says why a task is never marked: a doubled id, an unclosed fence, an unknown mark.
    `priority` is 1 for the most urgent, 0 for none; `estimate_h` are hours, 0.0 for none. `after_phase` says that all
    tasks of earlier phases come first; `parallel` that the plan allows the task beside its neighbours; `free` that it
    waits for its written dependencies alone, in any order of the document.
    """

    id: str
    title: str
    state: str = OPEN
    file: str = ""
    line: int = 0
    declared_line: int = 0
    digest: str = ""
    nth: int = 1
    order: int = 0
    depends_on: tuple[str, ...] = ()
    parent: str = ""
    phase: str = ""
    section: str = ""
    tags: tuple[str, ...] = ()
    priority: int = 0
    parallel: bool = False
    after_phase: bool = False
    free: bool = False
    estimate_h: float = 0.0
    files: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    text: str = ""
    ambiguous: str = ""

    @property
    def label(self) -> str:
        """Return id and title; the id alone for a task that has no title."""
        return self.id if self.title in ("", self.id) else f"{self.id}  {self.title}"


class Finding(Record):
    """A contradiction in a plan: where, of which kind, and what would have to be true."""

    file: str
    line: int
    kind: str
    message: str


class PlanDocument(Record):
    """A plan as it was read: its tasks in document order and what its own parts say against each other.

    `ordered` says that the order of the document is an order: a task waits for those before it in its phase, but
    neighbours that are `parallel` do not wait for each other. `critical_path` are the ids that the plan itself calls
    its longest path, in `critical_line`. `gates` are boxes that are conditions and no tasks, such as those of
    checklists and checkpoints: they are shown and never marked.
    """

    format: str
    tasks: tuple[PlanTask, ...] = ()
    findings: tuple[Finding, ...] = ()
    title: str = ""
    ordered: bool = False
    critical_path: tuple[str, ...] = ()
    critical_line: int = 0
    gates: tuple[PlanTask, ...] = ()


class TaskMark(Record):
    """The state that is written for a task: done, failed or started, with the task id and its time.

    `time` is local, `YYYY-MM-DD HH:MM`; `time_utc` the same moment as `YYYY-MM-DDTHH:MM:SS.mmmZ`. `proven` are the
    criteria that were proven, by their place in the task's `criteria`, from 1. `by` is the agent or person at work.
    `hours` and `tokens` are what the task took, 0 where neither was counted.
    """

    state: str
    task_id: str = ""
    time: str = ""
    note: str = ""
    time_utc: str = ""
    by: str = ""
    proven: tuple[int, ...] = ()
    hours: float = 0.0
    tokens: int = 0


def text_digest(text: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

"""A plan of another tool, read as boxes: its tasks are marked in its own file and in a side file of do-tasks."""

from __future__ import annotations

import json
import os
import time

from executor.errors import SpecError
from executor.plan.formats import registry, side_file
from executor.plan.formats.model import (
    BLOCKED,
    CANCELLED,
    DONE,
    FAILED,
    OPEN,
    STARTED,
    MarkError,
    NoLineError,
    TaskMark,
    text_digest,
)
from executor.plan.spec.marks import Mark
from executor.plan.spec.spec_md import Box
from executor.store import log_reader, plan_files, plan_writer, side_files, spec_file
from executor.store.effort import effort_of
from executor.store.plan_change import FileChange
from executor.system import files
from executor.system.records import TYPE_CHECKING
from executor.system.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.formats.model import PlanDocument, PlanTask
    from executor.plan.formats.side_file import SideFile
    from executor.plan.step_ids import StepId
    from executor.store.plan_files import PlanFile

BOX_STATES = {DONE: "x", STARTED: "~", CANCELLED: "-", BLOCKED: "!"}
KINDS = {DONE: "passed", STARTED: "started", FAILED: "failed"}
SIDE_ONLY = (STARTED, FAILED, OPEN)  # states that stay in the side file where the format has no place for them
BY = "do-tasks"
SMALL = 2000  # tasks of a plan whose digest is taken at each tick; that of a larger one once
WITH_EFFORT = (".tasks", "Backlog.md")  # formats with places for hours, tokens or criteria


class ForeignPlan:
    """The plan in a file of another tool, `name` relative to the project's root."""

    def __init__(self, root: str, name: str) -> None:
        self.name = self.plan = name
        self._root = root
        self.path = os.path.join(root, name)
        self._read: tuple[bytes, PlanFile, SideFile] | None = None

    def read(self) -> bytes:
        """Return the bytes of all files of the plan and of its side file, packed into one value."""
        plan = plan_files.load(self.path, self._read[1] if self._read else None)
        side = side_files.find(self._root, self.name, plan.document).data
        lengths = {name: len(data) for name, data in plan.files.items()}
        data = b"".join((json.dumps([plan.name, lengths]).encode(), b"\n", *plan.files.values(), side))
        if self._read is None or self._read[0] != data:
            self._read = (data, plan, self._decoded(side))
        return data

    def formerly(self) -> tuple[str, ...]:
        """Return the names that the plan had before, as older lines of the log have them."""
        known = side_files.formerly(self._root, self.name)
        return self._text(self.read())[1].formerly if known is None else known

    def boxes(self, data: bytes) -> dict[StepId, Box]:
        """Return the tasks in the bytes of `read` as boxes by id; of several tasks with the same id, the first."""
        plan, side = self._text(data)
        found: dict[StepId, Box] = {}
        for task in plan.document.tasks:
            found.setdefault(task.id, _box(task, side))
        return found

    def find(self, data: bytes, number: StepId) -> Box:
        """Return the box of a task; SpecError when there is none, or when it may not be marked."""
        plan, side = self._text(data)
        same = [task for task in plan.document.tasks if task.id == number]
        if not same:
            near = did_you_mean(str(number), [task.id for task in plan.document.tasks])
            raise SpecError(f"{self.name} has no task {quoted(str(number))}{near}; see: do-tasks list")
        lines = ", ".join(str(task.line or task.declared_line) for task in same)
        if len(same) > 1:
            raise SpecError(f"{self.name} has {number} {len(same)} times, in lines {lines}: give each its own id")
        reason = same[0].ambiguous or _trouble(plan, same[0])
        if reason:
            raise SpecError(f"{self.name}:{lines}: {number} is not run: {reason}; see: do-tasks lint")
        return _box(same[0], side)

    def near_misses(self, data: bytes) -> dict[StepId, str]:  # noqa: ARG002 - SPEC.md has some
        """Return no hints: `find` names the nearest id."""
        return {}

    def text_digest(self, number: StepId) -> str:
        """Return the digest of what a task asks for now, empty for a task that is gone."""
        plan, _ = self._text(self.read())
        texts = (task.text for task in plan.document.tasks if task.id == number)
        return next((text_digest(text) for text in texts), "")

    def refuse_read_only(self) -> None:
        """Raise MachineError for a file that could not be marked."""
        spec_file.refuse_read_only(self.path)

    def mark(self, lock: str, *, number: StepId, state: str, mark: Mark | None, task_id: str = "") -> spec_file.Change:
        """Write a state to the task of this id; a state that the format cannot hold goes to the side file alone.

        SpecError when the file does not read back as it was written, or is changed again and again.
        """
        before = self.find(self.read(), number)
        wanted = self._with_effort(_task_mark(state, mark, task_id), number)

        sides: list[SideFile] = []

        def beside(after: PlanTask, document: PlanDocument) -> list[FileChange]:
            side, changes = self._side_change(after, document, wanted, mark)
            sides.append(side)
            return changes

        try:
            known = self._read[1] if self._read else None
            after = plan_writer.write_mark(
                self.path, lock, str(number), wanted, beside=beside, side_only=SIDE_ONLY, known=known
            )
        except MarkError as error:
            raise SpecError(str(error)) from error
        return spec_file.Change(before, _box(after, sides[-1]))

    def _with_effort(self, wanted: TaskMark, number: StepId) -> TaskMark:
        """Return the mark of a done task with its effort, where the format has places for it."""
        plan = self._read[1] if self._read else plan_files.load(self.path)
        if wanted.state != DONE or not wanted.task_id or plan.format.name not in WITH_EFFORT:
            return wanted
        effort = effort_of(log_reader.task_lines(self._root, wanted.task_id))
        criteria = next((task.criteria for task in plan.document.tasks if task.id == number), ())
        return wanted.replace(hours=effort.hours, tokens=effort.tokens, proven=effort.places(criteria))

    def _side_change(
        self, after: PlanTask, document: PlanDocument, wanted: TaskMark, mark: Mark | None
    ) -> tuple[SideFile, list[FileChange]]:
        """Return the side file with the mark, and the changes that write it."""
        stored = side_files.find(self._root, self.name, document)
        side = self._decoded(stored.data)
        new = side_file.with_mark(side, after, wanted)
        key = side_file.key_of(after)
        kind = {"kind": mark.kind} if mark and mark.kind != KINDS.get(wanted.state) else {}
        if new.tasks[key].more != kind:
            new = new.replace(tasks={**new.tasks, key: new.tasks[key].replace(more=kind)})
        if new == side:
            return side, []
        path = os.path.join(self._root, side_file.side_path(new.plan))
        files.private_folder(os.path.dirname(path))
        is_small = len(document.tasks) <= SMALL or not side.content
        new = new.replace(content=side_file.content_of(document)) if is_small else new
        data = side_file.encoded(new)
        if path == stored.path:
            return new, [FileChange(path, stored.data or None, data)]
        return new, [FileChange(path, None, data), FileChange(stored.path, stored.data, None)]  # the plan was moved

    def _decoded(self, data: bytes) -> SideFile:
        return side_files.read(side_files.StoredSide("", data), self.name)

    def _text(self, data: bytes) -> tuple[PlanFile, SideFile]:
        known = self._read
        if known is None or known[0] != data:
            plan, side = _unpacked(self.path, data)
            known = self._read = (data, plan, self._decoded(side))
        return known[1:]


def _unpacked(path: str, data: bytes) -> tuple[PlanFile, bytes]:
    """Return the plan and the bytes of its side file from the bytes of `read`."""
    head, _, rest = data.partition(b"\n")
    own, lengths = json.loads(head)
    found: dict[str, bytes] = {}
    for name, length in lengths.items():
        found[name], rest = rest[:length], rest[length:]
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    plan_format = registry.format_of(os.path.join(folder, own), found[own])
    document = plan_format.read(own, found)
    return plan_files.PlanFile(path, folder, own, plan_format, document, found), rest


def _trouble(plan: PlanFile, task: PlanTask) -> str:
    """Return the reason why a task that passes could not be marked, empty when it could."""
    if task.state == DONE:
        return ""
    try:
        plan.format.write(plan.name, plan.files, task, TaskMark(DONE, "task_0_00000000", "2000-01-01 00:00"))
    except NoLineError:
        return ""
    except MarkError as error:
        return str(error)
    return ""


def _task_mark(state: str, mark: Mark | None, task_id: str) -> TaskMark:
    wanted = {"x": DONE, "~": STARTED}.get(state) or (FAILED if mark else OPEN)
    now = time.time()
    utc = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
    if mark is None:
        return TaskMark(wanted, task_id, time.strftime("%Y-%m-%d %H:%M"), time_utc=utc, by=BY)
    return TaskMark(wanted, mark.task_id, mark.time, mark.note, utc, BY)


def _box(task: PlanTask, side: SideFile) -> Box:
    """Return a task as a box; the mark in the side file counts while the plan has the state that the mark recorded."""
    known = side.tasks.get(side_file.key_of(task))
    if known is None or known.plan_state != task.state:
        return Box(task.id, BOX_STATES.get(task.state, " "), task.title, None, 0, 0, task.line)
    more: Mapping[str, object] = known.more
    kind = str(more.get("kind") or KINDS.get(known.state, ""))
    mark = Mark(kind, known.task_id, known.time, known.note) if kind else None
    return Box(task.id, BOX_STATES.get(known.state, " "), task.title, mark, 0, 0, task.line)

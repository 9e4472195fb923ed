"""SPEC.md as one of the formats: its steps are tasks whose ids are numbers."""

from __future__ import annotations

from executor.errors import SpecError
from executor.plan.formats.model import CANCELLED, DONE, FAILED, OPEN, STARTED, MarkError, PlanDocument, PlanTask
from executor.plan.spec import spec_md
from executor.plan.spec.marks import Mark
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.formats.model import Files, TaskMark
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId

NAME = "spec.md"
_STATES = {"x": DONE, "~": STARTED, "-": CANCELLED}
_WRITTEN = {DONE: ("x", "passed"), FAILED: (" ", "failed"), STARTED: ("~", "started")}


class SpecMd:
    """The format of SPEC.md, under any name."""

    name = NAME
    marks: Mapping[str, str] = {
        DONE: "`[x]`, and at the end of the line `✓ [task_id: ...] [time]`",
        FAILED: "the box stays `[ ]`; at the end `✗ Failed [task_id: ...] [time]: reason`",
        STARTED: "`[~]`, and at the end `⏳ started [task_id: ...] [time]`",
    }

    def matches(self, path: str, data: bytes) -> bool:  # noqa: ARG002 - the protocol has it
        """Return True for a file with a line of a step, under any name."""
        return b"step" in data.lower() and bool(spec_md.boxes(data))

    def companions(self, path: str, data: bytes) -> tuple[str, ...]:  # noqa: ARG002 - the protocol has them
        """Return no pattern: the file is the plan."""
        return ()

    def read(self, path: str, files: Files) -> PlanDocument:
        """Return the steps; those of one number that stand there more than once are ambiguous."""
        boxes = spec_md.boxes(files[path])
        counts: dict[StepId, int] = {}
        for box in boxes:
            counts[box.number] = counts.get(box.number, 0) + 1
        tasks = [_task(box, order, doubled=counts[box.number] > 1) for order, box in enumerate(boxes)]
        return PlanDocument(NAME, tuple(tasks), ordered=True)

    def write(self, path: str, files: Files, task: PlanTask, mark: TaskMark) -> Files:
        """Return SPEC.md with the mark at the step's line, nothing when it stands there already."""
        if task.ambiguous:
            raise MarkError(f"{task.id}: {task.ambiguous}")
        data = files[path]
        state, kind = _WRITTEN[mark.state]
        try:
            box = spec_md.find(data, int(task.id))
            changed = spec_md.patch(data, box, state=state, mark=Mark(kind, mark.task_id, mark.time, mark.note))
        except SpecError as error:
            raise MarkError(str(error)) from error
        return {} if changed == data else {path: changed}


def _task(box: Box, order: int, *, doubled: bool) -> PlanTask:
    failed = box.state == " " and box.mark is not None and box.mark.kind == "failed"
    state = FAILED if failed else _STATES.get(box.state, OPEN)
    why = f"step {box.number} stands there more than once" if doubled else ""
    return PlanTask(str(box.number), box.title, state, line=box.line, order=order, text=box.title, ambiguous=why)

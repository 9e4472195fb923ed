"""Kinds of ticks: a box of SPEC.md compared with the log."""

from __future__ import annotations

from executor.store.step_state import NEW
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.step_state import StepState

# The one table of marks: every view shows a step by its sign and its word.
SIGNS = {
    "proven": "✓",
    "claimed": "?",
    "elsewhere": "↗",
    "by hand": "✎",
    "accepted": "◆",
    "rechecked": "↻",
    "started": "~",
    "running": "~",
    "waiting": "…",
    "failed": "✗",
    "timed out": "✗",
    "lost": "✗",
    "interrupted": "‖",
    "unfinished": "‖",
    "stopped": "■",
    "open": " ",
    "skipped": "–",
    "went back": "↶",
    "not defined": "·",
    "no line": "!",
}
WORDS = {"by_hand": "by hand", "elsewhere": "evidence elsewhere"}
TICKS = ("proven", "claimed", "elsewhere", "by_hand", "accepted", "rechecked")
UNCONTAINED = "uncontained"  # shown beside the kind of a tick, and in its note: the agent's shell was not contained
UNPROVEN = ("elsewhere", "by_hand", "accepted")  # ticks that strict does not accept


def kind_of(*, proven: int, claimed: int, checks: int, accepted: bool = False) -> str:
    """Return proven or claimed, by the counts of a pass: proven criteria, claimed criteria, POST checks that ran.

    With `accepted` it returns that: a person accepted a change of the judges while the brief was out.
    """
    return "accepted" if accepted else "claimed" if claimed or not (proven or checks) else "proven"


def kind_of_pass(state: StepState) -> str | None:
    """Return proven, claimed or accepted for a step whose newest task passed, else None."""
    return _kind(state) if state.verdict == "passed" else None


def _kind(state: StepState) -> str:
    accepted = bool(state.passed_accepted)
    return kind_of(proven=state.proven, claimed=state.claimed, checks=state.checks, accepted=accepted)


def tick_of(box: Box, state: StepState) -> str:
    """Return the kind of tick of a box (a member of TICKS), empty for an open one."""
    if box.state != "x":
        return ""
    mark = box.mark
    if mark is None or mark.kind not in ("passed", "rechecked"):
        return "by_hand"
    if mark.kind == "rechecked":
        return "rechecked" if mark.task_id == state.rechecked else "elsewhere"
    if mark.task_id == state.passed_task:
        return _kind(state)
    older = (one.split() for one in state.older)
    return next((kind for task_id, kind in older if task_id == mark.task_id), "elsewhere")


def begun_again(box: Box, state: StepState) -> bool:
    """Return True for a tick of an earlier task when a newer one has not passed."""
    if state.verdict == "passed" or not state.passed_task or state.task_id == state.passed_task:
        return False
    return box.mark is not None and box.mark.kind == "passed" and box.mark.task_id == state.passed_task


def is_uncontained(box: Box | None, state: StepState) -> bool:
    """Return True for the tick of an uncontained agent, by the log, else by the note of a tick from another clone."""
    mark = box.mark if box and box.state == "x" else None
    if mark is None or mark.kind != "passed":
        return False
    return state.uncontained if mark.task_id == state.passed_task else UNCONTAINED in mark.note.split(", ")


def is_enough_for_strict(box: Box, state: StepState) -> bool:
    """Return True when strict accepts this tick: by evidence of this log, or a recheck that asked every criterion."""
    tick = tick_of(box, state)
    return tick not in UNPROVEN and (tick != "rechecked" or state.recheck_full)


def line_fingerprint(box: Box) -> str:
    """Return a short digest of a step's line; formatters and line ends do not change it."""
    from zlib import crc32  # a library to load, for a few lines

    mark = box.mark
    parts = (box.state, box.title, *((mark.kind, mark.task_id, mark.time, mark.note) if mark else ()))
    return f"{crc32(repr(parts).encode()):08x}"


def went_back(box: Box, state: StepState) -> bool:
    """Return True when the line of a step that passed is as it was before a mark of do-tasks.

    Git checkout, stash and switch do that. A line with the mark of a start or a failure is such a line: a person who
    opens a box leaves its tick, or deletes the suffix.
    """
    if box.state == "x" or state.verdict != "passed" or not state.ticked:
        return False
    return (box.mark is not None and box.mark.kind in ("started", "failed")) or line_fingerprint(box) in state.lines


def moves(boxes: Mapping[StepId, Box], states: Mapping[StepId, StepState]) -> dict[StepId, StepId]:
    """Return the old number of each renumbered step: its line has a task of another number.

    A copied line is not renumbered: the line of the old number still has a task of that step.
    """
    strange = {number: box for number, box in boxes.items() if _bears_strange(box, states.get(number, NEW))}
    if not strange:
        return {}
    known = {task_id: number for number, state in states.items() for task_id in _tasks(state)}
    found: dict[StepId, StepId] = {}
    for number, box in strange.items():
        old = known.get(box.mark.task_id if box.mark else "")
        if old is not None and old not in found.values() and not _keeps_its_task(boxes.get(old), old, known):
            found[number] = old
    return found


def _bears_strange(box: Box, state: StepState) -> bool:
    task_id = box.mark.task_id if box.mark else ""
    if not task_id or task_id in (state.task_id, state.passed_task):
        return False
    return task_id not in _tasks(state)


def _tasks(state: StepState) -> tuple[str, ...]:
    older = (one.partition(" ")[0] for one in state.older)
    return tuple(filter(None, (state.task_id, state.passed_task, state.rechecked, *older)))


def _keeps_its_task(box: Box | None, number: StepId, known: Mapping[str, StepId]) -> bool:
    return box is not None and box.mark is not None and known.get(box.mark.task_id) == number

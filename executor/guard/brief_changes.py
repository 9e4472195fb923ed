"""Changes of the judges since the brief of a step, found before anything runs."""

from __future__ import annotations

import os
import re

from executor.checks import evidence
from executor.errors import PersonNeededError
from executor.guard import brief_snapshot, protect
from executor.guard.agent_baseline import globs_of, startup_of
from executor.guard.file_state import ADDED, CHANGED, LOST, MODE, REMOVED, REPLACED
from executor.plan.parts import changed_parts, parts_of
from executor.store import log_reader, log_witness, project
from executor.store.events import BriefGiven, JudgesChanged, WarningRaised
from executor.store.project import DEFINITIONS, SPEC_NAME
from executor.system import files
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import LOG_NAME
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.guard.brief_snapshot import BriefState, StoredBrief
    from executor.guard.file_state import Change
    from executor.plan.plan import Plan
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.store.step_state import StepState
    from executor.store.task import Task

    Briefs = Mapping[StepId, StoredBrief]
    BoxFields = tuple[str, ...]

STEP = re.compile(r"(?:: |of )step (\S+?)(?=[:.,;]?(?:\s|$))")
NO_BOX: BoxFields = ()
DIGEST_DIGITS = 16  # of the digest of a part, hex
MOST_LISTED, MOST_NAMED = 20, 3
UNLOGGED = f"a brief was given here whose line is not in the log ({LOG_NAME} was changed)"
PUT_BACK = (
    "Restore it (git diff shows the changes, git checkout -- FILE restores a committed file)"
    " and give the same command again;"
)
CHANGE_WORDS = {
    ADDED: "is new",
    CHANGED: "changed",
    MODE: "has another mode",
    REMOVED: "is gone",
    REPLACED: "was replaced",
}
# The state of a box that an event explains; for SpecMarked its status does.
EVENT_STATES = {
    "StepPassed": "x",
    "SpecTicked": "x",
    "StepMarkedDone": "x",
    "StepFailed": " ",
    "StepInterrupted": " ",
    "StepReopened": " ",
    "SpecLineAppended": " ",
    "JobStarted": "~",
    "SupervisorStarted": "~",
}
STATUS_STATES = {"started": "~", "passed": "x"}


class BriefChanges(Record):
    """The changes since the brief of a step in words; `unknown` is the reason why they cannot be found."""

    step: StepId
    task_id: str
    changes: tuple[str, ...] = ()
    unknown: str = ""


def distrust_caches(root: str) -> None:
    """Delete the caches when an agent with a brief may have written them."""
    if brief_snapshot.is_kept(root):
        project.drop_caches(root)


def briefed_steps(states: Mapping[StepId, StepState]) -> dict[StepId, StepState]:
    """Return the steps with a brief that have not passed since."""
    return {number: state for number, state in states.items() if state.judges}


def ensure_snapshot(context: RunContext, task: Task) -> str:
    """Write the state of the judges, unless an earlier brief did; return the reference for the log."""
    known = next((state.judges for state in briefed_steps(context.states).values()), "")
    return known or renew_snapshot(context, task)


def renew_snapshot(context: RunContext, task: Task) -> str:
    """Write the state of the judges in place of an earlier one; return the reference for the log.

    The files that the step of this task is to make are left out.
    """
    definitions = context.relative(context.project.definitions)
    before = [brief_snapshot.ident_of(state.judges) for state in briefed_steps(context.states).values()]
    brief_snapshot.forget(context.root, *before)
    what = brief_snapshot.BriefState(definitions, _parts(context.plan), _boxes(context))
    reference, trouble = brief_snapshot.write(context.root, what, globs_of(context), startup_of(context, task))
    if trouble:
        context.journal.write(
            WarningRaised(message=f"what judges the step is remembered in .do-tasks alone: {trouble}")
        )
    return reference


def refuse_changed(context: RunContext) -> None:
    """Raise PersonNeededError when a judge changed since the brief of a step, or when that is unknown."""
    found = find_changes(context)
    if found is None:
        return
    _log_once(context, found)
    raise PersonNeededError(message(found))


def changed_meanwhile(context: RunContext) -> str:
    """Return in one line that judges changed while a brief is open, empty for none; the plan is not compared."""
    found = _compared(context, None)
    if found is None:
        return ""
    what = escaped_line(", ".join(found.changes[:MOST_NAMED])) or found.unknown
    then = f"put it back, or do-tasks accept {found.step}; then: do-tasks --continue (MAIN is not repeated)"
    return f"what judges changed while the brief of step {found.step} is out ({what}): {then}"


def find_changes(context: RunContext) -> BriefChanges | None:
    """Return the changes since the first open brief, None without changes or briefs."""
    return _compared(context, _parts(context.plan))


def _compared(context: RunContext, parts: Mapping[str, str] | None) -> BriefChanges | None:
    """Return the changes; those of the plan when its parts are given."""
    out = briefed_steps(context.states)
    kept = {number: brief_snapshot.read(context.root, state.judges) for number, state in out.items()}
    lost = next((number for number, one in kept.items() if one.what is None), 0)
    first = lost or next(iter(out), next(iter(context.plan.numbers), 0))
    task_id = out[first].task_id if first in out else ""
    if lost:
        return BriefChanges(first, task_id, unknown=kept[lost].why)
    if _unlogged(context, {brief_snapshot.ident_of(state.judges) for state in out.values()}):
        return BriefChanges(first, task_id, unknown=UNLOGGED)
    changes = (*_of_log(context), *_of_evidence(context, out), *_of_judges(context, kept, parts))
    return BriefChanges(first, task_id, tuple(dict.fromkeys(changes))) if changes else None


def _of_log(context: RunContext) -> Iterator[str]:
    """Yield the changes of the log, also when its line of the brief is gone."""
    for ident in brief_snapshot.idents(context.root):
        yield from (f"{LOG_NAME}: {one}" for one in brief_snapshot.log_changes(context.root, ident))


def _of_judges(context: RunContext, kept: Briefs, parts: Mapping[str, str] | None) -> Iterator[str]:
    for one in {one.reference: one for one in kept.values()}.values():
        if one.what:
            names = changed_parts(one.what.parts, parts, briefed=set(kept)) if parts is not None else []
            yield from _of_plan(context, one.what, names)
            yield from _of_files(context, one.folder, by_meaning=(SPEC_NAME, *DEFINITIONS))
            yield from _of_boxes(context, one.what)


def _of_evidence(context: RunContext, out: Mapping[StepId, StepState]) -> Iterator[str]:
    """Yield the records of evidence before MAIN that changed since the brief."""
    for state in (one for one in out.values() if one.verdict == "waiting"):
        lines = log_reader.task_lines(context.root, state.task_id)
        before = next((str(line.get("before") or "") for line in lines if line.get("event") == BriefGiven.__name__), "")
        path = evidence.record(context.root, state.task_id, state.digest)
        if before != digest_of_file(path):
            yield f"{context.relative(path)}: changed; it says what lay there before MAIN"


def digest_of_file(path: str) -> str:
    """Return a short digest of a record, `?` when it cannot be read, empty when it is missing."""
    try:
        data = files.read(path)
    except OSError:
        return "?"
    return files.digest(data)[:DIGEST_DIGITS] if data else ""


def steps_in(found: BriefChanges, plan: Plan) -> set[StepId]:
    """Return the steps of the plan that the changes name."""
    names = {name for one in found.changes for name in STEP.findall(one)}
    return {number for number in plan.numbers if str(number) in names}


def _unlogged(context: RunContext, named: set[str]) -> list[str]:
    """Return the idents of briefs that the log does not have."""
    unnamed = [one for one in brief_snapshot.idents(context.root) if one not in named]
    return [one for one in unnamed if not _is_in_log(context.root, one) and brief_snapshot.was_given(context.root, one)]


def forget_settled(context: RunContext) -> None:
    """Delete the states when no step needs them: each passed, or a person accepted its changes."""
    if not briefed_steps(context.states) and brief_snapshot.is_kept(context.root) and find_changes(context) is None:
        brief_snapshot.forget(context.root)


def message(found: BriefChanges) -> str:
    """Return the message for a person: each change on a line, then the next commands."""
    accept = f"in a terminal of their own a person accepts it: do-tasks accept {found.step}"
    if found.unknown:
        return (
            f"the judges of step {found.step} cannot be compared with those at its brief: {found.unknown}."
            f" Nothing was run.\nLook at SPEC.md, the definitions and the tests (git diff); {accept}"
        )
    more = len(found.changes) - MOST_LISTED
    lines = [*found.changes[:MOST_LISTED], *([f"and {more} more"] if more > 0 else [])]
    return "\n".join(
        (
            f"what judges step {found.step} changed since its brief ({found.task_id}), so nothing was run:",
            *(f"  {escaped_line(line)}" for line in lines),
            PUT_BACK,
            f"or {accept}",
        )
    )


def _log_once(context: RunContext, found: BriefChanges) -> None:
    """Log the changes, once for the same ones."""
    changes = found.changes or (found.unknown,)
    lines = log_reader.task_lines(context.root, found.task_id) if found.task_id else []
    last = next((line.get("changes") for line in reversed(lines) if line.get("event") == JudgesChanged.__name__), None)
    if last != [context.masker.mask(one) for one in changes]:
        context.journal.write(JudgesChanged(changes=changes), task_id=found.task_id, step=found.step)


def _of_plan(context: RunContext, was: BriefState, names: list[str]) -> Iterator[str]:
    definitions = context.relative(context.project.definitions)
    if was.definitions != definitions:
        yield f"{definitions}: the plan is read from here now, it was {was.definitions}"
    yield from (f"{definitions}: {name}" for name in names)


def _of_files(context: RunContext, folder: str, *, by_meaning: tuple[str, ...]) -> Iterator[str]:
    """Yield the changes of protected files; the texts of SPEC.md and definitions are compared elsewhere."""
    spec = os.path.realpath(context.source.path)
    texts = (*by_meaning, spec, os.path.relpath(spec, os.path.realpath(context.root)))
    for one in protect.changes(context.root, folder):
        is_compared = one.path in texts and one.kind in (CHANGED, MODE)
        if not (is_compared or one.path.startswith(LOG_NAME)):
            yield _in_words(one)


def _in_words(one: Change) -> str:
    return f"{one.path}: {one.why}" if one.kind == LOST else f"{one.path}: {CHANGE_WORDS.get(one.kind, one.kind)}"


def _of_boxes(context: RunContext, was: BriefState) -> Iterator[str]:
    """Yield the boxes that changed without a line of the log that explains it."""
    now = _boxes(context)
    numbers = [number for number in {**was.boxes, **now} if was.boxes.get(number) != now.get(number)]
    explained = _explained(context.root, was.log_bytes, context.journal.plan) if numbers else {}
    for number in numbers:
        shown = now.get(number, NO_BOX)
        if not (shown and (shown[0], shown[2]) in explained.get(number, set())):
            box = f"{context.source.name}: box of step {number}: {_box_in_words(shown)}"
            yield f"{box}, was {_box_in_words(was.boxes.get(number))}"


def _box_in_words(shown: BoxFields | None) -> str:
    if not shown:
        return "no line"
    state, kind, task_id, *_ = shown
    return f"[{state}]" + (f" {kind.replace('_', ' ')}" if kind else "") + (f" {task_id}" if task_id else "")


def _explained(root: str, log_bytes: int, plan: str) -> dict[StepId, set[tuple[str, str]]]:
    """Return the states of boxes, with the task, that the log after these bytes explains, by step."""
    found: dict[StepId, set[tuple[str, str]]] = {}
    for line in filter(None, map(log_reader.parse, log_witness.lines_behind(root, log_bytes))):
        event, step = line.get("event"), line.get("step")
        state = (
            STATUS_STATES.get(str(line.get("status")), " ") if event == "SpecMarked" else EVENT_STATES.get(str(event))
        )
        if state is not None and isinstance(step, (int, str)) and str(line.get("plan") or "") == plan:
            found.setdefault(step, set()).add((state, str(line.get("task_id") or "")))
    return found


def _is_in_log(root: str, ident: str) -> bool:
    return any(ident.encode() in line for line in log_witness.lines_behind(root, 0))


def _parts(plan: Plan) -> dict[str, str]:
    return {
        name: files.digest(text.encode("utf-8", "replace"))[:DIGEST_DIGITS] for name, text in parts_of(plan).items()
    }


def _boxes(context: RunContext) -> dict[StepId, BoxFields]:
    return {number: _box_fields(box) for number, box in context.boxes().items()}


def _box_fields(box: Box) -> BoxFields:
    mark = box.mark
    return (box.state, *((mark.kind, mark.task_id, mark.time, mark.note) if mark else ("", "", "", "")))

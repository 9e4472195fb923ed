"""`accept`: a person at a terminal accepts changed judges of a step that has a brief."""

from __future__ import annotations

import os
import sys

from executor.cli import preconditions, session
from executor.cli.options import option
from executor.errors import UsageError
from executor.guard import brief_changes, brief_snapshot, person, protect, snapshot
from executor.guard.file_state import state_of
from executor.plan.selection import ranges
from executor.plan.spec.spec_md import clean
from executor.store import project
from executor.store.events import JudgesAccepted
from executor.store.task import Decision, Task
from executor.system import files
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control, escaped_line

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from executor.cli.output.screen import Screen
    from executor.guard.brief_changes import BriefChanges
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.store.project_view import ProjectView

MOST_LINES = 60  # of a changed file that are shown
MOST_BYTES = 1 << 18

OPTIONS = (
    option("step", help="number of a step that has, or had, a brief"),
    option("--by", default="", metavar="NAME", help="your name, for SPEC.md and the log"),
    option("--reason", default="", metavar="TEXT", help="the reason, for the log"),
)


def run(args: Namespace) -> Verdict:
    """Print the changes, ask for the number of the step, and take a new snapshot of the judges."""
    here = project.find_for(args.plan, args.project)
    with session.locked(here, "accept") as screen:
        view = session.view(here)
        view.follow_numbers(view.boxes())
        number = _number(view, args.step)
        preconditions.refuse_briefed_process(here.root, view.states, f"accept {number}")
        with session.opened(view, screen) as context:
            return _asked(context, number, args, screen)


def _number(view: ProjectView, word: str) -> StepId:
    """Return the requested step; UsageError for a step without a snapshot of its judges."""
    known = brief_changes.briefed_steps(view.states)
    number: StepId = int(word) if word.isascii() and word.isdigit() and len(word) < 10 else -1
    number = word if view.plan.tasks is not None else number
    if number in known or (not known and view.plan.defines(number) and brief_snapshot.is_kept(view.root)):
        return number
    there = f"step {ranges([*known])}" if known else "no step"
    asked = f"step {clean_control(word)}"
    raise UsageError(f"{asked} has no brief with a snapshot of its judges; {there} has; see: do-tasks list")


def _asked(context: RunContext, number: StepId, args: Namespace, screen: Screen) -> Verdict:
    found = brief_changes.find_changes(context)
    if found is None:
        screen.print(f"Nothing that judges step {number} has changed since its brief; there is nothing to accept.")
        return Verdict.PASSED
    screen.print(*_shown(context, found))
    screen.close()
    if not preconditions.confirm(number, "Accept these judges from now on?"):
        print("Nothing was accepted.", file=sys.stderr)
        return Verdict.WAITING
    if brief_changes.find_changes(context) != found:
        raise UsageError(f"the judges changed again, so nothing was accepted; try again: do-tasks accept {number}")
    _accept(context, number, found, args)
    return Verdict.PASSED


def _shown(context: RunContext, found: BriefChanges) -> Iterator[str]:
    if found.unknown:
        yield f"What changed since the brief of step {found.step} is unknown: {found.unknown}."
        yield "If you accept, the files judge as they are now. Look at them first: git diff"
        return
    yield f"Changed since the brief of step {found.step} ({found.task_id}):"
    yield from (f"  {escaped_line(one)}" for one in found.changes)
    yield from map(clean_control, _differences(context, found))
    yield ""


def _differences(context: RunContext, found: BriefChanges) -> Iterator[str]:
    """Yield the diff of each changed file of which the snapshot has the content."""
    folder = brief_snapshot.read(context.root, context.state(found.step).judges).folder
    kept = snapshot.read(folder)
    names = {one.path for one in protect.changes(context.root, folder)} if kept else set()
    for name in sorted(names & set(kept.files if kept else ())):
        before = snapshot.content(folder, kept.files[name]) if kept else None
        now = _text_of(os.path.join(context.root, name))
        if before is not None and len(before) + len(now) <= MOST_BYTES:
            yield from _diff(name, before, now)


def _diff(name: str, before: bytes, now: bytes) -> Iterator[str]:
    from difflib import unified_diff

    was, is_now = (data.decode("utf-8", "replace").splitlines() for data in (before, now))
    lines = [*unified_diff(was, is_now, f"{name} at the brief", f"{name} now", lineterm="", n=1)]
    yield from ("", *lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        yield f"[{len(lines) - MOST_LINES} more lines; see: git diff {name}]"


def _text_of(path: str) -> bytes:
    try:
        return files.read(path)
    except OSError:
        return b""


def _accept(context: RunContext, number: StepId, found: BriefChanges, args: Namespace) -> None:
    """Log the acceptance for each step that it concerns; take a new snapshot while a brief is open."""
    by = clean(args.by or person.user_name())
    briefed = brief_changes.briefed_steps(context.states)
    waiting = [one for one, state in briefed.items() if state.verdict == "waiting"]
    digests = _digests(context, found)
    before = {brief_snapshot.ident_of(state.judges): state.judges for state in briefed.values()}
    givers = [giver for one in before.values() for giver in brief_snapshot.recipients_of(one)]
    reference = brief_changes.renew_snapshot(context, _task(context, waiting[0])) if waiting else ""
    for step in sorted({number, *briefed, *brief_changes.steps_in(found, context.plan)}, key=context.plan.place):
        fact = JudgesAccepted(by=by, reason=args.reason, changes=found.changes or (found.unknown,), digests=digests)
        task_id = context.state(step).task_id if context.state(step).judges else ""
        context.journal.write(fact.replace(judges=reference if step in waiting else ""), task_id=task_id, step=step)
    context.journal.sync()
    if reference:
        brief_snapshot.add_recipients(reference, givers)
    else:
        brief_snapshot.forget(context.root, *before)
    _print_next(context, waiting, by)


def _task(context: RunContext, step: StepId) -> Task:
    state = context.state(step)
    return Task(context.step(step), state.task_id, state.digest, Decision("wait", "its brief is out"), runner="host")


def _digests(context: RunContext, found: BriefChanges) -> dict[str, str]:
    """Return the present digest of each changed file that still exists."""
    names = {one.partition(": ")[0] for one in found.changes}
    there = [name for name in sorted(names) if state_of(os.path.join(context.root, name))]
    return {name: snapshot.digest_of(os.path.realpath(os.path.join(context.root, name))) for name in there}


def _print_next(context: RunContext, waiting: list[StepId], by: str) -> None:
    print(f"Accepted by {by}; the log has it, and the tick will name it.")
    for step in waiting:
        print(f"When the work of step {step} is done: do-tasks resume {context.state(step).task_id}")

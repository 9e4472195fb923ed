"""`mark-done` and `reopen`: a person ticks or opens a box; the log has the name and the reason."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time

from executor.cli import preconditions
from executor.cli.options import option
from executor.errors import UsageError
from executor.guard import brief_gate
from executor.plan.selection import ranges, select
from executor.plan.spec.marks import Mark, clean
from executor.plan.step_ids import in_plan
from executor.store import log_reader, project, runs
from executor.store.events import StepMarkedDone, StepReopened
from executor.store.log_writer import LogWriter
from executor.store.plan_source import source_of
from executor.store.step_state import NEW
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from argparse import Namespace

    from executor.plan.plan import Plan
    from executor.plan.step_ids import StepId
    from executor.store.plan_source import PlanSource

VERBS = {"mark-done": "Tick", "reopen": "Open"}

OPTIONS = (
    option("step", help="number or name"),
    option("--by", default="", metavar="NAME", help="your name; needed where no terminal proves a person"),
    option("--reason", default="", metavar="TEXT", help="the reason, for SPEC.md and the log"),
)


def run(args: Namespace) -> Verdict:
    """Tick or open one box and log the person and the reason."""
    here = project.find_for(args.plan, args.project)
    plan, _ = project.load(here)
    source = source_of(here.root, plan)
    data = source.read()
    boxes = source.boxes(data)
    number = _number(args.step, plan, {n: box.title for n, box in boxes.items()})
    source.find(data, number)
    at_terminal = _check_person(here.root, args, number)
    preconditions.refuse_while_agent_works(here.root, args.command)
    done = args.command == "mark-done"
    if done and boxes[number].state == "x":
        print(f"Step {number} is already done.")
        return Verdict.PASSED
    _refuse_while_it_runs(here.root, number, args.command, source.plan)
    return _mark(here, source, args, number, done=done, at_terminal=at_terminal)


def _check_person(root: str, args: Namespace, number: StepId) -> bool:
    """Raise UsageError unless a person asks; return True when a step has a brief and a person is at a terminal."""
    brief_gate.distrust_caches(root)
    states = log_reader.recall(root).states
    out = preconditions.waiting(states)
    if not out:
        _refuse_without_person(args)
        return any(state.judges for state in states.values()) and preconditions.is_person(root, states)
    preconditions.refuse_briefed_process(root, states, f"{args.command} {args.step}")
    if not preconditions.confirm(
        number, f"The brief of step {ranges(out)} is open. {VERBS[args.command]} step {number} by hand?"
    ):
        raise UsageError(f"{number} was not typed back, so nothing is changed")
    return True


def _number(text: str, plan: Plan, titles: dict[StepId, str]) -> StepId:
    if plan.tasks is None and re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    if plan.tasks is not None and text in plan.tasks.tasks:
        return text
    chosen = select(text, plan, titles)
    if len(chosen.numbers) != 1:
        raise UsageError(f"{text!r} selects {len(chosen.numbers)} steps; name one")
    return chosen.numbers[0]


def _refuse_while_it_runs(root: str, number: StepId, command: str, plan: str) -> None:
    """Raise UsageError for a step whose job lives.

    After an opened box the next run would end the training and start again; a tick by hand would be replaced.
    """
    task_id = log_reader.recall(root).states.get(in_plan(number, plan), NEW).task_id
    if runs.is_job(root, task_id) and runs.newest_status(root, task_id).status == "alive":
        raise UsageError(
            f"step {number} is running as {task_id}; end it first: do-tasks stop {task_id},"
            f" then: do-tasks {command} {number}"
        )


def _refuse_without_person(args: Namespace) -> None:
    """Raise UsageError inside a task, and without a name and reason in an agent's session or a pipe."""
    inside = [name for name in ("DO_TASKS_TASK_ID", "CLAUDECODE") if os.environ.get(name)]
    vouched = bool(args.by and args.reason)
    if os.environ.get("DO_TASKS_TASK_ID"):
        raise UsageError(f"{args.command} is refused inside a task; evidence ticks the box, or a person outside of it")
    if (inside or not sys.stdin.isatty()) and not vouched:
        where = f"with {inside[0]} set" if inside else "without a terminal"
        raise UsageError(
            f"{args.command} is refused {where}; a person may type:"
            f" do-tasks {args.command} {shlex.quote(args.step)} --by NAME --reason TEXT"
        )


def _mark(
    here: project.Project, source: PlanSource, args: Namespace, number: StepId, *, done: bool, at_terminal: bool
) -> Verdict:
    by = args.by or os.environ.get("USER", "a person")
    note = clean(f"{by}: {args.reason}" if args.reason else by)
    journal = LogWriter(here.path(LOG_NAME), plan=source.plan)
    kind = StepMarkedDone if done else StepReopened
    journal.write(kind(by=by, reason=args.reason, terminal=at_terminal), step=number)
    journal.sync()
    mark = Mark(kind="by_hand", time=time.strftime("%Y-%m-%d %H:%M"), note=note) if done else None
    source.mark(here.state("spec.lock"), number=number, state="x" if done else " ", mark=mark)
    journal.close()
    print(f"Step {number} is {'ticked by hand' if done else 'open again'} (by {by}); the log has it.")
    return Verdict.PASSED

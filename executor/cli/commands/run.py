"""`--step`, `--continue`, `--all`, `--dry-run`: run steps in order, and print a summary."""

from __future__ import annotations

import gc
import math
import os
import sys

from executor.cli.options import FROM_TEXT, JSON_BESIDE, PLAN, STRICT, VALUES, VERBOSE, flag, option
from executor.cli.preconditions import refuse_unrecorded_runs
from executor.cli.requested_steps import requested
from executor.errors import BusyError, UsageError
from executor.guard import autostart_files, brief_gate
from executor.plan.selection import ranges
from executor.store import project, runs
from executor.system.outcome import Verdict
from executor.system.quantities import duration_argument
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from executor.cli.output.screen import Screen
    from executor.engine.step import RunReport
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext

MOST_JOBS = 64


def _jobs(text: str) -> int:
    from argparse import ArgumentTypeError

    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_JOBS):
        raise ArgumentTypeError(f"must be a number of steps from 1 to {MOST_JOBS}, got {text[:40]!r}")
    return int(text)


OPTIONS = (
    PLAN,
    option("--step", metavar="WHICH", help="1 | 1-5 | 1,3,7-9 | name", group="which"),
    flag("--continue", "continue where the last run stopped", dest="resume", group="which"),
    flag("--all", "every open step", group="which"),
    flag("--dry-run", "print what would run and why; run nothing"),
    flag("--keep-going", "continue with later steps after a failure"),
    option(
        "--jobs",
        type=_jobs,
        default=1,
        metavar="N",
        help="run up to N independent steps at a time, as depends_on says (default 1)",
    ),
    flag("--rerun", "run ticked steps again"),
    flag("--force", "ignore open dependencies"),
    STRICT,
    option(
        "--wait",
        type=duration_argument,
        metavar="TIME",
        help="how long to wait for a background job that a step depends on"
        " (default: none with --step; until it ends or stalls with --continue and --all)",
        group="wait",
    ),
    flag("--no-wait", "wait for no background job; exit 3 instead", group="wait"),
    option(
        "--runner",
        metavar="NAME",
        default="",
        help="runner of MAIN: command, agent, claude-code, or host (the agent that called do-tasks)",
    ),
    *VALUES,
    FROM_TEXT,
    flag("--append", "add a missing line to SPEC.md for each defined step"),
    JSON_BESIDE,
    VERBOSE,
)


def run(args: Namespace) -> Verdict:
    """Run the requested steps."""
    here = project.find_to_run(args.plan, args.project, agent_from_text=args.agent_from_text)
    if not (args.step or args.resume or args.all or args.dry_run):
        raise UsageError("name the steps to run: --step 1, --continue or --all; see: do-tasks --help")
    project.refuse_undefined(here)
    if args.dry_run:
        from executor.cli.dry_run import dry_run

        return dry_run(here, args)
    from executor.cli import next_command, param_values, session
    from executor.store.context import Invocation

    rows = param_values.read_rows(args)
    with session.locked(here, as_json=args.json) as screen:
        view = session.view(here, strict=args.strict, asked_runner=args.runner)
        refuse_unrecorded_runs(here.root, view.recalled)
        param_values.give(view, args, rows, screen)
        called = Invocation(next_command.words_of(args), args.project)
        more: dict[str, Any] = {}
        if args.jobs > 1:
            from executor.cli.output.side_by_side import MarkedTranscript

            more["transcript"] = MarkedTranscript
        with session.opened(view, screen, verbose=args.verbose, invocation=called, **more) as context:
            return _run_steps(context, args, screen)


def _run_steps(context: RunContext, args: Namespace, screen: Screen) -> Verdict:
    from executor.cli import next_command
    from executor.cli.output.summary import newest_reports, print_report, print_reports
    from executor.engine.sequence import run_many
    from executor.engine.step import RunOptions

    gc.freeze()
    gc.enable()
    numbers, notes = _prepare(context, args)
    context.given = context.given.replace(anew=frozenset(numbers) if args.rerun else frozenset())
    how = RunOptions(
        rerun=args.rerun,
        force=args.force,
        reopen_stale=not args.step,
        keep_going=args.keep_going,
        wait_s=_wait_s(args),
        jobs=args.jobs,
    )
    if args.jobs > 1:
        from executor.cli.output.side_by_side import print_result as print_report
    reports: list[RunReport] = []
    for report in run_many(context, numbers, how):
        reports.append(report)
        print_report(context, report, screen)
    reports = newest_reports(reports)
    if args.jobs > 1:
        reports.sort(key=lambda report: numbers.index(report.number))
    brief_out = next_command.brief_out(context, reports)
    if args.json:
        print_reports(context, reports, notes, move=next_command.of_run(context, args, reports, brief_out))
    return _close(context, reports, notes, args, screen)


def _prepare(context: RunContext, args: Namespace) -> tuple[list[StepId], list[str]]:
    """Return the steps to run and notes on those that cannot run, after SPEC.md and the judges were checked."""
    from executor.engine.noticed import note_spec

    alone = _step_of_lone_agent(context)
    if not alone:
        autostart_files.clear_placeholders(context.root)
    context.source.refuse_read_only()
    brief_gate.refuse_changed(context)
    note_spec(context, context.boxes())
    boxes = _with_appended(context, args)
    context.interrupts.listen()  # Ctrl-C during the questions above ends do-tasks; from here on it ends children first
    numbers, notes = requested(context, boxes, args)
    return _put_first(context, alone, numbers) if alone else numbers, notes


def _step_of_lone_agent(context: RunContext) -> StepId:
    """Settle agents that lost their executor before a box is read; return the step of a living one, else 0."""
    begun = [state.task_id for state in context.states.values() if not state.verdict and state.task_id]
    pending = os.path.exists(context.project.state("guarding"))
    gone = any(not os.path.isdir(context.project.path(runs.JOBS, task_id)) for task_id in begun)
    if not (pending or gone or any(runs.has_snapshot(context.root, task_id) for task_id in begun)):
        return 0
    from executor.engine.agent_recovery import settle_orphaned_agents

    return settle_orphaned_agents(context)


def _put_first(context: RunContext, alone: StepId, numbers: list[StepId]) -> list[StepId]:
    """Return the steps, first that of an agent without executor: no other step may run beside it."""
    if alone in numbers:
        return [alone, *(number for number in numbers if number != alone)]
    task_id = context.states[alone].task_id
    raise BusyError(
        f"the agent of step {alone} works without an executor; resume it first: do-tasks --continue,"
        f" or end it: do-tasks stop {task_id}"
    )


def _wait_s(args: Namespace) -> float:
    """Return the seconds to wait for a job that a step depends on: 0 with --step, without limit otherwise."""
    if args.wait is not None:
        return float(args.wait)
    return 0.0 if args.no_wait or args.step else math.inf


def _close(context: RunContext, reports: list[RunReport], notes: list[str], args: Namespace, screen: Screen) -> Verdict:
    from executor.cli import next_command
    from executor.cli.output.summary import print_summary, still_running, worst_of

    if args.keep_going or args.all or args.jobs > 1:
        print_summary(reports, screen)
    worst = worst_of(reports)
    if args.step and all(report.done and report.outcome.passed for report in reports):
        screen.print(f"To run it again: do-tasks --step {clean_control(args.step)} --rerun")
    if worst == Verdict.INTERRUPTED:
        repeated = args.step and not args.rerun
        words = context.invocation.selection if repeated else ("--continue", *next_command.jobs_words(args))
        again = clean_control(next_command.command(words, args.project))
        stopped = ranges([report.number for report in reports if report.outcome.verdict == worst])
        screen.print(f"Interrupted in step {stopped}. To continue: {again}")
    running = [] if args.step else still_running(context, reports)
    if running:
        screen.print(f"Still running: step {ranges(running)}. To watch it: do-tasks --monitor")
    if worst != Verdict.INTERRUPTED and (worst == Verdict.PASSED or args.keep_going or args.step):
        for note in notes:
            screen.print(note)
    return worst


def _with_appended(context: RunContext, args: Namespace) -> dict[StepId, Box]:
    """Return the boxes, after missing lines were added with --append or on a yes at the terminal."""
    from executor.store import spec_file
    from executor.store.events import SpecLineAppended

    boxes = context.boxes()
    missing = [number for number in context.plan.numbers if number not in boxes]
    if context.plan.tasks is not None or not missing or not (args.append or _confirms(missing)):
        return boxes
    for number in missing:
        title = context.plan.title(number)
        box = spec_file.append(context.project.spec, context.project.state("spec.lock"), number=number, title=title)
        context.journal.write(SpecLineAppended(text=box.title), step=number)
    return context.boxes()


def _confirms(missing: list[StepId]) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    print(f"SPEC.md has no line for step {ranges(missing)}. Add it? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")

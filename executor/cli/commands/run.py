"""`--step`, `--continue`, `--all`, `--dry-run`: what runs, in which order, and the summary."""

from __future__ import annotations

import gc
import math
import os
import sys

from executor.cli.step_arguments import asked, ranges
from executor.errors import BusyError, UsageError
from executor.guard import autostart_files, brief_gate
from executor.store import caches, log_reader, project, runs
from executor.store.events import VERSION
from executor.store.project_view import ProjectView
from executor.system.outcome import Verdict
from executor.system.quantities import time_argument
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control as safe

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from executor.cli.output.transcript import Screen
    from executor.engine.step import RunReport
    from executor.plan.spec.spec_md import Box
    from executor.store.context import Invocation, RunContext
    from executor.store.log_processors import Processor


def options(parser: ArgumentParser, verb: str) -> None:
    """Declare the words of a run."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--step", metavar="WHICH", help="1 | 1-5 | 1,3,7-9 | name")
    what.add_argument("--continue", dest="resume", action="store_true", help="go on where it stopped")
    what.add_argument("--all", action="store_true", help="every open step")
    parser.add_argument("--dry-run", action="store_true", help="say what would run and why; run nothing")
    parser.add_argument("--keep-going", action="store_true", help="go on with later steps after a failure")
    parser.add_argument("--rerun", action="store_true", help="run again what is ticked")
    parser.add_argument("--force", action="store_true", help="run in spite of an open dependency")
    parser.add_argument("--strict", action="store_true", help="want every criterion proven, none claimed")
    waiting = parser.add_mutually_exclusive_group()
    waiting.add_argument(
        "--wait",
        type=time_argument,
        metavar="TIME",
        help="how long to wait for a background job that holds a step (--continue, --all: until it ends or stalls)",
    )
    waiting.add_argument("--no-wait", action="store_true", help="wait for no background job: exit 3 instead")
    parser.add_argument(
        "--runner",
        metavar="NAME",
        default="",
        help="who does MAIN: command, agent, claude-code, or host (whoever calls)",
    )
    parser.add_argument("--append", action="store_true", help="give a defined step that SPEC.md lacks its line there")
    parser.add_argument("--json", action="store_true", help="JSON on stdout, what a person reads on stderr")
    verbose_option(parser)


def verbose_option(parser: ArgumentParser) -> None:
    """Declare -v."""
    parser.add_argument("-v", "--verbose", action="store_true", help="each act of the executor, on stderr")


def run(args: Namespace) -> Verdict:
    """Run what was asked for."""
    here = project.find(args.project)
    if not (args.step or args.resume or args.all or args.dry_run):
        raise UsageError("say what to run: --step 1, --continue or --all; see: do-tasks --help")
    if args.dry_run:
        from executor.cli.dry_run import dry_run

        return dry_run(here, args)
    return under_lock(here, lambda screen: _locked(here, args, screen), aside=args.json)


def under_lock(here: project.Project, work: Callable[[Screen], Verdict], *, aside: bool = False) -> Verdict:
    """Do what only one executor may do at a time, in the project's folder, with a screen to say it on.

    `aside`: standard output is for JSON, so that the screen is standard error.
    """
    from executor.cli.output.transcript import Screen
    from executor.system import locks

    os.chdir(here.root)
    lock = locks.take(here.state("run.lock"))
    caches.distrust(here.root)
    brief_gate.distrust_caches(here.root)
    screen = Screen(2 if aside else 1)
    try:
        return work(screen)
    finally:
        screen.close()
        lock.release()


def _locked(here: project.Project, args: Namespace, screen: Screen) -> Verdict:
    from executor.cli import next_command
    from executor.cli.unrecorded_runs import refuse_unknown_living
    from executor.store.context import Invocation

    plan, _ = project.load(here, for_run=True)
    recalled = log_reader.recall(here.root)
    refuse_unknown_living(here.root, recalled)
    view = ProjectView(here, plan, recalled, strict=args.strict, asked_runner=args.runner)
    called = Invocation(next_command.words_of(args), args.project)
    context = open_run(view, screen, verbose=args.verbose, invocation=called)
    try:
        return _go(context, args, screen)
    finally:
        brief_gate.settle(context)
        log_reader.save(here.root, log_reader.catch_up(here.root, context.recalled))
        context.journal.close()


def open_run(
    view: ProjectView, screen: Screen, *, verbose: bool = False, invocation: Invocation | None = None
) -> RunContext:
    """Return the context of a run, its journal open, what it logs shown on the screen.

    `verbose` also shows each act of the executor on standard error.
    """
    from executor.cli.output.transcript import Transcript
    from executor.store.context import open_context
    from executor.store.known_secrets import masker_of
    from executor.system import own_environment

    here = view.project
    processors = _processors(here, view)
    own_environment.withhold()
    own_environment.close()
    context = open_context(
        view,
        masker=masker_of(view.plan, here.root, os.environ),
        python=project.interpreter(here, view.plan.settings.python, dict(os.environ)),
        followers=(Transcript(screen),),
        processors=processors,
        invocation=invocation,
        screen=screen,
    )
    if verbose:
        _trace(context)
    if log_reader.last_version(here.root) > VERSION:
        screen.say("Note: a newer do-tasks wrote this log; what it says that this one does not know is passed over")
    if here.warning:
        screen.say(f"Note: {here.warning}")
    return context


def _processors(here: project.Project, desk: ProjectView) -> tuple[Processor, ...]:
    """Return the log processors of the plan; DefinitionError when one cannot be used."""
    paths = desk.plan.settings.log_processors
    if not paths:
        return ()
    from executor.store import log_processors

    return log_processors.load(here.root, paths, here.definitions)


def _trace(context: RunContext) -> None:
    """Show each act of the executor and each line of the log on standard error."""
    import atexit

    from executor.cli.output.verbose import Verbose

    verbose = Verbose(context.masker)
    atexit.register(verbose.close)
    context.trace = verbose
    context.journal.follow(verbose.follow)
    plan = context.plan
    context.trace("hold lock", file=context.relative(context.project.state("run.lock")), pid=os.getpid())
    context.trace("read plan", file=plan.file, steps=len(plan.numbers), python=context.python)


def _go(context: RunContext, args: Namespace, screen: Screen) -> Verdict:
    from executor.cli import next_command
    from executor.cli.output.summary import at_the_end, say_json, say_report
    from executor.engine.noticed import note_spec
    from executor.engine.sequence import run_many
    from executor.engine.step import RunOptions
    from executor.store import spec_file

    gc.freeze()
    gc.enable()
    alone = _agent_alone(context)
    if not alone:
        autostart_files.clear_placeholders(context.root)
    spec_file.refuse_read_only(context.project.spec)
    brief_gate.refuse_changed(context)
    note_spec(context, context.boxes())
    boxes = _with_appended(context, args)
    context.interrupts.listen()  # Ctrl-C during the questions above ends do-tasks; from here on it ends children first
    numbers, notes = asked(context, boxes, args)
    numbers = _first(context, alone, numbers)
    how = RunOptions(
        rerun=args.rerun, force=args.force, heed_stale=not args.step, keep_going=args.keep_going, wait_s=_wait_s(args)
    )
    reports: list[RunReport] = []
    for report in run_many(context, numbers, how):
        reports.append(report)
        say_report(context, report, screen)
    reports = at_the_end(reports)
    brief_out = next_command.brief_out(context, reports)
    if args.json:
        say_json(context, reports, notes, move=next_command.of_run(context, args, reports, brief_out))
    return _close(context, reports, notes, args, screen)


def _agent_alone(context: RunContext) -> int:
    """See to agents that lost their executor, before a box is read; return the step of one that works, else 0."""
    begun = [state.task_id for state in context.states.values() if not state.verdict and state.task_id]
    pending = os.path.exists(context.project.state("guarding"))
    gone = any(not os.path.isdir(context.project.path(runs.JOBS, task_id)) for task_id in begun)
    if not (pending or gone or any(runs.remembers(context.root, task_id) for task_id in begun)):
        return 0
    from executor.engine.agent_recovery import settle_left_agents

    return settle_left_agents(context)


def _first(context: RunContext, alone: int, numbers: list[int]) -> list[int]:
    """Return the steps to take with that of an agent without executor first: nothing else may run beside it."""
    if not alone or alone in numbers:
        return [alone, *(number for number in numbers if number != alone)] if alone else numbers
    task_id = context.states[alone].task_id
    raise BusyError(
        f"the agent of step {alone} works and nobody watches it; go on with it first: do-tasks --continue,"
        f" or end it: do-tasks stop {task_id}"
    )


def _wait_s(args: Namespace) -> float:
    """Return how long a step is waited for that a job holds: for ever when going on, not at all for a chosen one."""
    if args.wait is not None:
        return float(args.wait)
    return 0.0 if args.no_wait or args.step else math.inf


def _close(context: RunContext, reports: list[RunReport], notes: list[str], args: Namespace, screen: Screen) -> Verdict:
    from executor.cli import next_command
    from executor.cli.output.summary import say_summary, still_running, worst_of

    if args.keep_going or args.all:
        say_summary(reports, screen)
    worst = worst_of(reports)
    if args.step and all(report.done and report.outcome.passed for report in reports):
        screen.say(f"To run again what is done: do-tasks --step {safe(args.step)} --rerun")
    if worst == Verdict.INTERRUPTED:
        words = context.invocation.selection if args.step and not args.rerun else ("--continue",)
        again = safe(next_command.command(words, args.project))
        stopped = next(report.number for report in reports if report.outcome.verdict == worst)
        screen.say(f"Interrupted in step {stopped}; go on with: {again}")
    running = [] if args.step else still_running(context, reports)
    if running:
        screen.say(f"Still running: step {ranges(running)}. How it goes: do-tasks --monitor")
    if worst != Verdict.INTERRUPTED and (worst == Verdict.PASSED or args.keep_going or args.step):
        for note in notes:
            screen.say(note)
    return worst


def _with_appended(context: RunContext, args: Namespace) -> dict[int, Box]:
    """Return the boxes; steps that lack a line are given one when asked for, or when the person here says yes."""
    from executor.store import spec_file
    from executor.store.events import SpecLineAppended

    boxes = context.boxes()
    missing = [number for number in context.plan.numbers if number not in boxes]
    if not missing or not (args.append or _says_yes(missing)):
        return boxes
    for number in missing:
        title = context.plan.title(number)
        box = spec_file.append(context.project.spec, context.project.state("spec.lock"), number=number, title=title)
        context.journal.write(SpecLineAppended(text=box.title), step=number)
    return context.boxes()


def _says_yes(missing: list[int]) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    print(f"SPEC.md has no line for step {ranges(missing)}. Append? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")

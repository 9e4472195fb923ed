"""The next command of a selection of steps: a brief stores the selection, the plan has what is left of it."""

from __future__ import annotations

import shlex
from argparse import ArgumentError, ArgumentParser, Namespace

from executor.cli import options
from executor.cli.preconditions import BRIEF_EVENTS
from executor.cli.requested_steps import requested
from executor.engine.decide import decide
from executor.engine.step_facts import view_of
from executor.errors import DefinitionError, DoTasksError, SpecError
from executor.plan.selection import ranges
from executor.store import log_reader, runs
from executor.store.events import BriefRepeated
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.engine.step import RunReport
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.store.project_view import ProjectView

HERE = "."


class Move(Record):
    """The next command, empty when there is none, and a line of text for a person, empty when none is needed."""

    command: str = ""
    text: str = ""


def words_of(args: Namespace) -> tuple[str, ...]:
    """Return the options that repeat a selection, in a fixed order."""
    if args.step:
        which = (f"--step={args.step}",) if args.step.startswith("-") else ("--step", args.step)
    else:
        which = ("--all",) if args.all else ("--continue",)
    flags = ("rerun", "keep_going", "force", "strict", "agent_from_text")
    given = tuple(f"--{name.replace('_', '-')}" for name in flags if getattr(args, name))
    runner = ("--runner", args.runner) if args.runner else ()
    jobs = jobs_words(args) if args.jobs > 1 else ()
    values = (*(("--params", args.params) if args.params else ()), *(f"--set={one}" for one in args.set or ()))
    plan = ("--plan", args.plan) if args.plan else ()
    return (*which, *plan, *runner, *given, *jobs, *values, *_waiting_words(args))


def jobs_words(args: Namespace) -> tuple[str, ...]:
    """Return the option for steps side by side, none for one step at a time."""
    return ("--jobs", str(args.jobs)) if args.jobs > 1 else ()


def _waiting_words(args: Namespace) -> tuple[str, ...]:
    """Return the options of the wait for a job, none when the selection has the default."""
    if args.wait is None:
        return ("--no-wait",) if args.no_wait and not args.step else ()
    return ("--wait", f"{args.wait:.12g}") if args.wait or not args.step else ()


def read_words(words: str) -> Namespace | None:
    """Return the parsed options of a stored selection, None when this version does not know them."""
    from executor.cli.commands.run import OPTIONS

    parser = ArgumentParser(exit_on_error=False, add_help=False)
    options.add(parser, OPTIONS)
    try:
        args, unknown = parser.parse_known_args(shlex.split(words))
    except (ArgumentError, ValueError):
        return None
    return None if unknown or not (args.step or args.resume or args.all) else args


def remembered(root: str, task_id: str) -> Namespace | None:
    """Return the selection of the run that wrote the newest brief of a task; None when the log does not have it."""
    lines = log_reader.task_lines(root, task_id)
    asked = [str(line["asked"]) for line in lines if line.get("event") in BRIEF_EVENTS and line.get("asked")]
    return read_words(asked[-1]) if asked else None


def brief_out(context: RunContext, reports: list[RunReport]) -> str:
    """Return the first task of a run with an open brief, empty without one; store the selection for each of them."""
    waiting = [report for report in reports if report.outcome.verdict == Verdict.WAITING and report.task_id]
    out = [report for report in waiting if context.state(report.number).verdict == "waiting"]
    for report in out:
        before, new = remembered(context.root, report.task_id), _new_givers(context, report)
        if before is None or words_of(before) != context.invocation.selection or new:
            asked_now = BriefRepeated(asked=shlex.join(context.invocation.selection), givers=new)
            context.journal.write(asked_now, task_id=report.task_id, step=report.number)
    return out[0].task_id if out else ""


def _new_givers(context: RunContext, report: RunReport) -> tuple[str, ...]:
    """Return the processes that receive this brief now and did not before; store them."""
    from executor.guard import brief_snapshot, person  # few runs have an open brief

    known = {one for line in log_reader.task_lines(context.root, report.task_id) for one in line.get("givers") or ()}
    given = person.brief_recipients()
    new = given if any(person.names_process(one) and one not in known for one in given) else ()
    brief_snapshot.add_recipients(context.state(report.number).judges, new)
    return new


def remaining(
    view: ProjectView, args: Namespace, *, at: StepId = 0, passed: bool = True
) -> tuple[Namespace | None, list[str]]:
    """Return the next selection, None when nothing is left, and notes on steps that cannot run.

    `at` is the last step of a --rerun and `passed` its result, which ticks do not show.
    """
    try:
        boxes = view.boxes()
        view.follow_numbers(boxes)
        numbers, notes = requested(view, boxes, args)
    except DoTasksError:  # the command itself reports the error
        return args, []
    if args.rerun:
        return _after(args, _rest(view, numbers, at, passed=passed)), notes
    settled = all(_is_settled(view, number, boxes.get(number), args) for number in numbers)
    return None if settled else args, notes


def _rest(view: ProjectView, numbers: list[StepId], at: StepId, *, passed: bool) -> list[StepId]:
    """Return the steps behind `at`; with it when it did not pass, all of them for 0."""
    place = view.plan.place
    return [one for one in numbers if not at or place(one) > place(at) or (one == at and not passed)]


def _after(args: Namespace, numbers: list[StepId]) -> Namespace | None:
    """Return the selection of only these steps, None without any."""
    which = {"step": ranges(numbers).replace(" ", ""), "all": False}
    return Namespace(**{**vars(args), **which}) if numbers else None


def _is_settled(view: ProjectView, number: StepId, box: Box | None, args: Namespace) -> bool:
    """Return True for a step that would not run: it is done, or its job is running."""
    try:
        decision = decide(view_of(view, number, reopen_stale=not args.step, box=box))
    except (DefinitionError, SpecError):
        return False
    if decision.action == "attend":
        return runs.newest_status(view.root, decision.task_id).status == "alive"
    return decision.action in ("done", "skip")


def command(words: tuple[str, ...], folder: str = HERE) -> str:
    """Return a do-tasks command; `folder` is the --project of this call."""
    where = () if folder == HERE else ("--project", folder)
    return shlex.join(("do-tasks", *words, *where))


def resume_command(task_id: str, folder: str = HERE) -> str:
    """Return the command that hands in the work of a brief."""
    return command(("resume", task_id), folder)


def of_selection(
    view: ProjectView, args: Namespace, *, at: StepId = 0, passed: bool = True, folder: str = HERE
) -> Move:
    """Return the command that continues a selection, or a text when nothing is left of it."""
    more, notes = remaining(view, args, at=at, passed=passed)
    if more:
        return Move(command(words_of(more), folder))
    gaps = [note for note in notes if not note.startswith("Nothing is open")]
    return Move(text="\n".join([f"Nothing is left of {shlex.join(words_of(args))}.", *gaps]))


def of_run(context: RunContext, args: Namespace, reports: list[RunReport], waiting: str) -> str:
    """Return the command that follows a run, empty when there is none; `waiting` is a task with an open brief."""
    if waiting:
        return resume_command(waiting, args.project)
    if args.jobs > 1:  # steps that ran beside the first that did not pass may have passed behind it
        fine = (Verdict.PASSED, Verdict.STARTED, Verdict.SKIPPED)
        done = [report.outcome.verdict in fine for report in reports]
        reports = reports[: done.index(False) + 1] if False in done else reports
    last = reports[-1] if reports else None
    passed = last is None or last.outcome.verdict in (Verdict.PASSED, Verdict.STARTED)
    return of_selection(context, args, at=last.number if last else 0, passed=passed, folder=args.project).command


def of_resume(
    view: ProjectView, number: StepId, task_id: str, args: Namespace | None, folder: str, *, interrupted: bool
) -> Move:
    """Return the move after a resumed task; `args` is the selection that its brief stores."""
    verdict = view.state(number).verdict
    if verdict == "waiting":
        again = resume_command(task_id, folder)
        return Move(again, f"Its brief is still open. To check the work: {again}" if interrupted else "")
    if args is None:
        return Move()
    passed = verdict == "passed"
    view.follow_request(asked_runner=args.runner)
    move = of_selection(view, args, at=number, passed=passed, folder=folder)
    if not move.command:
        return move
    return move.replace(text=f"Next: {move.command}" if passed else f"After the fix: {move.command}")

"""The next command of what was asked for: a brief remembers the selection, the plan says what is left of it."""

from __future__ import annotations

import shlex
from argparse import ArgumentError, ArgumentParser, Namespace

from executor.cli import options
from executor.cli.requested_steps import requested
from executor.engine.step_view import decide
from executor.errors import DefinitionError, DoTasksError, SpecError
from executor.plan.selection import ranges
from executor.store import log_reader, runs
from executor.store.events import BriefRepeated
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.engine.step import RunReport
    from executor.plan.spec.spec_md import Box
    from executor.store.context import RunContext
    from executor.store.project_view import ProjectView

HERE = "."


class Move(Record):
    """What comes next: a command, empty when there is none, and a line for a person, empty when all is said."""

    command: str = ""
    told: str = ""


def words_of(args: Namespace) -> tuple[str, ...]:
    """Return the words of a selection that matter when it is asked for again, in one order."""
    if args.step:
        which = (f"--step={args.step}",) if args.step.startswith("-") else ("--step", args.step)
    else:
        which = ("--all",) if args.all else ("--continue",)
    flags = ("rerun", "keep_going", "force", "strict")
    told = tuple(f"--{name.replace('_', '-')}" for name in flags if getattr(args, name))
    runner = ("--runner", args.runner) if args.runner else ()
    return (*which, *runner, *told, *_waiting_words(args))


def _waiting_words(args: Namespace) -> tuple[str, ...]:
    """Return how long a job is waited for, nothing where that is the usual way of such a selection."""
    if args.wait is None:
        return ("--no-wait",) if args.no_wait and not args.step else ()
    return ("--wait", f"{args.wait:.12g}") if args.wait or not args.step else ()


def read_words(words: str) -> Namespace | None:
    """Return the options of a remembered selection, None when it is none that this version knows."""
    from executor.cli.commands.run import OPTIONS

    parser = ArgumentParser(exit_on_error=False, add_help=False)
    options.add(parser, OPTIONS)
    try:
        args, unknown = parser.parse_known_args(shlex.split(words))
    except (ArgumentError, ValueError):
        return None
    return None if unknown or not (args.step or args.resume or args.all) else args


def remembered(root: str, task_id: str) -> Namespace | None:
    """Return the selection whose run gave the newest brief of a task; None when the log does not say."""
    lines = log_reader.task_lines(root, task_id)
    said = [str(line["asked"]) for line in lines if line.get("event") in BRIEFS and line.get("asked")]
    return read_words(said[-1]) if said else None


def brief_out(context: RunContext, reports: list[RunReport]) -> str:
    """Return the first task of a run whose brief is out, empty when none is; each goes on with this selection."""
    waiting = [report for report in reports if report.outcome.verdict == Verdict.WAITING and report.task_id]
    out = [report for report in waiting if context.state(report.number).verdict == "waiting"]
    for report in out:
        before, new = remembered(context.root, report.task_id), _new_givers(context, report)
        if before is None or words_of(before) != context.invocation.selection or new:
            asked_now = BriefRepeated(asked=shlex.join(context.invocation.selection), givers=new)
            context.journal.write(asked_now, task_id=report.task_id, step=report.number)
    return out[0].task_id if out else ""


def _new_givers(context: RunContext, report: RunReport) -> tuple[str, ...]:
    """Return the processes that are given this brief now, and were not before; they are remembered from here on."""
    from executor.guard import brief_snapshot, person  # few runs have a brief out

    known = {one for line in log_reader.task_lines(context.root, report.task_id) for one in line.get("givers") or ()}
    given = person.brief_recipients()
    new = given if any(person.names_process(one) and one not in known for one in given) else ()
    brief_snapshot.add_recipients(context.state(report.number).judges, new)
    return new


def remaining(view: ProjectView, args: Namespace, *, behind: int = 0) -> tuple[Namespace | None, list[str]]:
    """Return the selection to ask for next, None when nothing is left, with what to say of steps that cannot be taken.

    `behind` is the step that a --rerun has reached: nothing else shows what of it is done.
    """
    try:
        boxes = view.boxes()
        view.follow_numbers(boxes)
        numbers, notes = requested(view, boxes, args)
    except DoTasksError:  # the command itself says what is wrong with it
        return args, []
    if args.rerun:
        return _after(args, [number for number in numbers if number > behind]), notes
    settled = all(_is_settled(view, number, boxes.get(number), args) for number in numbers)
    return None if settled else args, notes


def _after(args: Namespace, numbers: list[int]) -> Namespace | None:
    """Return the selection of these steps alone, None without any."""
    which = {"step": ranges(numbers).replace(" ", ""), "all": False}
    return Namespace(**{**vars(args), **which}) if numbers else None


def _is_settled(view: ProjectView, number: int, box: Box | None, args: Namespace) -> bool:
    """Return True for a step that would not run: it is done, or its job is running."""
    try:
        decision = decide(view, number, heed_stale=not args.step, box=box)
    except (DefinitionError, SpecError):
        return False
    if decision.action == "attend":
        return runs.look(view.root, decision.task_id).status == "alive"
    return decision.action == "done"


def command(words: tuple[str, ...], folder: str = HERE) -> str:
    """Return a command line of ours; `folder` is the --project that this call was given."""
    where = () if folder == HERE else ("--project", folder)
    return shlex.join(("do-tasks", *words, *where))


def resume_command(task_id: str, folder: str = HERE) -> str:
    """Return how the work of a brief is handed in."""
    return command(("resume", task_id), folder)


def of_selection(view: ProjectView, args: Namespace, *, behind: int = 0, folder: str = HERE) -> Move:
    """Return the command that goes on with a selection; when nothing is left of it, the words for that."""
    more, notes = remaining(view, args, behind=behind)
    if more:
        return Move(command(words_of(more), folder))
    gaps = [note for note in notes if not note.startswith("Nothing is open")]
    return Move(told="\n".join([f"Nothing is left of {shlex.join(words_of(args))}.", *gaps]))


def of_run(context: RunContext, args: Namespace, reports: list[RunReport], waiting: str) -> str:
    """Return the command that follows a run, empty when there is none; `waiting` is a task whose brief is out."""
    if waiting:
        return resume_command(waiting, args.project)
    behind = 0
    for report in reports[-1:]:
        behind = report.number if report.outcome.verdict in (Verdict.PASSED, Verdict.STARTED) else report.number - 1
    return of_selection(context, args, behind=behind, folder=args.project).command


def of_resume(
    view: ProjectView, number: int, task_id: str, args: Namespace | None, folder: str, *, interrupted: bool
) -> Move:
    """Return what follows when a task was resumed; `args` is the selection that its brief remembers."""
    verdict = view.state(number).verdict
    if verdict == "waiting":
        again = resume_command(task_id, folder)
        return Move(again, f"Its brief is still out; judge it with: {again}" if interrupted else "")
    if args is None:
        return Move()
    passed = verdict == "passed"
    view.asked_runner = args.runner
    move = of_selection(view, args, behind=number if passed else number - 1, folder=folder)
    if not move.command:
        return move
    return move.replace(told=f"Next: {move.command}" if passed else f"When it is mended: {move.command}")


BRIEFS = ("BriefGiven", BriefRepeated.__name__)

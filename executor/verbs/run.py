"""`--step`, `--continue`, `--all`, `--dry-run`: what runs, in which order, and the summary."""

from __future__ import annotations

import os
import sys

from executor import files, follow, jobs, project
from executor.desk import Desk, decide, outrun
from executor.errors import UsageError
from executor.outcome import Verdict
from executor.state import fold
from executor.values import TYPE_CHECKING
from executor.views.terminal import Screen, Transcript, safe

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from executor.bench import Bench
    from executor.engine import Report
    from executor.formats.spec_md import Box


def options(parser: ArgumentParser, verb: str) -> None:
    """Declare the words of a run."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--step", metavar="WHICH", help="1 | 1-5 | 1,3,7-9 | name")
    what.add_argument("--continue", dest="resume", action="store_true", help="go on where it stopped")
    what.add_argument("--all", action="store_true", help="every open step")
    parser.add_argument("--dry-run", action="store_true", help="say what would run and why; run nothing")
    parser.add_argument("--keep-going", action="store_true", help="go on with later steps after a failure")
    parser.add_argument("--rerun", action="store_true", help="run again what is ticked")
    parser.add_argument("--force", action="store_true", help="run in spite of an open dependency")
    parser.add_argument("--strict", action="store_true", help="want every criterion proven, none claimed")
    parser.add_argument("--append", action="store_true", help="give a defined step that SPEC.md lacks its line there")
    parser.add_argument("--json", action="store_true", help="with --dry-run: the plan as JSON")


def run(args: Namespace) -> Verdict:
    """Run what was asked for."""
    here = project.find(args.project)
    return _dry_run(here, args) if args.dry_run else _run(here, args)


def _dry_run(here: project.Project, args: Namespace) -> Verdict:
    plan, _ = project.load(here)
    desk = Desk(here, plan, follow.recall(here.root).states)
    numbers, notes = _asked(desk, desk.boxes(), args)
    rows = []
    for number in numbers:
        decision = decide(desk, number, rerun=args.rerun, heed_stale=not args.step)
        rows.append(
            {
                "step": number,
                "title": plan.title(number),
                "action": decision.action,
                "main": decision.main,
                "why": decision.why,
            }
        )
    if args.json:
        import json

        print(json.dumps({"steps": rows, "notes": notes}, ensure_ascii=False))
        return Verdict.PASSED
    for row in rows:
        how = "" if row["main"] == "run" else f", MAIN {row['main']}"
        print(f"step {row['step']}: {row['action']}{how} - {safe(str(row['why']))}")
    print("\n".join(notes), end="\n" if notes else "")
    return Verdict.PASSED


def _run(here: project.Project, args: Namespace) -> Verdict:
    os.chdir(here.root)
    lock = files.take_lock(here.state("run.lock"))
    screen = Screen()
    try:
        return _locked(here, args, screen)
    finally:
        screen.close()
        os.close(lock)


def _locked(here: project.Project, args: Namespace, screen: Screen) -> Verdict:
    plan, _ = project.load(here, for_run=True)
    recalled = follow.recall(here.root)
    if recalled.rebuilt:
        _refuse_unknown_living(here.root, recalled)
    bench = _bench(here, Desk(here, plan, recalled.states), screen)
    bench.strict = bench.strict or args.strict
    bench.interrupts.listen()
    try:
        return _go(bench, args, screen)
    finally:
        follow.save(here.root, follow.recall(here.root))
        bench.journal.close()


def _bench(here: project.Project, desk: Desk, screen: Screen) -> Bench:
    from executor import pids
    from executor.bench import Bench
    from executor.journal import LOG_NAME, Journal
    from executor.mask import Masker, secrets

    pids.adopt_orphans()
    masker = Masker(secrets(os.environ))
    transcript = Transcript(screen)

    def remember(line: dict[str, Any]) -> None:
        bench.states = fold(bench.states, (line,))

    environ = _inherited(desk)
    python = project.interpreter(here, desk.plan.settings.python, dict(os.environ))
    bench = Bench(desk, masker=masker, environ=environ, python=python)
    bench.journal = Journal(here.path(LOG_NAME), mask=masker.mask, followers=(remember, transcript))
    bench.progress = screen.bar
    if here.warning:
        screen.say(f"Note: {here.warning}")
    return bench


def _inherited(desk: Desk) -> dict[str, str]:
    """Return what commands inherit: all, or what settings.env names with the few that every program needs."""
    names = desk.plan.settings.env
    if names is None:
        return {name: value for name, value in os.environ.items() if name != "DO_TASKS_RUN"}
    kept = {*names, "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name in kept}


def _refuse_unknown_living(root: str, recalled: follow.Recalled) -> None:
    """A run that lives and is in no log must not get a twin: its log was taken away under it."""
    known = {state.task_id for state in recalled.states.values()}
    living = [task_id for task_id in jobs.living_tasks(root) if task_id not in known]
    if living:
        raise UsageError(
            f"{living[0]} is running but the log knows nothing of it; end it with: do-tasks stop {living[0]}"
        )


def _go(bench: Bench, args: Namespace, screen: Screen) -> Verdict:
    from executor import spec_file
    from executor.engine import run_many

    spec_file.refuse_read_only(bench.project.spec)
    _append_missing(bench, args)
    numbers, notes = _asked(bench, bench.boxes(), args)
    reports: list[Report] = []
    for number in numbers:
        [report] = run_many(
            bench, [number], keep_going=args.keep_going, rerun=args.rerun, force=args.force, heed_stale=not args.step
        )
        reports.append(report)
        _say_report(bench, report, screen)
        if report.outcome.verdict == Verdict.INTERRUPTED or (
            report.outcome.verdict != Verdict.PASSED and not args.keep_going
        ):
            break
    return _close(bench, reports, notes, args, screen)


def _close(bench: Bench, reports: list[Report], notes: list[str], args: Namespace, screen: Screen) -> Verdict:
    if args.keep_going or args.all:
        _summary(reports, screen)
    worst = _worst(reports)
    if worst == Verdict.INTERRUPTED:
        screen.say(f"Interrupted in step {reports[-1].number}; go on with: do-tasks --continue")
    elif worst == Verdict.PASSED or args.keep_going:
        for note in notes:
            screen.say(note)
    return worst


def _worst(reports: list[Report]) -> Verdict:
    verdicts = [report.outcome.verdict for report in reports]
    order = (Verdict.INTERRUPTED, Verdict.FAILED, Verdict.TIMED_OUT, Verdict.CANCELLED, Verdict.LOST, Verdict.WAITING)
    return next((verdict for verdict in order if verdict in verdicts), Verdict.PASSED)


def _append_missing(bench: Bench, args: Namespace) -> None:
    """Give steps that SPEC.md lacks their lines, when asked to, or when the person at the terminal says yes."""
    from executor import spec_file
    from executor.events import SpecLineAppended

    boxes = bench.boxes()
    missing = [number for number in bench.plan.numbers if number not in boxes]
    if not missing or not (args.append or _says_yes(missing)):
        return
    for number in missing:
        title = bench.plan.title(number)
        box = spec_file.append(bench.project.spec, bench.project.state("spec.lock"), number=number, title=title)
        bench.journal.write(SpecLineAppended(text=box.title), step=number)


def _says_yes(missing: list[int]) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    names = ", ".join(map(str, missing))
    return input(f"SPEC.md has no line for step {names}. Append? [y/N] ").strip().lower() in ("y", "yes")


def _asked(desk: Desk, boxes: dict[int, Box], args: Namespace) -> tuple[list[int], list[str]]:
    """Return the steps to take in order, and what to say of those that cannot be taken."""
    if args.step:
        from executor.select import select

        titles = {number: box.title for number, box in boxes.items()}
        chosen = select(args.step, desk.plan, titles)
        gaps = [f"Not defined, so not run: step {_ranges(chosen.missing)}."] if chosen.missing else []
        return list(chosen.numbers), gaps
    return _open_steps(desk, boxes, stop_at_gap=args.resume)


def _open_steps(desk: Desk, boxes: dict[int, Box], *, stop_at_gap: bool) -> tuple[list[int], list[str]]:
    defined = set(desk.plan.numbers)
    undefined = [number for number in sorted(boxes) if number not in defined and boxes[number].state != "x"]
    numbers = [number for number in desk.plan.numbers if _is_open(desk, boxes.get(number), number)]
    if not undefined:
        return numbers, [] if numbers else ["Nothing is open: every step is done."]
    gap = undefined[0]
    if stop_at_gap:
        numbers = [number for number in numbers if number < gap]
        before = "" if numbers else f"There is nothing open before step {gap}. "
        return numbers, [f"{before}Stopped before step {gap}, which is not defined yet: {safe(boxes[gap].title)}"]
    return numbers, [f"Not defined yet: step {_ranges(undefined)}."]


def _is_open(desk: Desk, box: Box | None, number: int) -> bool:
    """Tell whether a step is open; one without a line is, so that the run can say so."""
    return box is None or box.state != "x" or bool(outrun(desk, number))


def _ranges(numbers: list[int] | tuple[int, ...]) -> str:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def _say_report(bench: Bench, report: Report, screen: Screen) -> None:
    if report.done:
        screen.say(f"Step {report.number} is already done: {safe(report.outcome.reason)}")
        return
    if not report.task_id:
        screen.say(f"Step {report.number}: {safe(report.outcome.reason)}")
        return
    if report.outcome.verdict == Verdict.PASSED:
        later = [number for number in bench.plan.numbers if number > report.number]
        ready = f" Ready for step {later[0]}." if later else ""
        screen.say(f"\nStep {report.number} complete in {report.duration_s:.1f}s.{ready}")
    else:
        screen.say(f"\nStep {report.number} {report.outcome.verdict} after {report.duration_s:.1f}s.")
    screen.say(f'\nTo view logs: grep "{report.task_id}" .task_execution.log\n')


def _summary(reports: list[Report], screen: Screen) -> None:
    for report in reports:
        verdict = report.outcome.verdict
        mark = "✅" if verdict == Verdict.PASSED else "❌"
        reason = "already done" if report.done else (report.outcome.reason.splitlines() or [""])[0]
        told = f"{report.title}: {reason}" if reason else report.title
        screen.say(f"{mark} step {report.number:<3} {verdict:<11} {report.duration_s:7.1f}s  {safe(told)}")

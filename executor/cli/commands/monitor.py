"""`--monitor`: every background job on one screen, live with --watch; --until waits for one of them."""

from __future__ import annotations

import gc
import json
import os
import signal
import time

from executor.cli.job_reader import DEATHS, TASK, Attendant, asked_numbers, look, statuses
from executor.cli.options import JSON, flag, option
from executor.cli.output import job_table
from executor.cli.output.screen import Screen
from executor.cli.wait_for_job import AWAITED, await_job
from executor.errors import UsageError
from executor.store import project
from executor.system.interrupts import Interrupts
from executor.system.outcome import Verdict
from executor.system.quantities import duration_argument
from executor.system.records import TYPE_CHECKING
from executor.system.text import escaped_json
from executor.system.text import joined_lines as one_line

if TYPE_CHECKING:
    from argparse import Namespace

    from executor.cli.job_reader import Look
    from executor.supervisor.job_status import JobStatus

REDRAW_S = 2.0
SHOW, HIDE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


OPTIONS = (
    option("which", nargs="?", default="", metavar="TASK_ID|STEP", help="default: every job"),
    flag("--monitor", "the same command as an option"),
    flag("--watch", "redraw until no job runs, or Ctrl-C"),
    JSON,
    option("--until", choices=AWAITED, default="", help="wait for this event of one job; exit 4 if the job died"),
    option(
        "--timeout", type=duration_argument, metavar="TIME", help="with --until: wait at most this long; then exit 3"
    ),
)


def run(args: Namespace) -> Verdict:
    """Show the jobs, once or again and again, or wait for one."""
    if args.until and args.watch:
        raise UsageError("--until waits, --watch shows; choose one")
    if args.timeout is not None and not args.until:
        raise UsageError("--timeout goes with --until")
    here = project.find(args.project)
    attendant = Attendant(here.root)
    if args.until:
        return await_job(here, args, attendant, show=_show_json)
    if args.watch:
        return _watch(here, args, attendant)
    seen = look(here.root, attendant)
    chosen = _chosen(here, args.which, seen)
    _show(chosen, as_json=args.json)
    return _verdict(seen, chosen)


def _chosen(here: project.Project, which: str, seen: Look) -> list[JobStatus]:
    """Return the jobs that were asked for; UsageError when that is none of them."""
    every = statuses(seen)
    if not which:
        return every
    wanted = () if TASK.fullmatch(which) else asked_numbers(here, which)
    found = [job for job in every if job.task_id == which or job.step in wanted]
    if not found:
        there = ", ".join(f"step {job.step} ({job.task_id})" for job in every) or "none"
        what = f"step {which} has no background job" if which.isdecimal() else f"{one_line(which)} is none of them"
        raise UsageError(f"{what}; background jobs: {there}")
    return found


def _verdict(seen: Look, chosen: list[JobStatus]) -> Verdict:
    """Return alert when one stands or a job died, unless a person has ticked its step since."""
    bad = [job for job in chosen if job.alerts or _died(seen, job)]
    if bad:
        return Verdict.ALERT
    return Verdict.STARTED if any(job.state in job_table.RUNS for job in chosen) else Verdict.PASSED


def _died(seen: Look, job: JobStatus) -> bool:
    return job.state in DEATHS and not seen.state(job.step).hand_seen


def _show(chosen: list[JobStatus], *, as_json: bool) -> None:
    if as_json:
        _show_json(chosen)
        return
    paint = job_table.painted if Screen().color else str
    print("\n".join(map(paint, job_table.lines(chosen, job_table.columns()))), flush=True)


def _show_json(chosen: list[JobStatus]) -> None:
    print(escaped_json(json.dumps({"v": 1, "jobs": [job.report() for job in chosen]}, ensure_ascii=False)), flush=True)


def _watch(here: project.Project, args: Namespace, attendant: Attendant) -> Verdict:
    """Look again and again until no job runs or we are asked to end, which is a good end too."""
    gc.enable()
    interrupts = Interrupts()
    interrupts.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a supervisor that ends while we look on leaves no zombie
    live = Screen().live and os.environ.get("TERM") != "dumb" and not args.json
    seen = look(here.root, attendant)
    chosen = _chosen(here, args.which, seen)
    steps = {job.step for job in chosen} if args.which else None
    view = _Live() if live else _News(as_json=args.json)
    with view:
        view.show(chosen)
        while any(job.state in job_table.RUNS for job in chosen) and interrupts.sleep(REDRAW_S):
            seen = look(here.root, attendant, seen.recalled)
            chosen = [job for job in statuses(seen) if steps is None or job.step in steps]
            view.show(chosen)
    if live:
        _show(chosen, as_json=False)
    return Verdict.PASSED if interrupts.count else _verdict(seen, chosen)


class _Live:
    """The board on the terminal's other screen, drawn over and over; the person's own comes back at the end."""

    def __enter__(self) -> None:
        print(end=SHOW, flush=True)

    def __exit__(self, *_: object) -> None:
        print(end=HIDE, flush=True)

    def show(self, chosen: list[JobStatus]) -> None:
        """Draw over what was there, as much as the window holds."""
        lines, room = job_table.lines(chosen, job_table.columns()), _height() - 1
        if len(lines) > room:
            more = f"… {len(lines) - room + 1} more lines: make the window taller"
            lines = [*lines[: room - 1], job_table.cut(more, job_table.columns())]
        paint = job_table.painted if Screen().color else str
        print("\x1b[H" + "".join(f"{paint(line)}\x1b[K\r\n" for line in lines), end="\x1b[J", flush=True)


class _News:
    """A line a job for each change, or with --json a document; only what the last line said is kept."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._told: dict[str, tuple[object, ...]] | None = None

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        return

    def show(self, chosen: list[JobStatus]) -> None:
        """Print what has changed since the last time."""
        before, self._told = self._told, {job.task_id: job_table.mark_of(job) for job in chosen}
        changed = [job for job in chosen if (before or {}).get(job.task_id) != self._told[job.task_id]]
        if (self._as_json or not chosen) and (changed or before is None):
            _show(chosen, as_json=self._as_json)
        elif changed:
            now = time.strftime("%H:%M:%S")
            print("\n".join(f"{now} {job_table.brief_line(job)}" for job in changed), flush=True)


def _height() -> int:
    try:
        return max(4, os.get_terminal_size(1).lines or 24)
    except OSError:
        return 24

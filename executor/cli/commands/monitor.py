"""`--monitor`: every background job on one screen, live with --watch; --until waits for one of them."""

from __future__ import annotations

import gc
import os
import signal
import time
from contextlib import contextmanager, nullcontext

from executor.cli.job_reader import DEATHS, look, select_jobs, statuses
from executor.cli.options import JSON, flag, option
from executor.cli.output import job_table
from executor.cli.output.screen import Screen, print_json, terminal_size
from executor.cli.wait_for_job import AWAITED, await_job
from executor.errors import UsageError
from executor.store import project
from executor.system.interrupts import Interrupts
from executor.system.outcome import Verdict
from executor.system.quantities import duration_argument
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable, Iterator

    from executor.cli.job_reader import Look
    from executor.plan.step_ids import StepId
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
    """Show the jobs once, show them until none runs, or wait for one."""
    if args.until and args.watch:
        raise UsageError("--until and --watch exclude each other; choose one")
    if args.timeout is not None and not args.until:
        raise UsageError("--timeout goes with --until")
    here = project.find_for(args.plan, args.project)
    if args.until:
        return await_job(here, args, show=_print_json)
    seen = look(here.root)
    steps = select_jobs(here, seen, args.which, seen.numbers)
    if args.watch:
        return _watch(seen, steps if args.which else None, as_json=args.json)
    jobs = _jobs(seen, steps)
    _print(jobs, as_json=args.json)
    return _verdict(seen, jobs)


def _jobs(seen: Look, steps: Iterable[StepId] | None) -> list[JobStatus]:
    """Return the status of these steps' jobs, of every job for None."""
    return [job for job in statuses(seen) if steps is None or job.step in steps]


def _verdict(seen: Look, jobs: list[JobStatus]) -> Verdict:
    """Return ALERT for a standing alert, and for a dead job unless a person has ticked its step since."""
    if any(job.alerts or (job.state in DEATHS and not seen.state(job.step).hand_seen) for job in jobs):
        return Verdict.ALERT
    return Verdict.STARTED if any(job.state in job_table.RUNS for job in jobs) else Verdict.PASSED


def _print(jobs: list[JobStatus], *, as_json: bool) -> None:
    if as_json:
        _print_json(jobs)
        return
    print("\n".join(map(_paint(), job_table.lines(jobs, job_table.columns()))), flush=True)


def _print_json(jobs: list[JobStatus]) -> None:
    print_json({"v": 1, "jobs": [job.report() for job in jobs]})


def _paint() -> Callable[[str], str]:
    return job_table.painted if Screen().color else str


def _watch(seen: Look, steps: list[StepId] | None, *, as_json: bool) -> Verdict:
    """Show the jobs until none runs, or until an interrupt, which is no failure."""
    gc.enable()
    interrupts = Interrupts()
    interrupts.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a supervisor that ends in the meantime leaves no zombie
    live = Screen().live and os.environ.get("TERM") != "dumb" and not as_json
    show = _redraw if live else ChangeLines(as_json=as_json)
    jobs = _jobs(seen, steps)
    with _other_screen() if live else nullcontext():
        show(jobs)
        while any(job.state in job_table.RUNS for job in jobs) and interrupts.sleep(REDRAW_S):
            seen = look(seen.root, seen)
            jobs = _jobs(seen, steps)
            show(jobs)
    if live:
        _print(jobs, as_json=False)
    return Verdict.PASSED if interrupts.count else _verdict(seen, jobs)


@contextmanager
def _other_screen() -> Iterator[None]:
    """Draw on the terminal's alternate screen; at the end the previous content is shown again."""
    print(end=SHOW, flush=True)
    try:
        yield
    finally:
        print(end=HIDE, flush=True)


def _redraw(jobs: list[JobStatus]) -> None:
    """Draw the table over the last one, as many lines as the window holds."""
    lines, room = job_table.lines(jobs, job_table.columns()), max(4, terminal_size().lines or 24) - 1
    if len(lines) > room:
        more = f"… {len(lines) - room + 1} more lines: make the window taller"
        lines = [*lines[: room - 1], job_table.cut(more, job_table.columns())]
    paint = _paint()
    print("\x1b[H" + "".join(f"{paint(line)}\x1b[K\r\n" for line in lines), end="\x1b[J", flush=True)


class ChangeLines:
    """Prints a line for each job that has changed, or with --json a document; only the last state is kept."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._last: dict[str, tuple[object, ...]] | None = None

    def __call__(self, jobs: list[JobStatus]) -> None:
        """Print the changes since the last call."""
        before, self._last = self._last, {job.task_id: job_table.mark_of(job) for job in jobs}
        changed = [job for job in jobs if (before or {}).get(job.task_id) != self._last[job.task_id]]
        if (self._as_json or not jobs) and (changed or before is None):
            _print(jobs, as_json=self._as_json)
        elif changed:
            now = time.strftime("%H:%M:%S")
            print("\n".join(f"{now} {job_table.brief_line(job)}" for job in changed), flush=True)

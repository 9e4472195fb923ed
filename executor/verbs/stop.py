"""`stop`: end a task and everything it started, whoever watches it."""

from __future__ import annotations

import os
import re
import time

from executor import files, follow, jobs, project, spec_file
from executor.errors import UsageError
from executor.events import SpecMarked, StepFailed, StraysStopped
from executor.formats.spec_md import Mark
from executor.interrupts import Interrupts
from executor.journal import Journal
from executor.mask import Masker, secrets
from executor.outcome import Verdict
from executor.records import LOG_NAME
from executor.values import TYPE_CHECKING
from executor.watch import end_strays

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

TASK = re.compile(r"task_(\d+)_[0-9a-f]{8}")


def options(parser: ArgumentParser, verb: str) -> None:
    """Declare the words of stop."""
    parser.add_argument("task_id", help="as in the transcript, SPEC.md or the log")


def run(args: Namespace) -> Verdict:
    """TERM, grace, KILL for every process of the task; an executor that watches it gives the verdict."""
    here = project.find(args.project)
    match = TASK.fullmatch(args.task_id)
    if not match or not _known(here, args.task_id):
        raise UsageError(f"no task {args.task_id} here; see: do-tasks list")
    jobs.ask_stop(here.root, args.task_id)
    ended = end_strays(f"{args.task_id}/", Interrupts())
    print(f"{args.task_id}: ended {len(ended)} processes" if ended else f"{args.task_id}: nothing of it was running")
    if not files.held(here.state("run.lock")):  # an executor that holds it sees the end and writes the verdict itself
        _close(here, args.task_id, int(match[1]), ended)
    return Verdict.PASSED


def _known(here: project.Project, task_id: str) -> bool:
    """Tell whether the task is ours: one that only checks yet has no folder, but its lines in the log."""
    return os.path.isdir(here.path(jobs.JOBS, task_id)) or any(follow.task_lines(here.root, task_id))


def _close(here: project.Project, task_id: str, number: int, ended: tuple[int, ...]) -> None:
    state = follow.recall(here.root).states.get(number)
    if not state or state.task_id != task_id or state.verdict not in ("", "interrupted", "lost"):
        return
    jobs.mask_task(here.root, task_id, Masker(secrets(os.environ)))
    journal = Journal(here.path(LOG_NAME))
    if ended:
        journal.write(StraysStopped(pids=ended), task_id=task_id, step=number)
    failed = StepFailed(status=Verdict.CANCELLED, reason=jobs.STOPPED, failed_in="MAIN")
    journal.write(failed, task_id=task_id, step=number)
    journal.sync()
    mark = Mark(kind="failed", task_id=task_id, time=time.strftime("%Y-%m-%d %H:%M"), note=jobs.STOPPED)
    box = spec_file.mark(here.spec, here.state("spec.lock"), number=number, state=" ", mark=mark)
    marked = SpecMarked(status=Verdict.CANCELLED, line=box.line, text=jobs.STOPPED)
    journal.write(marked, task_id=task_id, step=number)
    journal.close()

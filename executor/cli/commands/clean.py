"""`clean`: remove the job folders of old tasks, only when a person asks for it."""

from __future__ import annotations

import os
import re

from executor.cli.job_reader import supervisor
from executor.cli.options import flag, option
from executor.cli.output.job_table import told_bytes
from executor.errors import BusyError, MachineError
from executor.store import log_reader, project, spec_file
from executor.store import runs as jobs
from executor.system import folders, locks, run_processes
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from argparse import Namespace

TASK = re.compile(r"task_(\d+)_[0-9a-f]{8}")
NAMED = re.compile(rb"task_\d+_[0-9a-f]{8}")
ASIDE = "removed."  # such a name is no task's
BEGINS = ("TaskStarted", "TaskResumed")
ENDS = ("StepPassed", "StepFailed", "StepInterrupted")
MARKS = tuple(f'"{event}"'.encode() for event in (*BEGINS, *ENDS))
BLOCK = 512  # bytes, the unit of st_blocks
UNDER_WAY = {"alive", "elsewhere", "foreign", "orphan"}


class Past(Record):
    """What the log says of a task: when it began among all (a count), its verdict, empty while it has none."""

    began: int
    verdict: str = ""


def _count(text: str) -> int:
    if not text.isdigit():
        raise ValueError(text)
    return int(text)


OPTIONS = (
    option("--keep", type=_count, required=True, metavar="N", help="number of tasks to keep of each step"),
    flag("--dry-run", "print what would be removed; remove nothing"),
)


def run(args: Namespace) -> Verdict:
    """Remove what is old, ended and needed by nothing; print what, and the bytes that this frees."""
    here = project.find(args.project)
    if args.dry_run:
        return _clean(here, args.keep, dry=True)
    try:
        lock = locks.acquire(here.state("run.lock"))
    except BusyError as error:
        raise BusyError(f"{error}; nothing is removed under a run") from error
    try:
        return _clean(here, args.keep, dry=False)
    finally:
        lock.release()


def _clean(here: project.Project, keep: int, *, dry: bool) -> Verdict:
    folder = here.path(jobs.JOBS)
    there = [name for name in _names(folder) if TASK.fullmatch(name)]
    old = _old(here, there, keep)
    freed = 0
    stuck: list[str] = []
    for name in [] if dry else [name for name in _names(folder) if name.startswith(ASIDE)]:
        freed += _removed(os.path.join(folder, name), stuck)  # what a clean that died had put aside
    for name in old:
        size = _size(os.path.join(folder, name)) if dry else _removed(_aside(folder, name), stuck)
        freed += size
        print(f"{'would remove' if dry else 'removed'} {name} ({told_bytes(size)})")
    done = f"{'would remove' if dry else 'removed'} {len(old)} of {len(there)} job folders"
    print(f"{done}, {told_bytes(freed)} ({freed} bytes) {'to free' if dry else 'freed'}; {len(there) - len(old)} kept")
    if stuck:
        raise MachineError("\n".join(stuck))
    return Verdict.PASSED


def _names(folder: str) -> list[str]:
    """Return the names of the real folders there; a link is nobody's."""
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _old(here: project.Project, there: list[str], keep: int) -> list[str]:
    """Return the tasks that may go, oldest first: ended ones behind the newest of their step, needed by nothing."""
    past = _past(here.root, there)
    needed = _needed(here)
    newest_first = sorted(past, key=lambda name: -past[name].began)
    rank: dict[str, int] = {}
    found = []
    for name in newest_first:
        number = name.split("_")[1]
        rank[number] = rank.get(number, 0) + 1
        if rank[number] > keep and past[name].verdict and name not in needed and not _lives(here.root, name):
            found.append(name)
    return found[::-1]


def _past(root: str, there: list[str]) -> dict[str, Past]:
    """Return what the whole log, rotated pieces first, says of these tasks; those it does not know are left out."""
    known = set(there)
    past: dict[str, Past] = {}
    for path in (*log_reader.rotated(root), os.path.join(root, LOG_NAME)):
        for _, line in log_reader.lines(path):
            record = (log_reader.parse(line) if any(mark in line for mark in MARKS) else None) or {}
            task_id, event = record.get("task_id"), record.get("event")
            if isinstance(task_id, str) and task_id in known and event in (*BEGINS, *ENDS):
                before = past.get(task_id) or Past(len(past))
                past[task_id] = before.replace(verdict=str(record.get("status") or "") if event in ENDS else "")
    return past


def _needed(here: project.Project) -> set[str]:
    """Return the tasks whose MAIN may be reused, or that are the evidence of a tick: all that SPEC.md names too."""
    states = log_reader.recall(here.root).states.values()
    known = {task_id for state in states for task_id in (state.task_id, state.main_task, state.passed_task)}
    return known | {found.decode() for found in NAMED.findall(spec_file.read(here.spec).replace(b"\\_", b"_"))}


def _lives(root: str, task_id: str) -> bool:
    """Tell whether anything of the task lives, here or on another host."""
    runs = [name for name in _names(os.path.join(root, jobs.JOBS, task_id)) if name.startswith("main.")]
    seen = {jobs.look_at(root, task_id, run).status for run in runs}
    return bool(
        seen & {"alive", "elsewhere", "foreign", "orphan"}
        or supervisor(root, task_id)
        or run_processes.pids_with_token(f"{task_id}/", root)
    )


def _aside(folder: str, name: str) -> str:
    """Take the name away first: what a death leaves of it passes for no task."""
    aside = os.path.join(folder, f"{ASIDE}{name}")
    os.rename(os.path.join(folder, name), aside)
    return aside


def _removed(path: str, stuck: list[str]) -> int:
    """Delete a folder, following no link; return the bytes that this freed."""
    import shutil

    size = _size(path)
    try:
        shutil.rmtree(path)
    except OSError as error:
        stuck.append(f"cannot remove {path}: {error.strerror}; mend the rights, then run: do-tasks clean again")
        return size - _size(path)
    except RecursionError:
        stuck.append(f"cannot remove {path}: its folders are nested too deep; run: rm -rf {path}")
        return size - _size(path)
    return size


def _size(path: str) -> int:
    """Return what a folder takes on the disk, in bytes: of a file with two names nothing, for it stays."""
    found = 0
    for below, _, names in folders.walk(path):
        for name in names:
            status = os.lstat(os.path.join(below, name))
            found += status.st_blocks * BLOCK if status.st_nlink == 1 else 0
    return found

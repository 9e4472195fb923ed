"""`clean`: remove the job folders of old tasks, only when a person asks for it."""

from __future__ import annotations

import os
import re
from collections import Counter

from executor.cli.options import flag, option
from executor.cli.output.job_table import byte_size
from executor.cli.tasks import supervisor
from executor.errors import MachineError
from executor.plan.step_ids import TASK
from executor.store import log_reader, project
from executor.store import runs as jobs
from executor.store.plan_source import source_here
from executor.system import folders, locks, run_processes
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from argparse import Namespace

NAMED = re.compile(TASK.pattern.encode())
ASIDE = "removed."  # prefix of a folder that is being removed
BEGINS = ("TaskStarted", "TaskResumed")
ENDS = ("StepPassed", "StepFailed", "StepInterrupted")
MARKS = tuple(f'"{event}"'.encode() for event in (*BEGINS, *ENDS))
BLOCK = 512  # bytes, the unit of st_blocks
UNDER_WAY = {"alive", "elsewhere", "foreign", "orphan"}


def _count(text: str) -> int:
    if not text.isdigit():
        raise ValueError(text)
    return int(text)


OPTIONS = (
    option("--keep", type=_count, required=True, metavar="N", help="number of tasks to keep of each step"),
    flag("--dry-run", "print what would be removed; remove nothing"),
)


def run(args: Namespace) -> Verdict:
    """Remove the folders of old tasks that ended and that nothing needs; print them and the freed bytes."""
    here = project.find_for(args.plan, args.project)
    if args.dry_run:
        return _clean(here, args.keep, dry=True)
    lock = locks.acquire(here.state("run.lock"))
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
        freed += _removed(os.path.join(folder, name), stuck)  # left by a clean that was killed
    for name in old:
        size = _size(os.path.join(folder, name)) if dry else _removed(_aside(folder, name), stuck)
        freed += size
        print(f"{'would remove' if dry else 'removed'} {name} ({byte_size(size)})")
    done = f"{'would remove' if dry else 'removed'} {len(old)} of {len(there)} job folders"
    print(f"{done}, {byte_size(freed)} ({freed} bytes) {'to free' if dry else 'freed'}; {len(there) - len(old)} kept")
    if stuck:
        raise MachineError("\n".join(stuck))
    return Verdict.PASSED


def _names(folder: str) -> list[str]:
    """Return the names of the folders in a folder, without links."""
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _old(here: project.Project, there: list[str], keep: int) -> list[str]:
    """Return the tasks to remove, oldest first: ended ones that nothing needs, without the newest of each step."""
    verdicts, needed = _verdicts(here.root, there), _needed(here)
    rank: Counter[str] = Counter()
    found = []
    for name in reversed(verdicts):
        step = name[len("task_") : -len("_01234567")]
        rank[step] += 1
        if rank[step] > keep and verdicts[name] and name not in needed and not _lives(here.root, name):
            found.append(name)
    return found[::-1]


def _verdicts(root: str, there: list[str]) -> dict[str, str]:
    """Return the verdict of each of these tasks by the whole log, in order of their start, empty without one.

    Tasks that the log does not know are left out.
    """
    known = set(there)
    verdicts: dict[str, str] = {}
    for path in (*log_reader.rotated(root), os.path.join(root, LOG_NAME)):
        for _, line in log_reader.lines(path):
            record = (log_reader.parse(line) if any(mark in line for mark in MARKS) else None) or {}
            task_id, event = record.get("task_id"), record.get("event")
            if isinstance(task_id, str) and task_id in known and event in (*BEGINS, *ENDS):
                verdicts[task_id] = str(record.get("status") or "") if event in ENDS else ""
    return verdicts


def _needed(here: project.Project) -> set[str]:
    """Return the tasks whose MAIN may be reused, the evidence of ticks, and every task that SPEC.md names."""
    states = log_reader.recall(here.root).states.values()
    known = {task_id for state in states for task_id in (state.task_id, state.main_task, state.passed_task)}
    return known | {found[0].decode() for found in NAMED.finditer(source_here(here).read().replace(b"\\_", b"_"))}


def _lives(root: str, task_id: str) -> bool:
    """Return True when a process of the task lives, here or on another host."""
    runs = [name for name in _names(os.path.join(root, jobs.JOBS, task_id)) if name.startswith("main.")]
    seen = {jobs.status_of(root, task_id, run).status for run in runs}
    return bool(seen & UNDER_WAY or supervisor(root, task_id) or run_processes.pids_with_token(f"{task_id}/", root))


def _aside(folder: str, name: str) -> str:
    """Rename the folder of a task before its removal: the rest after a kill does not look like a task."""
    aside = os.path.join(folder, f"{ASIDE}{name}")
    os.rename(os.path.join(folder, name), aside)
    return aside


def _removed(path: str, stuck: list[str]) -> int:
    """Delete a folder without following links; return the freed bytes."""
    import shutil

    size = _size(path)
    try:
        shutil.rmtree(path)
    except OSError as error:
        stuck.append(f"cannot remove {path}: {error.strerror}; fix its permissions, then run: do-tasks clean")
        return size - _size(path)
    except RecursionError:
        stuck.append(f"cannot remove {path}: its folders are nested too deep; run: rm -rf {path}")
        return size - _size(path)
    return size


def _size(path: str) -> int:
    """Return the bytes of a folder on the disk, without files that have a second hard link elsewhere."""
    found = 0
    for below, _, names in folders.walk(path):
        for name in names:
            status = os.lstat(os.path.join(below, name))
            found += status.st_blocks * BLOCK if status.st_nlink == 1 else 0
    return found

"""What judges an agent, and the record of it: as they were before its work, whatever it did."""

from __future__ import annotations

import os
import time

from executor.errors import DoTasksError
from executor.guard import judge_places, locked, log_guard, path_patterns, protect, task_records
from executor.guard.restore import ADDED
from executor.guard.start_files import ENVIRONMENTS
from executor.plan.limits import sandbox_of
from executor.store import log_reader, runs
from executor.store.events import ProtectedRestored
from executor.system import process, procfs
from executor.system.process_loop import end_strays
from executor.system.records import TYPE_CHECKING, Record
from executor.system.signals import signal_one
from executor.system.text import spelled

if TYPE_CHECKING:
    from executor.guard.log_guard import Mark
    from executor.guard.restore import Change
    from executor.guard.snapshot import Memory
    from executor.guard.startup_files import Startup
    from executor.store.context import RunContext
    from executor.store.log_writer import LogWriter
    from executor.store.step_state import StepState
    from executor.store.task import Task

MOST_NAMED = 20
ORPHANS_S = 5.0
GONE = "what judges it was remembered, and that is gone: nobody knows what the agent changed"


class Baseline(Record):
    """What was remembered before an agent was let go, held by the executor that let it go."""

    memory: Memory
    mark: Mark


def globs_of(context: RunContext) -> tuple[str, ...]:
    """Return what no agent of this plan may change."""
    return path_patterns.globs(context.plan.settings.protected, context.relative(context.project.definitions))


def startup_of(context: RunContext, task: Task) -> Startup:
    """Return what the judges of this plan read as they start, but for what the step is to make."""
    environ, wanted = context.environment(task), sandbox_of(task.step.main, context.plan.settings)
    may_install = wanted.environment == "writable"
    own = (*ENVIRONMENTS, *locked.environments(context.root, environ, context.python)) if may_install else ()
    return judge_places.startup_of(
        context.plan,
        task.step,
        root=context.root,
        python=context.python,
        environ=environ,
        sources=context.sources,
        writable=(*wanted.write, *own),
    )


def remember(context: RunContext, task: Task, run: str, *, role: str, startup: Startup) -> Baseline:
    """Remember all that judges the agent, its role, the records and the log, just before it is let go."""
    folder, states = folder_of(context, task, run), context.states.values()
    running = {state.task_id for state in states if state.job and _may_write(context.root, state)}
    records = task_records.places(context.root, states, without=task.task_id, running=running)
    wanted = startup.replace(folders={**startup.folders, **dict(records)})
    memory = protect.remember(context.root, folder, (*globs_of(context), role), wanted)
    return Baseline(memory, log_guard.remember(context.journal, folder, jobs=running))


def _may_write(root: str, state: StepState) -> bool:
    """Return True for a job without verdict, and for one whose supervisor has yet to show its verdict."""
    return state.verdict in ("", "started") or bool(runs.supervisor(root, state.task_id))


def settle(context: RunContext, task: Task, run: str, watched: Baseline | None = None) -> str:
    """Put back what the agent changed and log it; return why that fails the step, empty when it changed nothing.

    Without `watched` another executor let it go: what it left on disk counts.
    """
    folder = folder_of(context, task, run)
    if not (watched or protect.remembered(folder)):
        return GONE
    told = put_back(context.journal, folder, task_id=task.task_id, watched=watched)
    if told:
        context.recalled = log_reader.recall(context.root)  # the log may be another one
        context.hear()
        context.log(told, task)
    return offended(context, task, run)


def stand_up(context: RunContext, task: Task, run: str) -> None:
    """See that an agent's run has a record that can be read; whoever took it away has changed what judges it."""
    folder = folder_of(context, task, run)
    protect.note(folder, protect.stand_up(context.root, folder))


def end_orphans(before: set[int] | None) -> None:
    """Kill what came to us while an agent worked: it shed its environment, and then lost the agent that swept up."""
    until = time.monotonic() + ORPHANS_S
    while before is not None and time.monotonic() < until:
        orphans = [pid for pid in (procfs.children() or set()) - before if not _bears_a_token(pid)]
        if not orphans:
            return
        for pid in orphans:
            signal_one(pid, 9)
        process.unknown_children()  # reaps them
        time.sleep(0.005)


def _bears_a_token(pid: int) -> bool:
    """Tell what a job that runs beside the agent left to us: it still says whose it is."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"DO_TASKS_RUN=task_" in file.read()
    except OSError:
        return False


def rescue(context: RunContext, task: Task, run: str, watched: Baseline | None) -> None:
    """End an agent that we cannot watch to its end, and put back what judges it: what fails us may be its doing."""
    if watched is None:
        return
    end_strays(f"{task.task_id}/{run}", context.interrupts, root=context.root)
    stand_up(context, task, run)
    folder = folder_of(context, task, run)
    try:
        put_back(context.journal, folder, task_id=task.task_id, watched=watched)
    except (DoTasksError, OSError):  # a full disk, or a log that is beyond us: what judges it all the same
        protect.undo(context.root, folder, memory=watched.memory)
    protect.pend(context.root, folder)


def put_back(
    journal: LogWriter, folder: str, *, task_id: str, watched: Baseline | None = None
) -> ProtectedRestored | None:
    """Put back what was remembered in this folder; return what to log, None when nothing was changed."""
    root = os.path.dirname(journal.path)
    mark, memory = (watched.mark, watched.memory) if watched else (None, None)
    seen = log_guard.verify(journal, folder, task_id=task_id, mark=mark)
    ends = task_records.forged_ends(root, seen.jobs, folder)
    protect.note(folder, ends)
    found = (*ends, *seen.found, *protect.undo(root, folder, explained=seen.explained, memory=memory))
    return _restored(root, folder, found) if found else None


def offended(context: RunContext, task: Task, run: str) -> str:
    """Return what an agent's run was found to have changed, ever; empty when nothing."""
    found = protect.offences(folder_of(context, task, run))
    made = any(one.kind == ADDED for one in found)
    hint = "; a file that the step is to make stands in its outputs" if made else ""
    return f"the agent changed what judges it ({_named(found)}); it was put back{hint}" if found else ""


def offended_before(context: RunContext, task: Task) -> str:
    """Return what any run of the task was found to have changed: no later one makes up for it."""
    newest = runs.main_number(runs.newest_main(context.root, task.task_id))
    told = (offended(context, task, f"main.{number}") for number in range(1, newest + 1))
    return next(filter(None, told), "")


def at_work(root: str, state: StepState) -> bool:
    """Tell whether an agent was let go for a step and its end is not in the log."""
    if state.verdict or not state.task_id or not runs.remembers(root, state.task_id):
        return False
    return state.run_closed != f"{state.task_id}/{runs.newest_main(root, state.task_id)}"


def folder_of(context: RunContext, task: Task, run: str) -> str:
    return os.path.join(context.folder(task, run), runs.GUARDED)


def _restored(root: str, folder: str, found: tuple[Change, ...]) -> ProtectedRestored:
    back = [spelled(one.path) for one in found if one.restored]
    lost = tuple(spelled(f"{one.path}: {one.why}") for one in found if not one.restored)
    more = (f"and {len(back) - MOST_NAMED} more",) if len(back) > MOST_NAMED else ()
    kept = os.path.relpath(os.path.join(folder, "taken"), root)
    run = os.path.basename(os.path.dirname(folder))
    return ProtectedRestored(run=run, paths=(*back[:MOST_NAMED], *more), lost=lost[:MOST_NAMED], kept=kept)


def _named(found: tuple[Change, ...]) -> str:
    paths = list(dict.fromkeys(spelled(one.path) for one in found))
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return f"{', '.join(paths[:5])}{more}"

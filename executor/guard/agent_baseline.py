"""The files that judge an agent, and the log: recorded before its work, restored after it."""

from __future__ import annotations

import os

from executor.errors import DoTasksError
from executor.guard import locked_paths, log_guard, path_patterns, protect, startup_places, task_records
from executor.guard.autostart_files import ENVIRONMENTS
from executor.guard.file_state import ADDED, list_in_words
from executor.guard.snapshot import SPEC
from executor.guard.startup_places import outputs_of
from executor.plan.limits import sandbox_of
from executor.plan.step_ids import plan_of
from executor.store import plan_files, runs
from executor.store.events import ProtectedRestored
from executor.system.process_loop import stop_strays
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import escaped_line

if TYPE_CHECKING:
    from executor.guard.file_state import Change
    from executor.guard.log_guard import LogMark
    from executor.guard.snapshot import Memory
    from executor.guard.startup_files import Startup
    from executor.store.context import RunContext
    from executor.store.log_writer import LogWriter
    from executor.store.step_state import StepState
    from executor.store.task import Task

MOST_NAMED = 20
SNAPSHOT_GONE = "what judges it was remembered, and that is gone: nobody knows what the agent changed"


class Baseline(Record):
    """The state before an agent was started, in the memory of the executor that started it."""

    memory: Memory
    mark: LogMark


def globs_of(context: RunContext) -> tuple[str, ...]:
    """Return the globs of the files that no agent of this plan may change."""
    return path_patterns.judge_globs(context.plan.settings.protected, context.relative(context.project.definitions))


def guarded_globs(context: RunContext, task: Task) -> tuple[str, ...]:
    """Return `globs_of` and the files of the other plans of this project, while an agent works under this process.

    A plan with a job is left out, for the job may tick it; so is a plan that the step of the task is to make.
    """
    own = context.plan.settings.plan
    busy = {plan_of(key) or SPEC for key, state in context.recalled.states.items() if _is_job(state)} - {own or SPEC}
    made = {*outputs_of(task.step)}
    plans = plan_files.others(context.root, own or SPEC)
    free = [globs for globs in plans if globs[0] not in busy and not made.intersection(globs)]
    return (*globs_of(context), *path_patterns.judge_globs((one for globs in free for one in globs), ""))


def _is_job(state: StepState) -> bool:
    return bool(state.job) and state.verdict in ("", "started")


def startup_of(context: RunContext, task: Task) -> Startup:
    """Return the files that the judges of this plan read as they start, without those that the step is to make."""
    environ, wanted = context.environment(task), sandbox_of(task.step.main, context.plan.settings)
    may_install = wanted.environment == "writable"
    own = (*ENVIRONMENTS, *locked_paths.environments(context.root, environ, context.python)) if may_install else ()
    return startup_places.startup_of(
        context.plan,
        task.step,
        root=context.root,
        python=context.python,
        environ=environ,
        sources=context.sources,
        writable=(*wanted.write, *own),
    )


def take_baseline(context: RunContext, task: Task, run: str, *, role: str, startup: Startup) -> Baseline:
    """Record the judges of an agent, its role, the records and the log, just before it is started."""
    folder, states = snapshot_folder(context, task, run), context.states.values()
    running = {state.task_id for state in states if state.job and _may_write(context.root, state)}
    records = task_records.record_places(context.root, states, without=task.task_id, running=running)
    wanted = startup.replace(folders={**startup.folders, **dict(records)})
    memory = protect.take_snapshot(
        context.root, folder, (*guarded_globs(context, task), role), wanted, context.source.name
    )
    return Baseline(memory, log_guard.mark_log(context.journal, folder, jobs=running))


def _may_write(root: str, state: StepState) -> bool:
    """Return True for a job without a verdict, and for one whose supervisor still lives."""
    return state.verdict in ("", "started") or bool(runs.supervisor(root, state.task_id))


def restore_and_report(context: RunContext, task: Task, run: str, baseline: Baseline | None = None) -> str:
    """Restore the files that the agent changed and log it; return why that fails the step, empty without changes.

    Without `baseline`, of another executor, the files on disk count.
    """
    folder = snapshot_folder(context, task, run)
    if not (baseline or protect.has_snapshot(folder)):
        return SNAPSHOT_GONE
    event = restore(context.journal, folder, task_id=task.task_id, baseline=baseline)
    if event:
        context.catch_up(anew=True)
        context.log(event, task)
    return describe_changes(context, task, run)


def repair_folders(context: RunContext, task: Task, run: str) -> None:
    """Repair the folders of a run; those that were changed count as changes of judges."""
    folder = snapshot_folder(context, task, run)
    protect.record_changes(folder, protect.repair_folders(context.root, folder))


def end_and_restore(context: RunContext, task: Task, run: str, baseline: Baseline | None) -> None:
    """End an agent after an error and restore its judges: the error may be its work."""
    if baseline is None:
        return
    stop_strays(f"{task.task_id}/{run}", context.interrupts, root=context.root)
    repair_folders(context, task, run)
    folder = snapshot_folder(context, task, run)
    try:
        restore(context.journal, folder, task_id=task.task_id, baseline=baseline)
    except (DoTasksError, OSError):  # a full disk, or a broken log: the judges are restored all the same
        protect.undo(context.root, folder, memory=baseline.memory)
    protect.mark_pending(context.root, folder)


def restore(
    journal: LogWriter, folder: str, *, task_id: str, baseline: Baseline | None = None
) -> ProtectedRestored | None:
    """Restore the snapshot of a folder; return the event to log, None without changes."""
    root = os.path.dirname(journal.path)
    mark, memory = (baseline.mark, baseline.memory) if baseline else (None, None)
    seen = log_guard.verify(journal, folder, task_id=task_id, mark=mark)
    ends = task_records.forged_ends(root, seen.jobs, folder)
    protect.record_changes(folder, ends)
    found = (*ends, *seen.found, *protect.undo(root, folder, explained=seen.explained, memory=memory))
    return _restored(root, folder, found) if found else None


def describe_changes(context: RunContext, task: Task, run: str) -> str:
    """Return the changes that were ever found of an agent's run, in words; empty for none."""
    found = protect.found_changes(snapshot_folder(context, task, run))
    if not found:
        return ""
    hint = "; a file that the step is to make stands in its outputs" if ADDED in (one.kind for one in found) else ""
    paths = dict.fromkeys(escaped_line(one.path) for one in found)
    return f"the agent changed what judges it ({list_in_words(paths)}); it was put back{hint}"


def describe_earlier_changes(context: RunContext, task: Task) -> str:
    """Return the changes of any run of the task, in words: no later run makes up for them."""
    newest = runs.main_number(runs.newest_main(context.root, task.task_id))
    messages = (describe_changes(context, task, f"main.{number}") for number in range(1, newest + 1))
    return next(filter(None, messages), "")


def is_agent_running(root: str, state: StepState) -> bool:
    """Return True when an agent was started for a step and its end is not in the log."""
    if state.verdict or not state.task_id or not runs.has_snapshot(root, state.task_id):
        return False
    return state.run_closed != f"{state.task_id}/{runs.newest_main(root, state.task_id)}"


def snapshot_folder(context: RunContext, task: Task, run: str) -> str:
    return os.path.join(context.folder(task, run), runs.GUARDED)


def _restored(root: str, folder: str, found: tuple[Change, ...]) -> ProtectedRestored:
    back = [escaped_line(one.path) for one in found if one.restored]
    lost = tuple(escaped_line(f"{one.path}: {one.why}") for one in found if not one.restored)
    more = (f"and {len(back) - MOST_NAMED} more",) if len(back) > MOST_NAMED else ()
    kept = os.path.relpath(os.path.join(folder, "taken"), root)
    run = os.path.basename(os.path.dirname(folder))
    return ProtectedRestored(run=run, paths=(*back[:MOST_NAMED], *more), lost=lost[:MOST_NAMED], kept=kept)

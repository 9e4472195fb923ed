"""What judges an agent, and the record of it: as they were before its work, whatever it did."""

from __future__ import annotations

import os

from executor import follow, guarded, jobs, protect, record_guard
from executor.bench import Task
from executor.events import ProtectedRestored
from executor.recall import Decision
from executor.values import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from executor.bench import Bench
    from executor.journal import Journal
    from executor.mend import Change
    from executor.record_guard import Mark
    from executor.snapshot import Memory
    from executor.state import StepState

MOST_NAMED = 20


class Watched(Value):
    """What was remembered before an agent was let go, held by the executor that let it go."""

    memory: Memory
    mark: Mark


def globs_of(bench: Bench) -> tuple[str, ...]:
    """Return what no agent of this plan may change."""
    return guarded.globs(bench.plan.settings.protect, bench.relative(bench.project.definitions))


def remember(bench: Bench, task: Task, run: str) -> Watched:
    """Remember all that judges the agent, and the log, just before it is let go."""
    folder = _folder(bench, task, run)
    memory = protect.remember(bench.root, folder, globs_of(bench))
    running = {state.task_id for state in bench.states.values() if state.job and state.verdict in ("", "started")}
    return Watched(memory, record_guard.remember(bench.journal, folder, jobs=running))


def settle(bench: Bench, task: Task, run: str, watched: Watched | None = None) -> str:
    """Put back what the agent changed and log it; return why that fails the step, empty when it changed nothing.

    Without `watched` another executor let it go: what it left on disk counts.
    """
    folder = _folder(bench, task, run)
    if not (watched or protect.remembered(folder)):
        return "what judges it was remembered, and that is gone: nobody knows what the agent changed"
    told = put_back(bench.journal, folder, task_id=task.task_id, watched=watched)
    if told:
        bench.recalled = follow.recall(bench.root)  # the log may be another one
        bench.states = bench.recalled.states
        bench.log(told, task)
    return offended(bench, task, run)


def put_back(
    journal: Journal, folder: str, *, task_id: str, watched: Watched | None = None
) -> ProtectedRestored | None:
    """Put back what was remembered in this folder; return what to log, None when nothing was changed."""
    root = os.path.dirname(journal.path)
    mark, memory = (watched.mark, watched.memory) if watched else (None, None)
    seen = record_guard.verify(journal, folder, task_id=task_id, mark=mark)
    found = (*seen.found, *protect.undo(root, folder, explained=seen.explained, memory=memory))
    return _restored(root, folder, found) if found else None


def offended(bench: Bench, task: Task, run: str) -> str:
    """Return what an agent's run was found to have changed, ever; empty when nothing."""
    found = protect.offences(_folder(bench, task, run))
    return f"the agent changed what judges it ({_named(found)}); it was put back" if found else ""


def offended_before(bench: Bench, task: Task) -> str:
    """Return what any run of the task was found to have changed: no later one makes up for it."""
    newest = int(jobs.newest_main(bench.root, task.task_id).removeprefix("main."))
    told = (offended(bench, task, f"main.{number}") for number in range(1, newest + 1))
    return next(filter(None, told), "")


def left_alone(bench: Bench) -> int:
    """See to agents whose executor died, before a box is read; return the step of one that still works, else 0."""
    living = 0
    for number, task_id in _unsettled(bench):
        run = jobs.newest_main(bench.root, task_id)
        decision = Decision("run", "its executor was gone")
        digest = bench.state(number).digest
        task = Task(bench.step(number), task_id, digest, decision, began=bench.now(), runner="agent")
        if settle(bench, task, run):
            bench.read_again()
        if jobs.look_at(bench.root, task_id, run).status == "alive":
            protect.pend(bench.root, _folder(bench, task, run))
            living = number
    return living


def _unsettled(bench: Bench) -> list[tuple[int, str]]:
    """Return the steps with their tasks whose agent nobody has looked after yet."""
    folder = protect.unfinished(bench.root)
    pending = os.path.basename(os.path.dirname(os.path.dirname(folder))) if folder else ""
    open_tasks = [(number, state.task_id) for number, state in bench.states.items() if at_work(bench.root, state)]
    known = [(number, state.task_id) for number, state in bench.states.items() if state.task_id == pending]
    return list(dict.fromkeys((*open_tasks, *(known if pending else ()))))


def at_work(root: str, state: StepState) -> bool:
    """Tell whether an agent was let go for a step and its end is not in the log."""
    if state.verdict or not state.task_id or not jobs.remembers(root, state.task_id):
        return False
    return state.run_closed != f"{state.task_id}/{jobs.newest_main(root, state.task_id)}"


def _folder(bench: Bench, task: Task, run: str) -> str:
    return os.path.join(bench.folder(task, run), jobs.GUARDED)


def _restored(root: str, folder: str, found: tuple[Change, ...]) -> ProtectedRestored:
    back = [one.path for one in found if one.restored]
    lost = tuple(f"{one.path}: {one.why}" for one in found if not one.restored)
    more = (f"and {len(back) - MOST_NAMED} more",) if len(back) > MOST_NAMED else ()
    kept = os.path.relpath(os.path.join(folder, "taken"), root)
    run = os.path.basename(os.path.dirname(folder))
    return ProtectedRestored(run=run, paths=(*back[:MOST_NAMED], *more), lost=lost[:MOST_NAMED], kept=kept)


def _named(found: tuple[Change, ...]) -> str:
    paths = list(dict.fromkeys(one.path for one in found))
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return f"{', '.join(paths[:5])}{more}"

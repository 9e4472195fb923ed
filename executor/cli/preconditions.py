"""Conditions under which a command refuses to start: an agent at work, unrecorded runs, an open brief."""

from __future__ import annotations

import os
import sys
import time

from executor.errors import BusyError, UsageError
from executor.plan.step_ids import id_of, natural_order
from executor.store import log_reader, runs
from executor.store.events import BriefRepeated
from executor.store.project import STATE_FOLDER
from executor.system import lazy_regex, run_lock, run_processes
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from executor.plan.step_ids import StepId
    from executor.store.log_reader import LogState
    from executor.store.step_state import StepState

GIVER = lazy_regex.pattern(r"\d{1,9} \d{1,18} \S+ .*")
BRIEF_EVENTS = ("BriefGiven", BriefRepeated.__name__)
SETTLE_S = 0.1  # a supervisor that restarts its job records the run within that


def refuse_while_agent_works(root: str, command: str) -> None:
    """Raise BusyError when an agent works here, with an executor or without.

    A line that a person adds to the log could not be distinguished from one of the agent's.
    """
    if not os.path.exists(os.path.join(root, STATE_FOLDER, "guarding")):
        return
    from executor.guard.protect import unfinished_folder

    folder = unfinished_folder(root)
    if folder:
        task_id = os.path.basename(os.path.dirname(os.path.dirname(folder)))
        raise BusyError(
            f"the agent of {task_id} is at work here, or was interrupted; {command} waits until its work is judged:"
            f" do-tasks --continue, or end it: do-tasks stop {task_id}"
        )


def refuse_unrecorded_runs(root: str, recalled: LogState) -> None:
    """Raise UsageError for a living run whose log or whose `.do-tasks/` was removed or replaced."""
    if recalled.rebuilt:
        _refuse_unlogged(root, recalled)
    if run_lock.root_is_held(root) or not os.path.isdir(os.path.join(root, runs.JOBS)):
        _refuse_without_folder(root)


def _refuse_unlogged(root: str, recalled: LogState) -> None:
    known = {state.task_id for state in recalled.states.values()}
    living = runs.living_tasks(root, known)
    if living:
        raise UsageError(
            f"{living[0]} is running, but the log has no line of it; restore .task_execution.log"
            f" (git stash pop, a backup), or end the run: do-tasks stop {living[0]}"
        )


def _refuse_without_folder(root: str) -> None:
    """Raise UsageError for a living run without a folder; the locks of runs are read first, as /proc takes longer."""
    if not run_processes.unrecorded_runs(root):
        return
    time.sleep(SETTLE_S)
    for run, pid in run_processes.unrecorded_runs(root).items():
        task_id = run.partition("/")[0]
        raise UsageError(
            f"{run} is running (pid {pid}), but .do-tasks/ has no record of it: the folder was removed or replaced."
            f" Move the new folder away and restore the old one (git stash pop, a backup),"
            f" or end the run: do-tasks stop {task_id}"
        )


def waiting(states: Mapping[StepId, StepState]) -> list[StepId]:
    """Return the steps with an open brief."""
    return sorted((id_of(number) for number, state in states.items() if state.verdict == "waiting"), key=natural_order)


def refuse_briefed_process(root: str, states: Mapping[StepId, StepState], words: str) -> None:
    """Raise UsageError unless a person at a terminal types these words; a process that received a brief may not."""
    from executor.guard import brief_snapshot, person  # needed only with an open brief

    briefed = [state for state in states.values() if state.judges or state.verdict == "waiting"]
    lines = [line for state in briefed for line in _given(root, state)]
    given = {str(one) for line in lines for one in line.get("givers") or ()}
    given.update(one for state in briefed for one in brief_snapshot.recipients_of(state.judges))
    person.refuse_unless_person(words, root=root, given=[one for one in given if GIVER.fullmatch(one)])


def _given(root: str, state: StepState) -> Iterator[dict[str, Any]]:
    return (line for line in log_reader.task_lines(root, state.task_id) if line.get("event") in BRIEF_EVENTS)


def is_person(root: str, states: Mapping[StepId, StepState]) -> bool:
    """Return True when this process received no brief and has a terminal."""
    try:
        refuse_briefed_process(root, states, "this")
    except UsageError:
        return False
    return True


def confirm(number: StepId, question: str) -> bool:
    """Ask at the terminal; return True when the number of the step is typed back."""
    print(f"{question} Type the number of the step ({number}) to confirm: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == str(number)

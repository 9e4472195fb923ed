"""What a person alone may do while a brief is out: at a terminal, in no process tree that was given the brief."""

from __future__ import annotations

import re
import sys

from executor.errors import UsageError
from executor.guard import person
from executor.store import log_reader
from executor.store.events import BriefRepeated
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from executor.store.step_state import StepState

GIVER = re.compile(r"\d{1,9} \d{1,18} \S+ .*")
GIVEN = ("BriefGiven", BriefRepeated.__name__)


def waiting(states: Mapping[int, StepState]) -> list[int]:
    """Return the steps whose brief is out."""
    return sorted(number for number, state in states.items() if state.verdict == "waiting")


def refuse_other(root: str, states: Mapping[int, StepState], words: str) -> None:
    """Raise UsageError unless a person may type these words: not the process of a brief, not without a terminal."""
    from executor.guard import brief_snapshot  # only where a brief may be out

    briefed = [state for state in states.values() if state.judges or state.verdict == "waiting"]
    lines = [line for state in briefed for line in _given(root, state)]
    given = {str(one) for line in lines for one in line.get("givers") or ()}
    given.update(one for state in briefed for one in brief_snapshot.givers_of(state.judges))
    person.refuse_other(words, root=root, given=[one for one in given if GIVER.fullmatch(one)])


def typed(number: int, question: str) -> bool:
    """Ask at the terminal; return True when the number of the step is typed back."""
    print(f"{question} Type the number of the step ({number}) to say yes: ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip()
    return answer == str(number)


def is_a_person(root: str, states: Mapping[int, StepState]) -> bool:
    """Return True when nothing speaks against a person at a terminal."""
    try:
        refuse_other(root, states, "this")
    except UsageError:
        return False
    return True


def _given(root: str, state: StepState) -> Iterator[dict[str, Any]]:
    return (line for line in log_reader.task_lines(root, state.task_id) if line.get("event") in GIVEN)

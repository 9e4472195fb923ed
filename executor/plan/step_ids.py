"""Ids of steps: numbers in SPEC.md, texts in plans of other tools; and the ids of their tasks."""

from __future__ import annotations

import os
import re

from executor.system import lazy_regex

StepId = int | str

TASK = lazy_regex.pattern(r"task_([A-Za-z0-9_]{1,80})_[0-9a-f]{8}")
_OTHER = lazy_regex.pattern(r"[^A-Za-z0-9]")
PLAN_END = "\0"  # between the file of a plan and the id of its task, in keys of states
MOST_CHARACTERS = 80  # of a step's id in the id of a task


def task_stem(step: StepId) -> str:
    """Return the part of a task id that names its step: letters, digits and `_` alone."""
    return _OTHER.sub("_", str(step))[:MOST_CHARACTERS]


def new_task_id(step: StepId) -> str:
    """Return the id of a new task of a step."""
    return f"task_{task_stem(step)}_{os.urandom(4).hex()}"


def is_task_of(task_id: str, step: object) -> bool:
    """Return True for the id of a task of this step; False for a step that is neither a number nor a text."""
    found = TASK.fullmatch(task_id)
    if found is None or isinstance(step, bool) or not isinstance(step, (int, str)):
        return False
    return found[1] == task_stem(step)


def key_of(step: StepId) -> str:
    """Return a step's id as a key in JSON: a number as it is, a text behind `=`."""
    return str(step) if isinstance(step, int) else f"={step}"


def of_key(key: str) -> StepId:
    """Return the step of a key in JSON; ValueError for a key of another form."""
    return key[1:] if key.startswith("=") else int(key)


def natural_order(step: StepId) -> tuple[int, int, str]:
    """Return a key that sorts steps of any plan: by number, then texts by the number in them."""
    if isinstance(step, int):
        return 0, step, ""
    digits = re.search(r"\d{1,9}", step)
    return 1, int(digits[0]) if digits else 0, step


def in_plan(step: StepId, plan: str) -> StepId:
    """Return the key of a step among the states of all plans of a log; `plan` is empty for SPEC.md."""
    return f"{plan}{PLAN_END}{step}" if plan else step


def id_of(key: StepId) -> StepId:
    """Return the id of the step in a key of `in_plan`."""
    return key.rpartition(PLAN_END)[2] if isinstance(key, str) else key


def plan_of(key: StepId) -> str:
    """Return the file of the plan in a key of `in_plan`, empty for SPEC.md."""
    return key.rpartition(PLAN_END)[0] if isinstance(key, str) else ""

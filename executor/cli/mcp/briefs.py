"""Briefs that wait for whoever called: where one is, what it says."""

from __future__ import annotations

import os
import re

from executor.errors import UsageError
from executor.store import log_reader, project, runs
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import clean_control as safe
from executor.system.text import quoted

if TYPE_CHECKING:
    from typing import Any

    from executor.store.step_state import StepState

TASK = re.compile(r"task_(\d+)_[0-9a-f]{8}")
WANTED = re.compile(r"^When the work is done: do-tasks resume (task_\d+_[0-9a-f]{8})(?: --project .*)?$", re.MULTILINE)
ELSEWHERE = "[the brief stands under `brief`]"


class Given(Record):
    """A brief that is out: its text for a model, `body` the same as JSON."""

    task_id: str
    text: str
    body: Any


def find_brief(start: str, which: str) -> Given:
    """Return the brief of a task id, of a step's number, or the only one there is; UsageError names those there are."""
    here = project.find(start)
    out = {state.task_id: number for number, state in _waiting(here.root).items()}
    asked = [task_id for task_id, number in out.items() if which in ("", task_id, str(number))]
    if len(asked) != 1:
        named = ", ".join(f"{task_id} (step {number})" for task_id, number in out.items()) or "none"
        what = f"{quoted(which)} has no brief" if which else "say which brief" if out else "there is no brief"
        raise UsageError(f"{what}; those that wait for an answer: {named}; see: do-tasks list")
    text, body = (files.read(_path(here.root, asked[0], name)) for name in ("brief.md", "brief.json"))
    return Given(asked[0], text.decode("utf-8", "replace"), safe_open.parse_json(body or b"null"))


def _waiting(root: str) -> dict[int, StepState]:
    """Return the steps whose newest task waits for whoever called."""
    states = log_reader.recall(root).states
    return {
        number: state
        for number, state in sorted(states.items())
        if state.verdict == "waiting" and os.path.isfile(_path(root, state.task_id, "brief.md"))
    }


def _path(root: str, task_id: str, name: str) -> str:
    return os.path.join(runs.run_folder(root, task_id, runs.newest_main(root, task_id)), name)


def named_in(transcript: str) -> str:
    """Return the last task that a transcript wants to have resumed, empty when none."""
    return next((str(task_id) for task_id in reversed(WANTED.findall(transcript))), "")


def without(transcript: str, given: Given) -> str:
    """Return the transcript without the brief, which is printed there whole."""
    return transcript.replace("\n".join(map(safe, given.text.splitlines())), ELSEWHERE)

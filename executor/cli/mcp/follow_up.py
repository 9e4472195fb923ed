"""The follow-up of a command for an agent: the open brief, or the next call of `run`."""

from __future__ import annotations

import json
import os
import re
import shlex

from executor.cli.next_command import read_words, remaining, remembered
from executor.errors import DoTasksError, UsageError
from executor.plan.step_ids import id_of, natural_order
from executor.store import log_reader, project, runs
from executor.store.project_view import ProjectView
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import clean_control, quoted

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from executor.plan.step_ids import StepId

WANTED = re.compile(r"^When the work is done: do-tasks resume (task_\w+_[0-9a-f]{8})(?: --project .*)?$", re.MULTILINE)
ELSEWHERE = "[the brief is under `brief`]"
MOVES = {
    0: "Continue the request: {call}.",
    1: "The transcript shows the failure, `why` what would run. Fix the cause, not the check; then {call}.",
    3: "Wait for what the transcript names: `monitor` shows background jobs, `why` a dependency. Then {call}.",
    130: "{call} continues where it stopped.",
}
ACCEPTS = re.compile(r"a person accepts it: (do-tasks accept \S+)$", re.MULTILINE)
PERSON = (
    "A person has to decide: the files that judge the step have changed since its brief. Restore what you changed,"
    " nothing else, and repeat the call. If you changed nothing, or the change has to stay, show the user the"
    " transcript and say that they may type `{command}` in a terminal of their own. No tool accepts; do not type it."
)
NOTHING = "Nothing is left of the request: it is done, or its job runs (`monitor`). `status` shows the whole plan."


class OpenBrief(Record):
    """A brief that waits for an answer: its text for a model, `body` the same as JSON."""

    task_id: str
    text: str
    body: Any


def find_brief(start: str, plan_file: str, which: str) -> OpenBrief:
    """Return the open brief of a task id or step, the only one for an empty text; UsageError lists the open briefs."""
    here = project.find_for(plan_file, start)
    states = sorted(log_reader.recall(here.root).states.items(), key=lambda one: natural_order(one[0]))
    waiting = {state.task_id: id_of(number) for number, state in states if state.verdict == "waiting"}
    out = {task: number for task, number in waiting.items() if os.path.isfile(_path(here.root, task, "brief.md"))}
    asked = [task_id for task_id, number in out.items() if which in ("", task_id, str(number))]
    if len(asked) != 1:
        named = ", ".join(f"{task_id} (step {number})" for task_id, number in out.items()) or "none"
        what = f"{quoted(which)} has no brief" if which else "name one brief" if out else "there is no brief"
        raise UsageError(f"{what}; open briefs: {named}; see: do-tasks list")
    text, body = (files.read(_path(here.root, asked[0], name)) for name in ("brief.md", "brief.json"))
    return OpenBrief(asked[0], text.decode("utf-8", "replace"), safe_open.parse_json(body or b"null"))


def _path(root: str, task_id: str, name: str) -> str:
    return os.path.join(runs.run_folder(root, task_id, runs.newest_main(root, task_id)), name)


def named_in(transcript: str) -> str:
    """Return the last task that a transcript asks to resume, empty when there is none."""
    return next((str(task_id) for task_id in reversed(WANTED.findall(transcript))), "")


def without(transcript: str, given: OpenBrief) -> str:
    """Return the transcript with the text of the brief replaced by a reference."""
    return transcript.replace("\n".join(map(clean_control, given.text.splitlines())), ELSEWHERE)


def person_wanted(transcript: str) -> str:
    """Return the next move when only a person can decide, empty in all other cases."""
    found = ACCEPTS.search(transcript)
    return PERSON.format(command=found[1]) if found else ""


def move_after(start: str, plan_file: str, words: list[str], exit_code: int) -> str:
    """Return the next move after `run` or `resume`, empty where that of the exit code applies.

    `plan_file` is the plan that the server was started for, empty for that of the project.
    """
    if exit_code not in MOVES or words[0] not in ("run", "resume"):
        return ""
    try:
        here = project.find_for(plan_file, start)
        plan, _ = project.load(here)
        view = ProjectView(here, plan, log_reader.recall(here.root))
        view.follow_numbers(view.boxes())
        if words[0] == "run":
            return _after_run(view, words[1:], exit_code)
        return _after_resume(view, words[-1], exit_code)
    except DoTasksError:
        return ""


def _after_run(view: ProjectView, words: list[str], exit_code: int) -> str:
    args = read_words(shlex.join(words))
    if args is None or args.rerun:
        return NOTHING if args and exit_code == 0 else ""
    return _move(view, args, exit_code)


def _after_resume(view: ProjectView, task_id: str, exit_code: int) -> str:
    args = remembered(view.root, task_id)
    number = next((number for number, state in view.states.items() if state.task_id == task_id), None)
    if args is None or number is None:
        return ""
    passed = view.state(number).verdict == "passed"
    return _move(view, args, exit_code, at=number, passed=passed)


def _move(view: ProjectView, args: Namespace, exit_code: int, at: StepId = 0, *, passed: bool = True) -> str:
    view.follow_request(asked_runner=args.runner, strict=args.strict)
    more, notes = remaining(view, args, at=at, passed=passed)
    if more is None:
        return clean_control(" ".join([NOTHING, *notes])) if exit_code == 0 else ""
    return MOVES[exit_code].format(call=call_of(more))


def call_of(args: Namespace) -> str:
    """Return the call of the tool `run` for a selection, its arguments as JSON."""
    words = {"step": args.step} if args.step else {"mode": "all"} if args.all else {}
    names = {
        "runner": "runner",
        "wait_s": "wait",
        "rerun": "rerun",
        "force": "force",
        "strict": "strict",
        "values": "set",
        "agent_from_text": "agent_from_text",
    }
    words |= {name: value for name, option in names.items() if (value := getattr(args, option))}
    return f"`run` {clean_control(json.dumps(words, ensure_ascii=False))}"

"""The next call of `run`, when something is left of what was asked for."""

from __future__ import annotations

import json
import re
import shlex

from executor.cli.next_command import read_words, remaining, remembered
from executor.errors import DoTasksError
from executor.store import log_reader, project
from executor.store.project_view import ProjectView
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control

if TYPE_CHECKING:
    from argparse import Namespace

MOVES = {
    0: "Go on with what was asked for: {call}.",
    1: "The transcript says what failed, `why` what would run. Mend the cause, not the check; then {call}.",
    3: "Wait for what the transcript names: `monitor` shows background jobs, `why` a dependency. Then {call}.",
    130: "{call} goes on where it stopped.",
}
ACCEPTS = re.compile(r"a person accepts it: (do-tasks accept \d+)$", re.MULTILINE)
WANTED = (
    "A person has to look: what judges the step is not as it was at its brief. Put back what you changed, and nothing"
    " else, then make the same call again. If you changed nothing, or it has to stay, show the user the lines of the"
    " transcript, and say that they may type `{command}` in a terminal of their own. No tool accepts; do not type it."
)
NOTHING = (
    "Nothing is left of what was asked for: it is done, or its job runs (`monitor`). `status` shows the whole plan."
)


def person_wanted(transcript: str) -> str:
    """Return the next move when only a person can say how it goes on; empty when that is not so."""
    found = ACCEPTS.search(transcript)
    return WANTED.format(command=found[1]) if found else ""


def move_after(start: str, words: list[str], exit_code: int) -> str:
    """Return the next move after `run` or `resume`; empty where the usual one will do."""
    if exit_code not in MOVES or words[0] not in ("run", "resume"):
        return ""
    try:
        here = project.find(start)
        plan, _ = project.load(here)
        desk = ProjectView(here, plan, log_reader.recall(here.root))
        desk.follow_numbers(desk.boxes())
        if words[0] == "run":
            return _after_run(desk, words[1:], exit_code)
        return _after_resume(desk, words[-1], exit_code)
    except DoTasksError:
        return ""


def _after_run(desk: ProjectView, words: list[str], exit_code: int) -> str:
    args = read_words(shlex.join(words))
    if args is None or args.rerun:
        return NOTHING if args and exit_code == 0 else ""
    return _move(desk, args, exit_code)


def _after_resume(desk: ProjectView, task_id: str, exit_code: int) -> str:
    args = remembered(desk.root, task_id)
    number = next((number for number, state in desk.states.items() if state.task_id == task_id), -1)
    if args is None or number < 0:
        return ""
    passed = desk.state(number).verdict == "passed"
    return _move(desk, args, exit_code, behind=number if passed else number - 1)


def _move(desk: ProjectView, args: Namespace, exit_code: int, behind: int = 0) -> str:
    desk.strict = desk.strict or args.strict
    desk.asked_runner = args.runner
    more, notes = remaining(desk, args, behind=behind)
    if more is None:
        return clean_control(" ".join([NOTHING, *notes])) if exit_code == 0 else ""
    return MOVES[exit_code].format(call=call_of(more))


def call_of(args: Namespace) -> str:
    """Return the call of the tool `run` that asks for a selection, its arguments as JSON."""
    words = {"step": args.step} if args.step else {"mode": "all"} if args.all else {}
    said = {"runner": args.runner, "wait_s": args.wait, "rerun": args.rerun, "force": args.force, "strict": args.strict}
    told = {name: value for name, value in said.items() if value}
    return f"`run` {clean_control(json.dumps(words | told, ensure_ascii=False))}"

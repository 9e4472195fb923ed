"""Who does a step's MAIN, with the digest of what that is."""

from __future__ import annotations

import os

from executor import choose, files
from executor.choose import AGENTS, CREDENTIALS, VARIABLE
from executor.errors import UsageError
from executor.project import script_path
from executor.recall import digest_parts
from executor.steps import Main
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    from executor.choose import Choice
    from executor.plan import Plan
    from executor.project import Project
    from executor.state import StepState
    from executor.steps import Step

    class Desk(Protocol):
        """A project as it lies there, as far as a digest needs it."""

        project: Project
        plan: Plan
        asked_runner: str

        @property
        def root(self) -> str: ...

        def step(self, number: int) -> Step: ...

        def state(self, number: int) -> StepState: ...


READY = ("command", *AGENTS)
OPEN = ("", "waiting", "interrupted", "lost")


def chosen(desk: Desk, step: Step) -> Choice:
    """Return who does MAIN; UsageError for whom this version does not have."""
    choice = who(desk, step)
    if choice.runner not in READY:
        raise UsageError(f"runner {choice.runner!r} is not part of this version ({choice.why}); say --runner host")
    return choice


def who(desk: Desk, step: Step) -> Choice:
    """Return who does MAIN; a task that is not over stays with whom the command line named for it."""
    main, state = step.main or Main(), desk.state(step.number)
    runs = bool(main.script or main.command)
    lacks = _lacking() if main.agent or not runs else ""
    return choose.runner(
        main,
        desk.plan.settings,
        asked=desk.asked_runner or (state.asked_runner if state.verdict in OPEN else ""),
        environ_runner=os.environ.get(VARIABLE, ""),
        has_credentials=not lacks,
        has_claude=not runs and _has_claude(),
        lacks=lacks,
    )


def _lacking() -> str:
    """Return what an agent of ours lacks to reach a model, empty when nothing: credentials, and the SDK that asks."""
    if not any(map(os.environ.get, CREDENTIALS)):
        return "credentials"
    from importlib.util import find_spec

    return "" if find_spec("anthropic") else "anthropic package (pip install 'do-tasks[agent]')"


def _has_claude() -> bool:
    from executor import claude_files

    return bool(claude_files.program(os.environ.get("PATH", os.defpath)))


def main_digest(desk: Desk, step: Step) -> str:
    """Return the digest of what the step's MAIN does, its written dependencies' included.

    An agent may mend the script, so its text is no part of what it does: its role and its skills are.
    """
    known: dict[int, str] = {}
    for one in _down_to(desk, step):
        known[one.number] = _own_digest(desk, one, known)
    runner = who(desk, step).runner
    if runner not in AGENTS or not step.main:
        return known[step.number]
    from executor import claude_files

    below = {edge.step: known[edge.step] for edge in step.depends_on}
    parts = digest_parts(step, script=b"", env=desk.plan.settings.env or (), dependencies=below)
    told = claude_files.bytes_of(desk.root, agent=step.main.agent or claude_files.USUAL_ROLE, skills=step.main.skills)
    parts["runner"], parts["told"] = runner, [one.hex() for one in told]
    return files.digest(repr(parts).encode())[:32]


def _down_to(desk: Desk, step: Step) -> list[Step]:
    """Return what a step depends on, each once and before who needs it, itself last; no recursion: plans are long."""
    way = [step]
    done: dict[int, Step] = {}
    while way:
        need = next((edge.step for edge in way[-1].depends_on if edge.step not in done), None)
        if need is None:
            last = way.pop()
            done[last.number] = last
        else:
            way.append(desk.step(need))
    return [*done.values()]


def _own_digest(desk: Desk, step: Step, known: dict[int, str]) -> str:
    main = step.main
    if main is None:
        return ""
    path = script_path(desk.project, main.script) if main.script else ""
    below = {edge.step: known[edge.step] for edge in step.depends_on}
    parts = digest_parts(
        step, script=files.read(path) if path else b"", env=desk.plan.settings.env or (), dependencies=below
    )
    return files.digest(repr(parts).encode())[:32]

"""Who does a step's MAIN, with the digest of what that is, by the recipe that is asked for."""

from __future__ import annotations

import os

from executor.errors import UsageError
from executor.plan import runner_choice
from executor.plan.model import Main
from executor.plan.runner_choice import AGENTS, CREDENTIALS, VARIABLE
from executor.store import fingerprint_recipes, input_files
from executor.store.fingerprint_recipes import NEWEST, Made, number_of
from executor.store.project import script_path
from executor.store.sources import behind
from executor.system import files
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from executor.plan.model import Step
    from executor.plan.plan import Plan
    from executor.plan.runner_choice import Choice
    from executor.store.project import Project
    from executor.store.sources import Sources
    from executor.store.step_state import StepState
    from executor.system.run_records import RunStatus

    Known = dict[tuple[int, bool], Made]

    class Desk(Protocol):
        """A project as it lies there, as far as a digest needs it."""

        project: Project
        plan: Plan
        asked_runner: str
        sources: Sources
        strict: bool

        @property
        def root(self) -> str: ...

        def step(self, number: int) -> Step: ...

        def state(self, number: int) -> StepState: ...


READY = ("command", *AGENTS)
OPEN = ("", "waiting", "interrupted", "lost")
PART = 10  # hex digits that tell one part from what it was


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
    return runner_choice.runner(
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
    from executor.store import claude_files

    return bool(claude_files.program(os.environ.get("PATH", os.defpath)))


def main_digest(desk: Desk, step: Step, *, like: str = "", runner: str = "") -> str:
    """Return the digest of what the step's MAIN does, by the newest recipe, or by that of the digest `like`."""
    runner = runner or who(desk, step).runner
    return _first(desk, step, runner) if like and number_of(like) == 1 else made(desk, step, runner=runner).digest


def as_newest(desk: Desk, step: Step, newest: str, state: StepState, seen: RunStatus) -> tuple[StepState, RunStatus]:
    """Return what was recorded, with the newest digest for one of an older recipe that by it is still the same."""
    recorded = (state.digest, state.test_digest, state.main_digest, seen.digest)
    if all(not one or number_of(one) == NEWEST for one in recorded) or step.main is None:
        return state, seen
    older = main_digest(desk, step, like="1")
    digest, test, main, of_run = (newest if one == older else one for one in recorded)
    return state.replace(digest=digest, test_digest=test, main_digest=main), seen.replace(digest=of_run)


def made_by(desk: Desk, step: Step, recorded: tuple[str, ...]) -> str:
    """Return the digest of what makes a step's rows; that of an older recipe where rows recorded by it still fit."""
    if any(number_of(one) == 1 for one in recorded):
        older = main_digest(desk, step, like="1")
        if older in recorded:
            return older
    return main_digest(desk, step)


def made(desk: Desk, step: Step, *, runner: str, known: Known | None = None) -> Made:
    """Return the newest digest of what the step's MAIN does, with its parts; its written dependencies' are in it.

    An agent may mend the script and its modules, so their text is no part of what it does: its role and its skills
    are. `known` are digests of defined steps that were made a moment ago; those of this call are added.
    """
    by_agent = runner in AGENTS
    below: Known = {} if known is None else known
    if known and not by_agent and (step.number, False) in known:
        return known[step.number, False]
    for one in _down_to(desk, step):
        if one is not step and (one.number, by_agent) not in below:
            below[one.number, by_agent] = _second(desk, one, below, modules=not by_agent)
    now = _second(desk, step, below, runner=runner if by_agent else "", modules=not by_agent)
    if not by_agent:
        below[step.number, False] = now
    return now


def _second(desk: Desk, step: Step, below: Known, *, modules: bool, runner: str = "") -> Made:
    main = step.main
    if main is None:
        return Made("")
    path = "" if runner or not main.script else script_path(desk.project, main.script)
    found = _files(desk, main, path, modules=modules)
    needs = {edge.step: below[edge.step, not modules].digest for edge in step.depends_on}
    script = desk.sources.digest(path) if path else ""
    parts = fingerprint_recipes.second(step, script=script, files=found, env=desk.plan.settings.env, dependencies=needs)
    if runner:
        parts |= {"runner": runner, **_told(desk, main)}
    return of_parts(parts, found)


def _files(desk: Desk, main: Main, path: str, *, modules: bool) -> dict[str, dict[str, str]]:
    """Return the files that MAIN reads as it starts: the project's own sources, and its inputs."""
    words = " ".join((main.command, *main.args))
    own = behind(desk.root, script=path, words=words, sources=desk.sources).found if modules else {}
    read = input_files.recorded(desk.root, main.inputs, desk.sources, without=main.outputs) if main.inputs else {}
    return {"modules": own, "inputs": read}


def _told(desk: Desk, main: Main) -> dict[str, object]:
    """Return what an agent is told beside its brief."""
    from executor.store import claude_files

    agent = main.agent or claude_files.USUAL_ROLE
    role, *skills = map(files.digest, claude_files.bytes_of(desk.root, agent=agent, skills=main.skills))
    return {"role": role, "skills": skills}


def of_parts(parts: Mapping[str, object], found: Mapping[str, Mapping[str, str]] | None = None) -> Made:
    """Return the digest of these parts; the numbers of dependencies are not in it, for steps are renumbered."""
    each = {name: files.digest(repr(value).encode()) for name, value in parts.items()}
    plain = sorted((name.partition(" ")[0], digest) for name, digest in each.items())
    whole = files.digest(repr(plain).encode())[:32]
    shortly = {name: digest[:PART] for name, digest in each.items()}
    kept = {
        kind: {path: one[:PART] if input_files.as_content(one) else one for path, one in rows.items()}
        for kind, rows in (found or {}).items()
        if rows
    }
    return Made(f"{NEWEST}:{whole}", shortly, kept)


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


def _first(desk: Desk, step: Step, runner: str) -> str:
    """Return the digest by recipe 1, as it was."""
    known: dict[int, str] = {}
    for one in _down_to(desk, step):
        known[one.number] = _own_first(desk, one, known)
    if runner not in AGENTS or not step.main:
        return known[step.number]
    from executor.store import claude_files

    below = {edge.step: known[edge.step] for edge in step.depends_on}
    parts = fingerprint_recipes.first(step, script=b"", env=desk.plan.settings.env or (), dependencies=below)
    told = claude_files.bytes_of(desk.root, agent=step.main.agent or claude_files.USUAL_ROLE, skills=step.main.skills)
    parts["runner"], parts["told"] = runner, [one.hex() for one in told]
    return files.digest(repr(parts).encode())[:32]


def _own_first(desk: Desk, step: Step, known: dict[int, str]) -> str:
    main = step.main
    if main is None:
        return ""
    path = script_path(desk.project, main.script) if main.script else ""
    below = {edge.step: known[edge.step] for edge in step.depends_on}
    parts = fingerprint_recipes.first(
        step, script=files.content_key(path) if path else b"", env=desk.plan.settings.env or (), dependencies=below
    )
    return files.digest(repr(parts).encode())[:32]

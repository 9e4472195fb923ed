"""The runner and the fingerprint of a step's MAIN, by the recipe that is asked for."""

from __future__ import annotations

import os

from executor.errors import UsageError
from executor.plan import runner_choice
from executor.plan.model import Main
from executor.plan.params import text_of, variable_of
from executor.plan.runner_choice import AGENTS, CREDENTIALS, VARIABLE
from executor.store import fingerprint_recipes, input_files
from executor.store.fingerprint_recipes import NEWEST, Fingerprint, number_of
from executor.store.project import script_path
from executor.store.sources import behind
from executor.store.step_values import used_by_main
from executor.system import files
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.model import Step
    from executor.plan.runner_choice import Choice
    from executor.plan.step_ids import StepId
    from executor.store.project_view import ProjectView
    from executor.store.step_state import StepState
    from executor.system.run_records import RunStatus

    KnownFingerprints = dict[tuple[StepId, bool | str], Fingerprint]  # by step, and for an agent its runner


READY = ("command", *AGENTS)
OPEN = ("", "waiting", "interrupted", "lost")
PART = 10  # hex digits of the digest of one part


def available_runner_for(view: ProjectView, step: Step) -> Choice:
    """Return the runner of MAIN; UsageError for one that this version does not have."""
    choice = runner_for(view, step)
    if choice.runner not in READY:
        raise UsageError(f"runner {choice.runner!r} is not part of this version ({choice.why}); say --runner host")
    return choice


def runner_for(view: ProjectView, step: Step) -> Choice:
    """Return the runner of MAIN; an open task keeps the runner that its command line named."""
    main, state = step.main or Main(), view.state(step.number)
    runs = bool(main.script or main.command)
    lacks = _lacking() if main.agent or not runs else ""
    return runner_choice.runner(
        main,
        view.plan.settings,
        asked=view.asked_runner or (state.asked_runner if state.verdict in OPEN else ""),
        environ_runner=os.environ.get(VARIABLE, ""),
        has_credentials=not lacks,
        has_claude=not runs and _has_claude(),
        lacks=lacks,
    )


def _lacking() -> str:
    """Return the requirement that the runner `agent` lacks, credentials or the SDK; empty when both are there."""
    if not any(map(os.environ.get, CREDENTIALS)):
        return "credentials"
    from importlib.util import find_spec

    return "" if find_spec("anthropic") else "anthropic package (pip install 'do-tasks[agent]')"


def _has_claude() -> bool:
    from executor.store import claude_files

    return bool(claude_files.program(os.environ.get("PATH", os.defpath)))


def main_digest(view: ProjectView, step: Step, *, like: str = "", runner: str = "") -> str:
    """Return the fingerprint of MAIN by the newest recipe, or by that of the fingerprint `like`."""
    runner = runner or runner_for(view, step).runner
    return (
        _first(view, step, runner)
        if like and number_of(like) == 1
        else fingerprint_main(view, step, runner=runner).digest
    )


def by_newest_recipe(
    view: ProjectView, step: Step, newest: str, state: StepState, seen: RunStatus
) -> tuple[StepState, RunStatus]:
    """Return state and run, with `newest` in place of fingerprints by an older recipe that describe the same MAIN."""
    recorded = (state.digest, state.test_digest, state.main_digest, seen.digest)
    if all(not one or number_of(one) == NEWEST for one in recorded) or step.main is None:
        return state, seen
    older = main_digest(view, step, like="1")
    digest, test, main, of_run = (newest if one == older else one for one in recorded)
    return state.replace(digest=digest, test_digest=test, main_digest=main), seen.replace(digest=of_run)


def fingerprint_rows(view: ProjectView, step: Step, recorded: tuple[str, ...]) -> str:
    """Return the fingerprint for a step's rows: a recorded one by an older recipe while it describes the same MAIN."""
    if any(number_of(one) == 1 for one in recorded):
        older = main_digest(view, step, like="1")
        if older in recorded:
            return older
    return main_digest(view, step)


def fingerprint_main(
    view: ProjectView, step: Step, *, runner: str, known: KnownFingerprints | None = None
) -> Fingerprint:
    """Return the newest fingerprint of MAIN, with its parts; it contains those of the written dependencies.

    An agent may change the script and its modules, so their text is not part of it: its role and its skills are.
    `known` are fingerprints of defined steps that are still valid; those of this call are added.
    """
    by_agent = runner in AGENTS
    below: KnownFingerprints = {} if known is None else known
    key = (step.number, runner if by_agent else False)
    if key in below:
        return below[key]
    for one in _down_to(view, step):
        if one is not step and (one.number, by_agent) not in below:
            below[one.number, by_agent] = _second(view, one, below, modules=not by_agent)
    now = _second(view, step, below, runner=runner if by_agent else "", modules=not by_agent)
    below[key] = now
    return now


def _second(view: ProjectView, step: Step, below: KnownFingerprints, *, modules: bool, runner: str = "") -> Fingerprint:
    main = step.main
    if main is None:
        return Fingerprint("")
    path = "" if runner or not main.script else script_path(view.project, main.script)
    found = _files(view, main, path, modules=modules)
    known = {need: below.get((need, not modules)) for need in _needs(view, step)}
    needs = {need: one.digest for need, one in known.items() if one}
    script = view.sources.digest(path) if path else ""
    params = used_by_main(view, step, paths=_texts_of(view, path, found), by_agent=not modules)
    parts = fingerprint_recipes.second(
        step, script=script, files=found, env=view.plan.settings.env, dependencies=needs, params=params
    )
    if runner:
        parts |= {"runner": runner, **_agent_parts(view, main)}
    return fingerprint_parts(parts, found)


def _texts_of(view: ProjectView, path: str, found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the paths of the script and the modules behind it."""
    return [*filter(None, (path,)), *(os.path.join(view.root, name) for name in found.get("modules", ()))]


def variables_of_main(view: ProjectView, step: Step, runner: str) -> dict[str, str]:
    """Return the environment variables of the parameters that MAIN uses."""
    main, by_agent = step.main, runner in AGENTS
    if main is None or not view.plan.settings.params:
        return {}
    path = script_path(view.project, main.script) if main.script and not by_agent else ""
    paths = _texts_of(view, path, _files(view, main.replace(inputs=()), path, modules=not by_agent))
    used = used_by_main(view, step, paths=paths, by_agent=by_agent)
    return {variable_of(name): text_of(value) for name, value in used.items()}


def _files(view: ProjectView, main: Main, path: str, *, modules: bool) -> dict[str, dict[str, str]]:
    """Return the files that MAIN reads: the project's own sources, and its inputs."""
    words = " ".join((main.command, *main.args))
    own = behind(view.root, script=path, words=words, sources=view.sources).found if modules else {}
    read = input_files.recorded(view.root, main.inputs, view.sources, without=main.outputs) if main.inputs else {}
    return {"modules": own, "inputs": read}


def _agent_parts(view: ProjectView, main: Main) -> dict[str, object]:
    """Return the digests of an agent's role and skills."""
    from executor.store import claude_files

    agent = main.agent or claude_files.USUAL_ROLE
    role, *skills = map(files.digest, claude_files.bytes_of(view.root, agent=agent, skills=main.skills))
    return {"role": role, "skills": skills}


def fingerprint_parts(parts: Mapping[str, object], found: Mapping[str, Mapping[str, str]] | None = None) -> Fingerprint:
    """Return the fingerprint of these parts, without the numbers of dependencies: steps are renumbered."""
    each = {name: files.digest(repr(value).encode()) for name, value in parts.items()}
    plain = sorted((name.partition(" ")[0], digest) for name, digest in each.items())
    whole = files.digest(repr(plain).encode())[:32]
    shortly = {name: digest[:PART] for name, digest in each.items()}
    kept = {
        kind: {path: one[:PART] if input_files.as_content(one) else one for path, one in rows.items()}
        for kind, rows in (found or {}).items()
        if rows
    }
    return Fingerprint(f"{NEWEST}:{whole}", shortly, kept)


def _needs(view: ProjectView, step: Step) -> list[StepId]:
    """Return the defined steps that a step depends on as it is written, not by the order of a document."""
    return [edge.step for edge in step.depends_on if not edge.in_order and view.plan.defines(edge.step)]


def _down_to(view: ProjectView, step: Step) -> list[Step]:
    """Return the dependencies of a step in order, each once, the step last; without recursion: plans are long."""
    way = [step]
    done: dict[StepId, Step] = {}
    begun = {step.number}  # the document of another tool may have a circle
    while way:
        need = next((one for one in _needs(view, way[-1]) if one not in begun), None)
        if need is None:
            last = way.pop()
            done[last.number] = last
        else:
            begun.add(need)
            way.append(view.step(need))
    return [*done.values()]


def _first(view: ProjectView, step: Step, runner: str) -> str:
    """Return the fingerprint by recipe 1, which does not change."""
    known: dict[StepId, str] = {}
    for one in _down_to(view, step):
        known[one.number] = _own_first(view, one, known)
    if runner not in AGENTS or not step.main:
        return known[step.number]
    from executor.store import claude_files

    below = {need: known[need] for need in _needs(view, step) if need in known}
    parts = fingerprint_recipes.first(step, script=b"", env=view.plan.settings.env or (), dependencies=below)
    texts = claude_files.bytes_of(view.root, agent=step.main.agent or claude_files.USUAL_ROLE, skills=step.main.skills)
    parts["runner"], parts["told"] = runner, [one.hex() for one in texts]
    return files.digest(repr(parts).encode())[:32]


def _own_first(view: ProjectView, step: Step, known: dict[StepId, str]) -> str:
    main = step.main
    if main is None:
        return ""
    path = script_path(view.project, main.script) if main.script else ""
    below = {need: known[need] for need in _needs(view, step) if need in known}
    parts = fingerprint_recipes.first(
        step, script=files.content_key(path) if path else b"", env=view.plan.settings.env or (), dependencies=below
    )
    return files.digest(repr(parts).encode())[:32]

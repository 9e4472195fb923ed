"""Refuse a step that there is nothing to run for, or nothing that this version can run."""

from __future__ import annotations

from executor.errors import DefinitionError, Problem
from executor.plan.runner_choice import AGENTS
from executor.store.fingerprint import READY, who
from executor.store.project import script_path
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.model import Main, Settings, Step
    from executor.store.fingerprint import Desk


def refuse_unrunnable(desk: Desk, step: Step) -> None:
    """Raise DefinitionError for a step that cannot be run as it is written."""
    main = step.main
    if main is None or not (main.script or main.command or main.agent or main.runner):
        message = "nothing to run: give it a script or a command"
    elif main.script and not script_path(desk.project, main.script) and who(desk, step).runner not in AGENTS:
        message = f"script {main.script} is neither at the root nor in scripts/; write it, or mend the name"
    else:
        message = beyond_this_version(main, desk.plan.settings)
    if message:
        raise DefinitionError(Problem(desk.project.definitions, message, path=f"step_{step.number}_{step.slug}.main"))


def beyond_this_version(main: Main, settings: Settings) -> str:
    """Return what this version cannot do of a MAIN, with the way round; empty when it can do it all."""
    runner = main.runner or settings.runner
    if runner == "command" and not (main.script or main.command):
        return "runner command has nothing to run: give it a script or a command, or say runner: host"
    if runner and runner not in READY:
        return f"runner {runner!r} is not part of this version; say another, or leave it out: its script runs"
    return ""

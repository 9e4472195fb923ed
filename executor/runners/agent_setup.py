"""What an agent is sent out with: its role, its skills, its model, its limits, what contains it."""

from __future__ import annotations

import os

from executor.errors import DefinitionError, UsageError
from executor.guard import sandbox
from executor.guard.sandbox import Containment
from executor.plan import roles
from executor.plan.limits import Bounds, bounds_of, sandbox_of
from executor.plan.model import Main
from executor.runners import brief
from executor.runners.briefing import brief_for
from executor.store import claude_files
from executor.system.records import TYPE_CHECKING, Value

if TYPE_CHECKING:
    from executor.plan.roles import Role, Skill
    from executor.store.context import Bench, Task

MODEL = "ANTHROPIC_MODEL"
USUAL_MODEL = "sonnet"  # the newest of that family, as the service lists it


class Kit(Value):
    """All that an agent's run is made of; `program` is that of Claude Code, empty for our own loop."""

    role: Role
    skills: tuple[Skill, ...]
    model: str
    bounds: Bounds
    containment: Containment
    program: str = ""


class Unfit(Value):
    """Why no agent can be sent out: what was expected, what is there, and the next move."""

    expected: str
    got: str
    fix: str


def kit_of(bench: Bench, task: Task) -> Kit | Unfit:
    """Return the kit of a task whose MAIN an agent of ours does."""
    try:
        return _gathered(bench, task)
    except (DefinitionError, UsageError) as error:
        return Unfit(
            "a role that can be read", str(error), "mend the file, or the name; do-tasks init writes tinker-executor"
        )


def _gathered(bench: Bench, task: Task) -> Kit | Unfit:
    main, settings = task.step.main or Main(), bench.plan.settings
    role = claude_files.role_of(bench.root, main.agent or claude_files.USUAL_ROLE)
    listed = claude_files.listed(bench.root, agent=role.name, skills=main.skills)
    skills, trouble = claude_files.skills_of(bench.root, listed)
    if trouble:
        return Unfit("its skills", trouble, "write it, or take its name out of main.skills")
    wanted = sandbox_of(main, settings)
    held = sandbox.containment(wanted.mode, network=wanted.network, path=bench.environ.get("PATH", os.defpath))
    if wanted.mode == "required" and held.kind == "none":
        return Unfit("sandbox: required", held.why, "install bubblewrap, or say sandbox: {mode: auto}")
    model = main.model or role.model or settings.model or os.environ.get(MODEL, "")
    kit = Kit(role, skills, model, bounds_of(main, settings, role), held)
    return _of_claude_code(kit, wanted.mode) if task.runner == "claude-code" else _of_ours(kit)


def _of_ours(kit: Kit) -> Kit | Unfit:
    from importlib.util import find_spec

    from executor.plan.runner_choice import CREDENTIALS

    if not find_spec("anthropic"):
        return Unfit("the anthropic package", "it is not installed", "pip install 'do-tasks[agent]'")
    if not any(map(os.environ.get, CREDENTIALS)):
        fix = "set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for a service of your own; or say --runner host"
        return Unfit("credentials for a model", "none in the environment", fix)
    if kit.bounds.usd and not kit.bounds.prices:
        fix = "say what a million tokens cost: limits: {prices: {input: ..., output: ...}}, or drop limits.usd"
        return Unfit("prices for limits.usd", "none", fix)
    return kit.replace(model=kit.model or USUAL_MODEL)


def _of_claude_code(kit: Kit, mode: str) -> Kit | Unfit:
    program = claude_files.program(os.environ.get("PATH", os.defpath))
    if not program:
        fix = "install Claude Code, or say another runner: agent, host, command"
        return Unfit("the program claude on the PATH", "it is not there", fix)
    lacks = _lacks_of_claude_code(kit.containment)
    if mode == "required" and lacks:
        fix = "install socat, say runner: agent, or sandbox: {mode: auto}"
        return Unfit("sandbox: required, which is Claude Code's own sandbox here", lacks, fix)
    own = Containment(why=f"Claude Code's own permission rules; {lacks}")
    return kit.replace(program=program, containment=own if lacks else kit.containment.replace(kind="claude-code"))


def _lacks_of_claude_code(held: Containment) -> str:
    """Return what its own sandbox lacks here, empty when it can be had."""
    if held.kind == "none":
        return held.why
    return "" if claude_files.has_socat(os.environ.get("PATH", os.defpath)) else "socat is not installed"


def told(bench: Bench, task: Task, kit: Kit, *, finish: str) -> str:
    """Return the whole first word to an agent: its skills, then the brief. Masked."""
    bounds = kit.bounds
    limits = brief.Limits(turns=bounds.turns, tokens=bounds.tokens, usd=bounds.usd, seconds=bounds.seconds)
    body = brief.text(brief_for(bench, task, kit.skills, limits=limits, finish=finish))
    return bench.masker.mask("\n\n".join(filter(None, (brief.skills_text(kit.skills), body))))


def misfit(bench: Bench, task: Task) -> Unfit | None:
    """Return what is wrong with what an agent would be sent out with, None when nothing is."""
    kit = kit_of(bench, task)
    if isinstance(kit, Unfit):
        return kit
    absent = roles.not_offered(kit.role) if not kit.program else ()
    if absent and len(roles.tools_of(kit.role)) == 1:
        return Unfit("a tool of ours", f"the role names only {', '.join(absent)}", "give it Bash, Read, Edit or Write")
    return None

"""The set-up of an agent: role, skills, model, limits, containment."""

from __future__ import annotations

import os

from executor.errors import DefinitionError, UsageError
from executor.guard import sandbox
from executor.guard.mounts import Containment
from executor.plan import roles
from executor.plan.limits import AgentLimits, bounds_of, sandbox_of
from executor.plan.model import Main
from executor.runners import brief, commit
from executor.store import claude_files, log_reader
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from typing import Any

    from executor.plan.roles import Role, Skill
    from executor.store.context import RunContext
    from executor.store.task import Task

MODEL = "ANTHROPIC_MODEL"
USUAL_MODEL = "sonnet"  # a family of models: the newest one that the service lists


class AgentSetup(Record):
    """The parts of an agent's run; `program` is the path of Claude Code, empty for the built-in agent."""

    role: Role
    skills: tuple[Skill, ...]
    model: str
    bounds: AgentLimits
    containment: Containment
    program: str = ""


class SetupError(Record):
    """The reason why an agent cannot be started: the expected value, the present value, and the fix."""

    expected: str
    got: str
    fix: str


def setup_of(context: RunContext, task: Task) -> AgentSetup | SetupError:
    """Return the set-up of a task whose MAIN an agent does."""
    try:
        return _gathered(context, task)
    except (DefinitionError, UsageError) as error:
        return SetupError(
            "a role that can be read", str(error), "correct the file, or the name; do-tasks init writes tinker-executor"
        )


def _gathered(context: RunContext, task: Task) -> AgentSetup | SetupError:
    main, settings = task.step.main or Main(), context.plan.settings
    role = claude_files.role_of(context.root, main.agent or claude_files.USUAL_ROLE)
    listed = claude_files.listed(context.root, agent=role.name, skills=main.skills)
    skills, trouble = claude_files.skills_of(context.root, listed)
    if trouble:
        return SetupError("its skills", trouble, "write it, or take its name out of main.skills")
    wanted = sandbox_of(main, settings)
    containment = sandbox.find_containment(
        wanted.mode, network=wanted.network, path=context.environ.get("PATH", os.defpath)
    )
    if wanted.mode == "required" and containment.kind == "none":
        return SetupError("sandbox: required", containment.why, "install bubblewrap, or say sandbox: {mode: auto}")
    model = main.model or role.model or settings.model or os.environ.get(MODEL, "")
    setup = AgentSetup(role, skills, model, bounds_of(main, settings, role), containment)
    return _of_claude_code(setup, wanted.mode) if task.runner == "claude-code" else _of_built_in(setup)


def _of_built_in(setup: AgentSetup) -> AgentSetup | SetupError:
    from importlib.util import find_spec

    from executor.plan.runner_choice import CREDENTIALS

    if not find_spec("anthropic"):
        return SetupError("the anthropic package", "it is not installed", "pip install 'do-tasks[agent]'")
    if not any(map(os.environ.get, CREDENTIALS)):
        fix = "set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for a service of your own; or say --runner host"
        return SetupError("credentials for a model", "none in the environment", fix)
    if setup.bounds.usd and not setup.bounds.prices:
        fix = "say what a million tokens cost: limits: {prices: {input: ..., output: ...}}, or drop limits.usd"
        return SetupError("prices for limits.usd", "none", fix)
    return setup.replace(model=setup.model or USUAL_MODEL)


def _of_claude_code(setup: AgentSetup, mode: str) -> AgentSetup | SetupError:
    program = claude_files.program(os.environ.get("PATH", os.defpath))
    if not program:
        fix = "install Claude Code, or say another runner: agent, host, command"
        return SetupError("the program claude on the PATH", "it is not there", fix)
    lacks = _lacks_of_claude_code(setup.containment)
    if mode == "required" and lacks:
        fix = "install socat, say runner: agent, or sandbox: {mode: auto}"
        return SetupError("sandbox: required, which is Claude Code's own sandbox here", lacks, fix)
    own = Containment(why=f"Claude Code's own permission rules; {lacks}")
    return setup.replace(program=program, containment=own if lacks else setup.containment.replace(kind="claude-code"))


def _lacks_of_claude_code(containment: Containment) -> str:
    """Return the missing part of Claude Code's own sandbox, empty for none."""
    if containment.kind == "none":
        return containment.why
    return "" if claude_files.has_socat(os.environ.get("PATH", os.defpath)) else "socat is not installed"


def prompt(context: RunContext, task: Task, setup: AgentSetup, *, finish: str) -> str:
    """Return the first prompt of an agent, masked: its skills, then the brief."""
    body = brief.text(brief_for(context, task, setup.skills, limits=setup.bounds, finish=finish))
    return context.masker.mask("\n\n".join(filter(None, (brief.skills_text(setup.skills), body))))


def brief_for(
    context: RunContext, task: Task, skills: tuple[Skill, ...], *, limits: AgentLimits, finish: str
) -> brief.Brief:
    """Return the brief of a task."""
    by_us = task.runner == "host" and context.plan.settings.commit
    return brief.brief_of(
        task.step.replace(title=task.title),
        task_id=task.task_id,
        test=_test_result(context, task),
        limits=limits,
        protect=context.plan.settings.protected,
        skills=skills,
        finish=finish,
    ).replace(commit=commit.words_for(context.plan, task.step.number, task.title, by_us=by_us))


def _test_result(context: RunContext, task: Task) -> brief.PhaseResult:
    """Return the result of TEST from the log."""
    lines = [line for line in log_reader.task_lines(context.root, task.task_id) if line.get("phase") == "TEST"]
    ended: dict[str, Any] = next((line for line in reversed(lines) if line.get("status") != "started"), {})
    keys = {"verdict": "status", "reason": "reason", "command": "command", "tail": "output"}
    return brief.PhaseResult(**{name: str(ended.get(key) or "") for name, key in keys.items()})


def misfit(context: RunContext, task: Task) -> SetupError | None:
    """Return the error in the set-up of a task, None without one."""
    setup = setup_of(context, task)
    if isinstance(setup, SetupError):
        return setup
    absent = roles.not_offered(setup.role) if not setup.program else ()
    if absent and len(roles.tools_of(setup.role)) == 1:
        return SetupError(
            "a tool of ours", f"the role names only {', '.join(absent)}", "give it Bash, Read, Edit or Write"
        )
    return None

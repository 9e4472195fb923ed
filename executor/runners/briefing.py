"""What an agent is told of a task, whoever the agent is."""

from __future__ import annotations

from executor.runners import brief
from executor.store import log_reader
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.plan.roles import Skill
    from executor.store.context import RunContext, Task


def brief_for(
    context: RunContext, task: Task, skills: tuple[Skill, ...], *, limits: brief.Limits, finish: str
) -> brief.Brief:
    """Return the brief of a task, whoever does it."""
    return brief.brief_of(
        task.step.replace(title=task.title),
        task_id=task.task_id,
        test=_shown(context, task),
        limits=limits,
        protect=context.plan.settings.protected,
        skills=skills,
        finish=finish,
    )


def _shown(context: RunContext, task: Task) -> brief.Shown:
    """Return what TEST showed, as the log has it."""
    lines = [line for line in log_reader.task_lines(context.root, task.task_id) if line.get("phase") == "TEST"]
    ended: dict[str, Any] = next((line for line in reversed(lines) if line.get("status") != "started"), {})
    keys = {"verdict": "status", "reason": "reason", "command": "command", "tail": "output"}
    return brief.Shown(**{name: str(ended.get(key) or "") for name, key in keys.items()})

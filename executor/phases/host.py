"""MAIN by the agent that called us: it is given a brief, and the task waits for its word."""

from __future__ import annotations

import json
import os

from executor import brief, files, follow, jobs
from executor.criteria import wants_fresh
from executor.events import BriefGiven
from executor.formats import roles
from executor.outcome import Outcome, Verdict
from executor.phases.running import outlast_the_tick
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.bench import Bench, Task
    from executor.formats.roles import Skill

ROUNDS = 3
SKILLS = os.path.join(".claude", "skills")
USUAL_SKILL = "tinker-api"


def host(bench: Bench, task: Task) -> Outcome:
    """Write the brief down and wait: nobody holds a lock meanwhile, the log reserves the step."""
    skills, trouble = _skills(bench, task)
    if trouble:
        return Outcome(Verdict.FAILED, trouble)
    run = jobs.next_main(bench.root, task.task_id)
    folder = jobs.new_run(bench.root, task.task_id, run)
    told = _brief(bench, task, skills, result=bench.relative(os.path.join(folder, "result.json")))
    if task.step.main and any(map(wants_fresh, task.step.main.criteria)):
        outlast_the_tick()
    files.replace(os.path.join(folder, "brief.md"), bench.masker.mask(brief.text(told)).encode())
    body = bench.masker.mask_all(brief.as_json(told))
    files.replace(os.path.join(folder, "brief.json"), json.dumps(body, ensure_ascii=False).encode())
    return ask(bench, task, run, "")


def ask(bench: Bench, task: Task, run: str, reason: str) -> Outcome:
    """Log that the task waits; `reason` is what POST found of the last answer."""
    path = bench.relative(os.path.join(bench.folder(task, run), "brief.md"))
    bench.log(BriefGiven(run=run, runner="host", brief=path, reason=reason), task)
    bench.journal.sync()
    return Outcome(Verdict.WAITING, reason or "its brief is out")


def rounds_left(bench: Bench, task: Task) -> int:
    """Return how often the task may still be sent back."""
    judge = bench.plan.settings.judge or {}
    given = [line for line in follow.task_lines(bench.root, task.task_id) if line.get("event") == "BriefGiven"]
    return int(judge.get("rounds", ROUNDS)) - len(given)


def _brief(bench: Bench, task: Task, skills: tuple[Skill, ...], *, result: str) -> brief.Brief:
    return brief.brief_of(
        task.step.replace(title=task.title),
        task_id=task.task_id,
        test=_shown(bench, task),
        limits=brief.Limits(),
        protect=bench.plan.settings.protect,
        skills=skills,
        finish=brief.finish_of("host", task_id=task.task_id, result_path=result),
    )


def _shown(bench: Bench, task: Task) -> brief.Shown:
    """Return what TEST showed, as the log has it."""
    lines = [line for line in follow.task_lines(bench.root, task.task_id) if line.get("phase") == "TEST"]
    ended: dict[str, Any] = next((line for line in reversed(lines) if line.get("status") != "started"), {})
    keys = {"verdict": "status", "reason": "reason", "command": "command", "tail": "output"}
    return brief.Shown(**{name: str(ended.get(key) or "") for name, key in keys.items()})


def _skills(bench: Bench, task: Task) -> tuple[tuple[Skill, ...], str]:
    """Return the skills that the step lists, the usual one when it lists none, with what is wrong about one."""
    listed = task.step.main.skills if task.step.main else None
    found = []
    for name in (USUAL_SKILL,) if listed is None else listed:
        path = roles.place_of(name)
        text = files.read(bench.project.path(path)).decode("utf-8", "replace")
        if text:
            found.append(roles.read_skill(text, os.path.dirname(path)))
        elif listed is not None:
            return (), roles.missing(name, known=_known(bench))
    return tuple(found), ""


def _known(bench: Bench) -> list[str]:
    folder = bench.project.path(SKILLS)
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

"""PRE-FLIGHT of a job: check that each of its monitors can receive data."""

from __future__ import annotations

import json

from executor.monitoring.preflight import sightless
from executor.store import project
from executor.store.events import CheckFinished
from executor.system import safe_open
from executor.system.outcome import PASSED, Outcome, Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.time_limit import run_within

if TYPE_CHECKING:
    from executor.store.context import RunContext
    from executor.store.task import Task

SCRIPT_MOST = 1 << 20
LIMIT_S = 5.0
WANTED = "something that this monitor can see"
FIX = "correct the monitor, or remove it"


def watchable(context: RunContext, task: Task) -> Outcome:
    """Refuse to start a job with a monitor that can never receive data; a job that runs already is adopted."""
    step = task.step
    if not step.background or task.decision.main == "adopt":
        return PASSED
    path = context.environment(task)["PATH"]

    def look() -> list[tuple[int, str, str]]:
        around = f"{_script(context, task)} {step.words_of_main}"
        return [*sightless(step.background, context.root, around=around, path=path)]

    blind = run_within(look, LIMIT_S) or []
    for place, kind, reason in blind:
        context.log(_failed(step.background[place].name, f"{kind}: {_asks(step.background[place].asks)}", reason), task)
    if not blind:
        return PASSED
    reasons = tuple(f"monitor {step.background[place].name} can see nothing: {reason}" for place, _, reason in blind)
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return Outcome(Verdict.FAILED, f"{reasons[0]}{more}", reasons)


def _script(context: RunContext, task: Task) -> str:
    main = task.step.main
    path = project.script_path(context.project, main.script) if main and main.script else ""
    return safe_open.read_start(path, SCRIPT_MOST).decode("utf-8", "replace") if path else ""


def _asks(asks: object) -> str:
    return asks if isinstance(asks, str) else json.dumps(asks, ensure_ascii=False, default=str)


def _failed(name: str, command: str, reason: str) -> CheckFinished:
    return CheckFinished(
        phase="PRE-FLIGHT",
        status="failed",
        name=f"monitor {name}",
        command=command,
        output=reason,
        expected=WANTED,
        got=reason,
        fix=FIX,
    )

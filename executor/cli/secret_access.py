"""Who is given which secret, by name; no value is shown."""

from __future__ import annotations

import os

from executor.errors import DoTasksError
from executor.monitoring.notices import notify
from executor.plan import env_files
from executor.store.context import inherited
from executor.store.known_secrets import notify_names
from executor.system.records import TYPE_CHECKING
from executor.system.secret_values import NamedSecrets, secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.plan.model import Step
    from executor.plan.plan import Plan

    Row = tuple[str, bool | None, str]


def who_gets_what(plan: Plan, root: str) -> Iterator[Row]:
    """Yield what commands are given, what env files add for a step, and what else is named by whom."""
    named = NamedSecrets(urls=notify_names(plan.settings))
    given = inherited(os.environ, plan.settings.env)
    names = [name for name, value in given.items() if secrets({name: value}, named)]
    commands = f"commands are given {', '.join(names)}; masked in all we write" if names else "none in the environment"
    yield "secrets", True, commands
    for number in plan.numbers:
        try:
            step = plan.step(number)
        except DoTasksError:
            continue
        yield from _of_files(step, root)
        yield from _of_those_who_name(step)
    for one in plan.settings.notify:
        if one.env:
            yield "secrets", True, f"notifier {notify.label(one)} is given {', '.join(one.env)}"


def _of_files(step: Step, root: str) -> Iterator[Row]:
    paths = step.main.env_file if step.main else ()
    if not paths:
        return
    found = env_files.load(root, paths, os.environ)
    if found.trouble:
        yield "secrets", False, f"step {step.number}: {'; '.join(found.trouble)}"
        return
    names = ", ".join(found.values) or "nothing"
    yield "secrets", True, f"step {step.number}: {', '.join(paths)} sets {names}: for its checks, TEST and MAIN alone"


def _of_those_who_name(step: Step) -> Iterator[Row]:
    named = [("its agent's shell", step.main.env)] if step.main else []
    named += [(f"monitor {one.name}", one.env) for one in step.background]
    told = [f"{who} is given {', '.join(names)}" for who, names in named if names]
    if told:
        yield "secrets", True, f"step {step.number}: {'; '.join(told)}; others of its kind none"

"""Rules that find agents which cannot start, and those that nothing judges."""

from __future__ import annotations

import re

from executor.plan.issues import ValidationIssue
from executor.plan.limits import bounds_of, sandbox_of
from executor.plan.runner_choice import AGENTS
from executor.system.records import TYPE_CHECKING
from executor.system.secret_names import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from executor.plan.model import Main, Settings, Step

NETWORK = re.compile(r"\b(?:curl|wget|ssh|scp|pip3? install|npm (?:ci|install|i)|git (?:clone|fetch|pull|push))\b")
VARIABLE = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)")
FOR_AGENTS = ("skills", "model", "judge", "sandbox", "limits")


def lint_agent(step: Step, settings: Settings) -> Iterator[ValidationIssue]:
    """Return warnings, by path inside the step, about the options of agents."""
    main = step.main
    if main is None:
        return
    for rule in RULES if is_for_agent(main, settings) else (_unused_options,):
        for path, message in rule(step, main, settings):
            yield ValidationIssue(("main", *path), message, severity="warning")
    if is_for_agent(main, settings):
        for message in _lacking_when_contained(step, main, settings):
            yield ValidationIssue(("post_validation",), message, severity="warning")


def is_for_agent(main: Main, settings: Settings) -> bool:
    """Return True for a MAIN of an agent: it names one or its runner, or has neither script nor command."""
    if main.mode != "normal":
        return False
    runner = main.runner or settings.runner
    return runner in AGENTS or (runner != "command" and (bool(main.agent) or not (main.script or main.command)))


def _without_prices(_: Step, main: Main, settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    bounds = bounds_of(main, settings)
    if bounds.usd and not bounds.prices and (main.runner or settings.runner or "agent") == "agent":
        path = ("limits", "usd") if "usd" in (main.limits or {}) else ()
        message = "limits.usd without prices stops the runner agent in PRE-FLIGHT"
        yield path, f"{message}: add prices: {{input: ..., output: ...}}, in US dollars a million tokens, or drop usd"


def _no_money_is_no_limit(_: Step, main: Main, __: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    if (main.limits or {}).get("usd") == 0:
        yield ("limits", "usd"), "usd: 0 is no limit: leave it out, or say how much"


def _unjudged(step: Step, main: Main, _: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    bound = any(criterion.kind != "prose" for criterion in main.criteria)
    if bound or any(check.kind != "prose" for check in step.post_validation):
        return
    path = ("success_criteria",) if main.criteria else ()
    message = "nothing is checked, the agent's word alone ticks the box"
    yield path, f"{message}: bind a criterion (file:, command:, metric:), or add post_validation"


def _unused_options(_: Step, main: Main, settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    if main.mode != "normal":
        if main.runner in AGENTS:
            message = f"mode: {main.mode} runs the {'script' if main.script else 'command'} itself"
            yield ("runner",), f"{message}, no agent does: leave runner out, or give the agent a step of its own"
        return
    message = "is for agents, and none does this step: add agent: tinker-executor, or leave it out"
    if not main.agent and not settings.runner and not main.runner:
        yield from (((key,), f"{key} {message}") for key in FOR_AGENTS if getattr(main, key) not in (None, ""))


def _lacking_when_contained(step: Step, main: Main, settings: Settings) -> Iterator[str]:
    """Yield a warning for each need, such as the network, that a contained check cannot meet."""
    contained = [] if sandbox_of(main, settings).mode == "off" else step.post_validation
    for check in contained:
        words = str(check.asks) if check.kind == "command" else ""
        if not check.network and NETWORK.search(words):
            yield f"{check.name} has no network where it is contained, after an agent's work: add network: true"
        named = [name for name in VARIABLE.findall(words) if is_secret_name(name) and name not in check.env]
        if named:
            yield f"{check.name} is given no {named[0]} after an agent's work: add env: [{named[0]}]"


RULES: tuple[Callable[[Step, Main, Settings], Iterator[tuple[tuple[str, ...], str]]], ...] = (
    _without_prices,
    _no_money_is_no_limit,
    _unjudged,
)

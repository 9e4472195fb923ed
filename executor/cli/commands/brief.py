"""`brief`: a step with the results that it builds on and the files that the plan names, within a budget of tokens."""

from __future__ import annotations

import os

from executor.cli.options import FROM_TEXT, JSON, option
from executor.cli.output.screen import print_json
from executor.cli.requested_steps import selected
from executor.errors import UsageError
from executor.runners import brief, brief_budget, brief_parts, commit
from executor.runners.agent import token_count
from executor.store import known_secrets, log_reader, project
from executor.store.project_view import ProjectView
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control

if TYPE_CHECKING:
    from argparse import Namespace

    from executor.runners.brief_budget import Fitted, Part

USUAL = 20_000  # tokens
BY_CHARACTERS = "characters / 4"

OPTIONS = (
    option("step", help="1 or a name"),
    option("--budget", type=int, default=USUAL, metavar="TOKENS", help=f"tokens of the whole text (default: {USUAL})"),
    FROM_TEXT,
    JSON,
)


def run(args: Namespace) -> Verdict:
    """Print the brief of a step."""
    if args.budget < 1:
        raise UsageError(f"--budget must be at least 1, got {args.budget}")
    here = project.find_to_run(args.plan, args.project, agent_from_text=args.agent_from_text)
    plan, _ = project.load(here)
    view = ProjectView(here, plan, log_reader.recall(here.root)).for_reading()
    boxes = view.boxes()
    view.follow_numbers(boxes)
    numbers = selected(view, boxes, [args.step])
    if len(numbers) > 1:
        raise UsageError("one brief is of one step: name one")
    step = view.step(numbers[0])
    masker = known_secrets.masker_of(plan, here.root, os.environ)
    made = brief.brief_of(
        step, task_id=view.state(step.number).task_id or "not begun", test=brief.PhaseResult(), limits=brief.NO_LIMITS
    )
    words = commit.words_for(plan, step.number, step.title, by_us=plan.settings.commit)
    made = made.replace(rules=(), finish="", commit=words)
    base = masker.mask(brief.text(made))
    parts = [
        part.replace(name=clean_control(masker.mask(part.name)), text=clean_control(masker.mask(part.text)))
        for part in brief_parts.parts_of(view, step)
    ]
    named = (step.main.model if step.main else "") or plan.settings.model
    _print(*_fitted(base, parts, args.budget, named), args)
    return Verdict.PASSED


def _fitted(base: str, parts: list[Part], budget: int, model: str) -> tuple[Fitted, str]:
    """Return the text that fits, and by which counter: that of the model where it answers."""
    found = token_count.counter_of(model, os.environ)
    counted = brief_budget.fit_counted(base, parts, budget, found[1]) if found else None
    if found and counted:
        return counted, found[0]
    return brief_budget.fit(base, parts, budget), BY_CHARACTERS


def _print(fitted: Fitted, counted_by: str, args: Namespace) -> None:
    if not args.json:
        print(fitted.text, end="")
        return
    rows = [{"name": part.name, "tokens": part.tokens, "why": part.refused or "budget"} for part in fitted.left_out]
    body = {
        "v": 1,
        "budget": args.budget,
        "tokens": fitted.tokens,
        "counted_by": counted_by,
        "text": fitted.text,
        "taken": [{"name": part.name, "tokens": part.tokens} for part in fitted.taken],
        "left_out": rows,
    }
    print_json(body)

"""The disk space that a study will need, before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from small_lm.disk_space import held, size
from tuning.storage_budget import RESERVE, StorageBudget
from tuning.study_settings import load_trainable

if TYPE_CHECKING:
    from tuning.search_space import Parameter
    from tuning.study_settings import StudySettings


TRAINED = 3  # weights and two moments of Adam


def line(settings: StudySettings) -> str:
    """Return the projected use in one line; raise Trouble if the budget cannot hold it.

    It is that of the largest trainable: each parameter at its largest choice or upper end.
    """
    made = load_trainable(settings)(largest(settings.space) | dict(settings.fixed), seed=settings.seed)
    weights = held(made.weights())
    full = max(held(made.state()), TRAINED * weights) + weights  # an optimizer makes its state at the first step
    StorageBudget(settings.folder, settings.keep, lambda _: None).refuse_too_small(
        weights=weights, full=full, workers=settings.workers
    )
    keep, trials = settings.keep, settings.stop.trials
    count = f"{trials} trials" if trials else "a trial"
    everything = (trials or 1) * made.epochs * full
    kept = (trials or 1) * (keep.last * full + keep.best * weights) + settings.workers * full + RESERVE
    bound = min(kept, keep.budget) if keep.budget else kept
    rule = f"last {keep.last} in full, best {keep.best} as weights"
    budget = f", budget {size(keep.budget)}" if keep.budget else ", no budget (keep.budget_gb=0)"
    return (
        f"disk: {count} take at most {size(bound)} ({rule}{budget}); keeping every checkpoint takes {size(everything)}"
    )


def largest(space: tuple[Parameter, ...]) -> dict[str, Any]:
    """Return the values of the largest trainable of a space."""
    chosen: dict[str, Any] = {}
    for one in space:
        if one.applies(chosen):
            numbers = [value for value in one.values if isinstance(value, (int, float)) and value is not True]
            chosen[one.name] = max(numbers) if len(numbers) == len(one.values) else one.values[-1]
    return chosen

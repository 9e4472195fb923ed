"""The disk space that a study will need, before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import USAGE, Trouble
from small_lm.disk_space import held, size
from tuning.storage_budget import RESERVE, StorageBudget
from tuning.study_settings import in_one_line, load_trainable

if TYPE_CHECKING:
    from tuning.search_space import Parameter
    from tuning.study_settings import StudySettings


TRAINED = 3  # weights and two moments of Adam


def line(settings: StudySettings) -> str:
    """Return the projected use in one line; raise Trouble if the budget cannot hold it.

    It is that of the largest trainable: each parameter at its largest choice or upper end.
    """
    weights, full, epochs = measured(settings)
    StorageBudget(settings.folder, settings.keep, lambda _: None).refuse_too_small(
        weights=weights, full=full, workers=settings.workers
    )
    keep, trials = settings.keep, settings.stop.trials
    count = f"{trials} trials" if trials else "a trial"
    everything = (trials or 1) * epochs * full
    kept = (trials or 1) * (keep.last * full + keep.best * weights) + settings.workers * full + RESERVE
    bound = min(kept, keep.budget) if keep.budget else kept
    rule = f"last {keep.last} in full, best {keep.best} as weights"
    budget = f", budget {size(keep.budget)}" if keep.budget else ", no budget (keep.budget_gb=0)"
    return (
        f"disk: {count} take at most {size(bound)} ({rule}{budget}); keeping every checkpoint takes {size(everything)}"
    )


def measured(settings: StudySettings) -> tuple[int, int, int]:
    """Return the bytes of the weights and of a full checkpoint of the largest trainable, and its epochs."""
    config = largest(settings.space) | dict(settings.fixed)
    make = load_trainable(settings)
    try:
        made = make(config, seed=settings.seed)
        weights = held(made.weights())
        full = max(held(made.state()), TRAINED * weights) + weights  # an optimizer makes its state at the first step
        return weights, full, int(made.epochs)
    except Trouble:
        raise
    except (Exception, SystemExit) as error:  # a foreign class raises any
        shown = " ".join(f"{name}={value}" for name, value in config.items())[:300]
        raise Trouble(
            f"trainable {settings.trainable!r} cannot be made with {shown}: {in_one_line(error)}", USAGE
        ) from error


def largest(space: tuple[Parameter, ...]) -> dict[str, Any]:
    """Return the values of the largest trainable of a space."""
    chosen: dict[str, Any] = {}
    for one in space:
        if one.applies(chosen):
            numbers = [value for value in one.values if isinstance(value, (int, float)) and value is not True]
            chosen[one.name] = max(numbers) if len(numbers) == len(one.values) else one.values[-1]
    return chosen

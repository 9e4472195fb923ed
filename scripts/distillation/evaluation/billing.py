"""A notice of the tokens that a step will be billed for, printed before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import config
from distillation import tinker_client
from distillation.evaluation import cost

if TYPE_CHECKING:
    from common.stage import Stage
    from distillation.evaluation.cost import Price


def announce(stage: Stage, model: str, tokens: dict[str, int]) -> None:
    """Print at most how many tokens a model will read (`prompt`), write (`sample`) and be trained on (`train`).

    Nothing is printed for the service on this machine, which is free.
    """
    if tinker_client.is_real(stage.settings.access.service):
        print(notice(model, tokens, price_of(stage, model)), flush=True)


def price_of(stage: Stage, model: str) -> Price | None:
    """Return a model's price by the table of settings, None if it has none."""
    return cost.read_table(config.CONFIGS / "savings" / f"{stage.settings.savings.prices}.yaml").of(model)


def notice(model: str, tokens: dict[str, int], price: Price | None) -> str:
    """Return the notice; without a price it has tokens alone."""
    words = {"prompt": "to read", "sample": "to write", "train": "to train on"}
    amounts = ", ".join(f"{tokens[kind]:,} {words[kind]}" for kind in words if tokens.get(kind))
    if price is None:
        return (
            f"billed for {model}: at most {amounts} tokens; its price is not in the table: see the service's own list"
        )
    usd = sum(tokens[kind] * getattr(price, kind) for kind in tokens)
    return f"billed for {model}: at most {amounts} tokens, ${usd:.2f} by the table"

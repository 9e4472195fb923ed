"""The kinds of models that small-lm makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from small_lm.model import Llama
from small_lm.recurrent import Recurrent

if TYPE_CHECKING:
    from small_lm.shapes import Shape

MADE: dict[str, type[Llama | Recurrent]] = {"transformer": Llama, "rnn": Recurrent}


def fresh(shape: Shape) -> Llama | Recurrent:
    """Return a model of a shape with random weights."""
    return MADE[shape.kind](shape)

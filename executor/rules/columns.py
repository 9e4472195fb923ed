"""Which column of the metrics a rule looks at."""

from __future__ import annotations

import math
import re

from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.readings import Memory

    Row = Mapping[str, float]

TRAIN = ("loss", "train_loss", "train/loss")
_LOSS = ("loss", "nll", "perplexity")
_VALIDATION = {"val", "valid", "validation", "test", "dev", "heldout", "holdout"}
_NO_LEVEL = {
    "scale",
    "best",
    "min",
    "minimum",
    "lowest",
    "previous",
    "prev",
    "target",
    "threshold",
}  # of a loss, but no loss
_MAY_BE_ODD = {"grad", "grads", "gradient", "gradients", "gradnorm", "best", "eta"}


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def is_validation(name: str) -> bool:
    """Tell whether the name says that a column is of an evaluation."""
    return any(word in _VALIDATION or word.startswith(("eval", "valloss")) for word in _words(name))


def may_be_odd(name: str) -> bool:
    """Tell whether a healthy training writes NaN or Inf there: a skipped step's gradient, a best before the first."""
    return bool(_words(name) & _MAY_BE_ODD)


def is_loss(name: str) -> bool:
    """Tell whether the name says that a column is a loss, of training or evaluation."""
    return any(word in name.lower() for word in _LOSS) and not _words(name) & _NO_LEVEL


def train_column(args: Mapping[str, str | None], memory: Memory, rows: Iterable[Row], key: str = "metric") -> str:
    """Return the written column, else a name of TRAIN, else the first that says loss and no evaluation; "" for none.

    The one found stays, but for a name of TRAIN that comes later.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    known = next((name for name in TRAIN if name in names), "")
    likely = next((name for name in names if is_loss(name) and not is_validation(name)), "")
    kept = memory.get(key, "")
    memory[key] = args[key] or (kept if kept in TRAIN else known or kept or likely)
    return str(memory[key])


def validation_column(args: Mapping[str, str | None], memory: Memory, rows: Iterable[Row]) -> str:
    """Return the written column, else the first that says loss and evaluation; "" for none."""
    names = dict.fromkeys(name for row in rows for name in row)
    likely = next((name for name in names if is_loss(name) and is_validation(name)), "")
    memory["metric"] = args["metric"] or memory.get("metric") or likely
    return str(memory["metric"])


def number(row: Row, name: str) -> float | None:
    """Return the finite value of a column, None where there is none."""
    value = row.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def place_of(row: Row) -> str:
    """` at step 412`, or nothing when the row does not tell."""
    step = number(row, "step")
    return "" if step is None else f" at step {step:.10g}"

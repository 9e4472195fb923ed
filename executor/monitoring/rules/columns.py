"""The columns of metrics, by their names: losses, validation, values that may be NaN."""

from __future__ import annotations

import math
import re

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.monitoring.model import Memory

    Row = Mapping[str, float]

TRAIN = ("loss", "train_loss", "train/loss")
_LOSS = ("loss", "nll", "perplexity")
_VALIDATION = {"val", "valid", "validation", "test", "dev", "heldout", "holdout"}
_LIKE_A_LOSS = re.compile(r"ce|r?mse|mae|elbo|objective|cost|bp[bc]|ppl")
_NO_LEVEL = re.compile(  # of a loss, but no loss
    r"(?:loss)?scal(?:e|er|ing)|weight|coeff?|best|min|minimum|lowest|prev|previous|target|threshold"
    r"|std|var|variance|stderr|delta|diff|change|improvement|time|lr"
)
_MAY_BE_ODD = re.compile(
    r"grads?|gradients?|g(?:rad)?norm|norm|best|lowest|min|minimum|eta|time|(?:loss)?scaler?|auc|auroc|auprc|roc|precision|recall|f1|fscore"
    r"|r2|mcc|kappa|corr|correlation|pearsonr?|spearmanr?|m?ap|m?iou|dice|bleu|rouge|ndcg|mrr|std|var|variance|stderr|snr"
    r"|rew|rewards?|returns?|episode|ep|len|success|explained|delta|diff|improvement|throughput|speed|mfu|p\d\d"
    r"|percentile|temperature|util|memory"
)


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def _has_word(pattern: re.Pattern[str], name: str) -> bool:
    """Return True when a word of a name matches a pattern."""
    return any(map(pattern.fullmatch, _words(name)))


def is_validation(name: str) -> bool:
    """Return True for the name of a column of an evaluation."""
    return any(word in _VALIDATION or word.startswith(("eval", "valloss")) for word in _words(name))


def may_be_odd(name: str) -> bool:
    """Return True for a column in which a healthy training may write NaN or Inf.

    Such are the gradient of a skipped step, and the score of an evaluation.
    """
    return is_validation(name) or _has_word(_MAY_BE_ODD, name)


def overflows(name: str) -> bool:
    """Return True for the exponential of a loss, which may be infinite while the loss is not."""
    return bool(_words(name) & {"perplexity", "ppl"}) or "perplexity" in name.lower()


def is_loss(name: str) -> bool:
    """Return True for the name of a loss, of training or evaluation."""
    return any(word in name.lower() for word in _LOSS) and not _has_word(_NO_LEVEL, name)


def must_be_finite(name: str) -> bool:
    """Return True for a column in which NaN means a lost training: a loss under any name."""
    return is_loss(name) or (
        _has_word(_LIKE_A_LOSS, name) and not _has_word(_NO_LEVEL, name) and not _has_word(_MAY_BE_ODD, name)
    )


def train_column(args: Mapping[str, str | None], memory: Memory, rows: Iterable[Row], key: str = "metric") -> str:
    """Return the column of the plan, else a name of TRAIN, else the first loss of a training; "" for none.

    A found column is kept, unless a name of TRAIN comes later.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    known = next((name for name in TRAIN if name in names), "")
    likely = next((name for name in names if is_loss(name) and not is_validation(name)), "")
    kept = memory.get(key, "")
    memory[key] = args[key] or (kept if kept in TRAIN else known or kept or likely)
    return str(memory[key])


def validation_column(args: Mapping[str, str | None], memory: Memory, rows: Iterable[Row]) -> str:
    """Return the column of the plan, else the first loss of an evaluation; "" for none."""
    names = dict.fromkeys(name for row in rows for name in row)
    likely = next((name for name in names if is_loss(name) and is_validation(name)), "")
    memory["metric"] = args["metric"] or memory.get("metric") or likely
    return str(memory["metric"])


def number(row: Row, name: str) -> float | None:
    """Return the finite value of a column, None without one."""
    value = row.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def place_of(row: Row) -> str:
    """Return ` at step 412`, empty for a row without a step."""
    step = number(row, "step")
    return "" if step is None else f" at step {step:.10g}"

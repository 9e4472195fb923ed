"""Classify Debian packages by their debtags.

classify.py table prints the table of a data setting, compare trains the encoder and the TF-IDF baseline on one split,
pin writes the pinned labels and the packaged sample from apt's lists.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classification import table
from classification.package_lists import LISTS
from classification.pinned import pinned
from classification.rows import line
from classification.splits import PARTS, split
from small_lm import files
from small_lm.config import read_override
from small_lm.errors import FAILED, USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = ("macro_pr_auc", "micro_pr_auc", "macro_f1", "micro_f1", "accuracy", "ece", "seconds")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, do the command; return the exit code."""
    try:
        given = parser().parse_intermixed_args(arguments)
        COMMANDS[given.command](given)
    except Trouble as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options; it needs no torch."""
    options = argparse.ArgumentParser(
        prog="classify.py", description=__doc__, epilog="settings: key=value, as data=apt hidden=256"
    )
    options.add_argument("command", choices=COMMANDS)
    options.add_argument("overrides", nargs="*", metavar="key=value")
    options.add_argument("--write", type=Path, help="table: a .jsonl of the rows; compare: a .json of all scores")
    options.add_argument("--seed", type=int, default=17)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--lists", type=Path, default=LISTS, help="pin: the folder of the package lists")
    return options


def config_of(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the config that key=value words make."""
    found: dict[str, Any] = {}
    for word in overrides:
        found |= read_override(word)
    return found


def show_table(given: argparse.Namespace) -> None:
    """Print the table of a data setting, write its rows if asked to."""
    config = config_of(given.overrides)
    if set(config) - {"data"}:
        raise Trouble("table takes one setting: data=sample, data=apt, data=PATH or data=hub:OWNER/NAME", USAGE)
    found = table.opened(str(config.get("data", "apt")))
    show_note(found.note)
    parts = ", ".join(f"{len(rows)} {part}" for part, rows in split(found.rows).items())
    pin = " (the pinned table)" if found.digest == pinned().sha256 else ""
    print(f"{len(found.rows)} rows: {parts}\ndigest {found.digest}{pin}\ndate {found.date or 'not stated'}")
    counts = Counter(label for row in found.rows for label in row.labels)
    for label in pinned().labels:
        print(f"{counts[label]:6} {label}")
    if given.write:
        files.write_text(given.write, "".join(map(line, found.rows)))


def compare(given: argparse.Namespace) -> None:
    """Train the encoder and the baseline on one split; print their scores on the test rows."""
    refuse_no_torch()
    from classification import baseline
    from classification.trainable import Trainable

    baseline.refuse_missing()
    trainable = Trainable(config_of(given.overrides), seed=given.seed, threads=given.threads)
    show_note(trainable.note)
    rows = split(table.opened(trainable.settings.data).rows)
    report = {"rows": {part: len(rows[part]) for part in PARTS}, "data": trainable.data.digest, "seed": given.seed}
    began = time.perf_counter()
    fits = baseline.fit(rows)
    plain, best = next(one for one in fits if one.class_weight is None and one.c == 1.0), fits[0]
    seconds = (time.perf_counter() - began) / len(fits)
    results = {
        f"TF-IDF, {plain.describe()}": {**baseline.test_metrics(plain, rows), "seconds": seconds},
        f"TF-IDF, {best.describe()} (best on validation)": {**baseline.test_metrics(best, rows), "seconds": seconds},
        "encoder": encoder_metrics(trainable),
    }
    show_scores(results)
    if given.write:
        files.write_json(given.write, {**report, "scores": results})


def encoder_metrics(trainable: Any) -> dict[str, Any]:
    """Train to the end; return the scores of the epoch with the best macro PR-AUC on the validation rows."""
    began, best, kept = time.perf_counter(), -1.0, trainable.weights()
    while trainable.epoch < trainable.epochs:
        figures = {**trainable.train_epoch(), **trainable.validate()}
        print(f"epoch {trainable.epoch}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        if figures["macro_pr_auc"] > best:
            best, kept = figures["macro_pr_auc"], trainable.weights()
    seconds = time.perf_counter() - began
    trainable.load_weights(kept)
    return {**trainable.test_metrics(trainable.thresholds()), "seconds": seconds}


def show_scores(results: dict[str, dict[str, Any]]) -> None:
    """Print a table of scores on the test rows."""
    print(f"\n{'on the test rows':58}" + "".join(f"{name:>14}" for name in COLUMNS))
    for name, found in results.items():
        values = {**found, "ece": found["calibration"]["ece"]}
        print(f"{name:58}" + "".join(f"{values[column]:14.3f}" for column in COLUMNS))


def pin(given: argparse.Namespace) -> None:
    """Write the pinned labels and the sample."""
    from classification import pinning

    pinning.pin(given.lists)
    found = pinned()
    print(f"{found.rows} rows of {found.date}, {len(found.labels)} labels, {len(found.sections)} sections")


def refuse_no_torch() -> None:
    """Raise Trouble when torch is not installed."""
    try:
        import torch  # noqa: F401 - asked for before it is used, so that only its own absence is named
    except ModuleNotFoundError as error:
        raise Trouble(
            f"{error.name} is not installed: pip install -c constraints.txt -r requirements/training.txt", USAGE
        ) from error


def show_note(note: str) -> None:
    """Print a note, if there is one."""
    if note:
        print(f"note: {note}", file=sys.stderr)


COMMANDS = {"table": show_table, "compare": compare, "pin": pin}

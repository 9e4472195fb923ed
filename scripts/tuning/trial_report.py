"""The report of a trial: its best checkpoint, evaluated on the test set."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import files
from common.errors import Trouble
from small_lm import checkpoint_folder
from small_lm.checkpoints import Rule
from tuning.study_settings import load_trainable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from small_lm.checkpoint_folder import Saved
    from small_lm.checkpoints import Checkpoints
    from tuning.study_settings import StudySettings
    from tuning.trainable import Trainable
    from tuning.trial_folder import TrialFolder

SCHEMA = Path(__file__).with_name("evaluation_report.schema.json")
PACKAGES = ("torch", "numpy", "optuna", "scikit-learn", "do-tasks")
FRESH = ("seconds", "versions")  # fields that a later evaluation may have otherwise


def write(
    folder: TrialFolder, settings: StudySettings, trainable: Trainable, checkpoints: Checkpoints, *, seconds: float
) -> None:
    """Evaluate the best checkpoint of a trial that ended, and write its report."""
    ranked = checkpoints.rule.ranked(checkpoints.sound())
    report = evaluated(folder, settings, trainable, ranked[0], seconds=seconds)
    check(report, str(folder.report))
    files.write_json(folder.report, report)


def evaluated(
    folder: TrialFolder, settings: StudySettings, trainable: Trainable, best: Saved, *, seconds: float
) -> dict[str, Any]:
    """Return the report of a checkpoint; thresholds come from the validation set, metrics from the test set."""
    trainable.load_weights(checkpoint_folder.load(best.light).weights)
    thresholds = trainable.thresholds()
    report = {
        "trial_id": folder.name,
        "config": dict(folder.about()["config"]),
        "optimization_metric": {"name": settings.metric.name, "goal": settings.metric.goal},
        "best_validation_score": best.metrics[settings.metric.name],
        "best_epoch": best.step,
        "test_metrics": json_values(trainable.test_metrics(thresholds)),
        "versions": versions(),
        "digests": {"weights": best.files[checkpoint_folder.WEIGHTS]["sha256"], **digests(trainable)},
        "seconds": round(seconds, 3),
    }
    return {**report, "decision_thresholds": json_values(thresholds)} if thresholds else report


def json_values(value: Any) -> Any:
    """Return a value as JSON has it: NaN and infinity, which it has not, become null."""
    if isinstance(value, dict):
        return {str(name): json_values(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def again(folder: TrialFolder, settings: StudySettings) -> dict[str, Any]:
    """Return the report, made again from the checkpoint; raise Trouble if the checkpoint is gone."""
    about, best = folder.about(), best_of(folder, settings)
    if best is None:
        raise Trouble(f"trial {folder.name} has no checkpoint left{_why_none(about)}; its report stays as it is")
    made = load_trainable(settings)(about["config"], seed=int(about["seed"]), threads=settings.threads)
    seconds = sum(float(row["seconds"]) for row in folder.epochs())
    return evaluated(folder, settings, made, best, seconds=seconds)


def _why_none(about: Mapping[str, Any]) -> str:
    removed = about.get("checkpoints_removed")
    return f": they were removed {removed}" if removed else ""


def best_of(folder: TrialFolder, settings: StudySettings) -> Saved | None:
    """Return the best checkpoint of a trial by the study's metric, None if none is left."""
    found = []
    for path in checkpoint_folder.inside(folder.checkpoints):
        try:
            found.append(checkpoint_folder.look(path))
        except checkpoint_folder.Broken:
            continue
    rule = Rule(1, 1, settings.metric.name, settings.metric.goal == "maximize")
    return next(iter(rule.best(found)), None)


@dataclass(frozen=True)
class Verified:
    """The outcome of a comparison: `agrees`, `differs`, `removed` (no checkpoint left), `missing` (no report)."""

    name: str
    outcome: str
    why: str = ""


def verify(folder: TrialFolder, settings: StudySettings) -> Verified:
    """Compare the report of a trial with its checkpoint: digest first, then every figure."""
    if not folder.report.is_file():
        return Verified(folder.name, "missing", "no report")
    try:
        written = json.loads(folder.report.read_text(encoding="utf-8"))
        check(written, str(folder.report))
    except (ValueError, Trouble) as error:
        return Verified(folder.name, "differs", str(error))
    best = best_of(folder, settings)
    if best is None:
        about = folder.about()
        is_recorded = bool(about.get("checkpoints_removed"))
        return Verified(
            folder.name, "removed" if is_recorded else "differs", f"no checkpoint is left{_why_none(about)}"
        )
    try:
        made = json.loads(json.dumps(again(folder, settings)))
    except checkpoint_folder.Broken as broken:
        return Verified(folder.name, "differs", f"{best.path.name}: {broken}")
    paths = [*differences(compared(written), compared(made))]
    return Verified(folder.name, "differs" if paths else "agrees", ", ".join(paths[:5]))


def compared(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a report that its checkpoint decides."""
    return {name: value for name, value in report.items() if name not in FRESH}


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Yield the paths at which two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            if name not in one or name not in other:
                yield f"{path}{name}"
            else:
                yield from differences(one[name], other[name], f"{path}{name}.")
    elif one != other:
        yield path.rstrip(".")


def check(report: Mapping[str, Any], origin: str) -> None:
    """Raise Trouble if a report does not follow the schema."""
    import jsonschema

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    errors = jsonschema.Draft202012Validator(schema).iter_errors(report)
    first = next(iter(errors), None)
    if first is not None:
        where = ".".join(map(str, first.absolute_path)) or "the report"
        raise Trouble(f"{origin}: {where}: {first.message}")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a figure."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def digests(trainable: Trainable) -> dict[str, str]:
    """Return the digests that a trainable states of its data, none if it states none."""
    stated = getattr(trainable, "digests", None)
    return {str(name): str(value) for name, value in (stated() if stated else {}).items()}

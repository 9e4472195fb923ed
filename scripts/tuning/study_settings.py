"""The settings of a study: a YAML file, then key=value of the command line; a later one wins."""

from __future__ import annotations

import dataclasses
import importlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import config
from common.errors import USAGE, Trouble
from tracking import tracker
from tuning import search_space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tuning.search_space import Parameter
    from tuning.trainable import TrainableClass

SAMPLERS = ("tpe", "random", "grid", "cmaes", "qmc", "gp")
PRUNERS = ("none", "median", "percentile", "halving", "hyperband", "patient", "threshold")
GOALS = ("maximize", "minimize")
GB = 10**9
DATABASE, LOCK = "study.db", "study.lock"  # in the output folder
OWN = ("epoch", "seconds")  # columns of metrics.jsonl that are no figures of the trainable
MOST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Metric:
    """The validation metric that the study optimizes."""

    name: str = "score"
    goal: str = "maximize"


@dataclass(frozen=True)
class Sampler:
    """The sampler of Optuna by name, and its seed."""

    name: str = "tpe"
    seed: int = 1


@dataclass(frozen=True)
class Pruner:
    """The pruner of Optuna by name; the first `startup` trials and `warmup` epochs of each are never pruned.

    `percentile` belongs to the pruner of that name, `patience` to `patient`, `least` to `threshold`.
    """

    name: str = "none"
    startup: int = 5
    warmup: int = 1
    percentile: float = 25.0
    patience: int = 3
    least: float = 0.0


@dataclass(frozen=True)
class Stop:
    """The end of a study: the first of these; 0 stands for no limit.

    `target` ends it when the metric reaches it, `plateau` after so many trials without a new best.
    """

    trials: int = 16
    minutes: float = 0.0
    target: str = ""
    plateau: int = 0


@dataclass(frozen=True)
class Keep:
    """The checkpoints to keep: of a trial its `last` in full and its `best` as weights, of the study `trials`.

    `budget_gb` bounds everything below the output folder, in 10^9 bytes; 0 stands for no limit.
    """

    last: int = 1
    best: int = 1
    trials: int = 3
    budget_gb: float = 0.0

    @property
    def budget(self) -> int:
        """Bytes of the budget, 0 for none."""
        return int(self.budget_gb * GB)


@dataclass(frozen=True)
class StudySettings:
    """Every setting of a study with its default.

    `trainable` is a class by dotted path, `package.module:Class`; `fixed` are its settings that are not searched.
    `storage` is a URL of SQLAlchemy, by default SQLite in the output folder. `patience_s` bounds the wait for space.
    `trackers` are names (tensorboard, mlflow, wandb) or classes by dotted path.
    """

    study: str = "study"
    storage: str = ""
    trainable: str = ""
    seed: int = 1
    workers: int = 1
    threads: int = 1
    attempts: int = 20
    patience_s: float = 600.0
    output: str = "experiments"
    trackers: tuple[str, ...] = ()
    metric: Metric = field(default_factory=Metric)
    sampler: Sampler = field(default_factory=Sampler)
    pruner: Pruner = field(default_factory=Pruner)
    stop: Stop = field(default_factory=Stop)
    keep: Keep = field(default_factory=Keep)
    space: tuple[Parameter, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The output folder."""
        return Path(self.output)

    @property
    def url(self) -> str:
        """The URL of the storage."""
        return self.storage or f"sqlite:///{(self.folder / DATABASE).absolute()}"


def read(path: Path, overrides: Sequence[str] = ()) -> StudySettings:
    """Return the settings of a study file; raise Trouble with file and key for a wrong one."""
    return of_written(config.read_yaml(path), overrides, str(path))


def of_written(content: Mapping[str, Any], overrides: Sequence[str], origin: str) -> StudySettings:
    """Return the settings of a mapping as a study file has it, with overrides."""
    written = dict(content)
    space, fixed = written.pop("space", None), written.pop("fixed", None) or {}
    if not isinstance(fixed, dict):
        raise Trouble(f"{origin}: fixed must map settings of the trainable to values", USAGE)
    settings = config.merged(StudySettings(), written, origin=origin)
    for override in overrides:
        change = config.read_override(override)
        if "fixed" in change:
            fixed = {**fixed, **change["fixed"]}
        elif "space" in change:
            space = search_space.changed(space, change["space"], override)
        else:
            settings = config.merged(settings, change, origin=override)
    made = dataclasses.replace(settings, space=search_space.read(space, origin), fixed=fixed)
    refuse_wrong(made, origin)
    return made


def as_written(settings: StudySettings) -> dict[str, Any]:
    """Return the settings as a study file has them, without the storage: its URL may hold a password."""
    space, output = search_space.as_written(settings.space), str(settings.folder.absolute())
    return {**dataclasses.asdict(settings), "storage": "", "output": output, "space": space}


def refuse_wrong(settings: StudySettings, path: str) -> None:
    """Raise Trouble for a value that no study can have."""
    for name, value, known in (
        ("sampler.name", settings.sampler.name, SAMPLERS),
        ("pruner.name", settings.pruner.name, PRUNERS),
        ("metric.goal", settings.metric.goal, GOALS),
    ):
        if value not in known:
            raise Trouble(f"{path}: no {name} {value!r}{config.did_you_mean(value, known)}; {', '.join(known)}", USAGE)
    for line, is_wrong in _wrong(settings).items():
        if is_wrong:
            raise Trouble(f"{path}: {line}", USAGE)
    tracker.names_of(settings.trackers)
    both = sorted({one.name for one in settings.space} & {*settings.fixed})
    if both:
        raise Trouble(f"{path}: {both[0]} stands in space and in fixed; remove one", USAGE)


def _wrong(settings: StudySettings) -> dict[str, bool]:
    """Return the rules of single values, each with whether it is broken."""
    keep, stop, pruner = settings.keep, settings.stop, settings.pruner
    return {
        "study must have a name": not settings.study.strip(),
        f"metric.name must be another than {', '.join(OWN)}: trials have columns of these names": (
            settings.metric.name in OWN
        ),
        f"seed must be 0 to {MOST_SEED}": not 0 <= settings.seed <= MOST_SEED,
        f"sampler.seed must be 0 to {MOST_SEED}": not 0 <= settings.sampler.seed <= MOST_SEED,
        "pruner.percentile must be 0 to 100": not 0 <= pruner.percentile <= 100,
        "pruner.* must be 0 or more": min(pruner.startup, pruner.warmup, pruner.patience) < 0,
        "patience_s must be a number of seconds, 0 or more": not (
            math.isfinite(settings.patience_s) and settings.patience_s >= 0
        ),
        "workers must be 1 or more": settings.workers < 1,
        "threads must be 1 or more": settings.threads < 1,
        "attempts must be 1 or more": settings.attempts < 1,
        "keep.last must be 1 or more": keep.last < 1,
        "keep.best must be 1 or more: the best checkpoint of a trial is evaluated": keep.best < 1,
        "keep.trials must be 1 or more: the best is never deleted": keep.trials < 1,
        "keep.budget_gb must be a number, 0 (no limit) or more": not (
            math.isfinite(keep.budget_gb) and keep.budget_gb >= 0
        ),
        "stop.* must be 0 (no limit) or more": min(stop.trials, stop.minutes, stop.plateau) < 0,
        f"stop.target must be a number, got {stop.target!r}": bool(stop.target) and not config.is_number(stop.target),
        "stop needs one of trials, minutes, target, plateau": not any(
            (stop.trials, stop.minutes, stop.target, stop.plateau)
        ),
        "trainable must be package.module:Class": settings.trainable.count(":") != 1,
    }


def refuse_other(before: Mapping[str, Any], settings: StudySettings) -> None:
    """Raise Trouble for a change under which trials of one study could not be compared."""
    earlier = of_written(before, (), f"study {settings.study}")
    known = {one.name: one for one in earlier.space}
    changed = [
        *(["trainable"] if earlier.trainable != settings.trainable else []),
        *(["metric"] if earlier.metric != settings.metric else []),
        *(
            f"space.{one.name}"
            for one in settings.space
            if one.name in known and search_space.kind_of(one) != search_space.kind_of(known[one.name])
        ),
    ]
    if changed:
        raise Trouble(
            f"study {settings.study!r} began with another {changed[0]}: name another study and output, or take it back",
            USAGE,
        )


def tried(settings: StudySettings) -> StudySettings:
    """Return the settings of a small test: two trials of one epoch each, in a folder of their own."""
    return dataclasses.replace(
        settings,
        study=f"{settings.study}-test",
        storage="",
        output=str(settings.folder / "test"),
        workers=1,
        stop=Stop(trials=2),
        fixed={**settings.fixed, "epochs": 1},
        space=tuple(one for one in settings.space if one.name != "epochs"),
    )


def load_trainable(settings: StudySettings) -> TrainableClass:
    """Return the class that a trial trains; raise Trouble if there is none."""
    module, _, name = settings.trainable.partition(":")
    try:
        found: TrainableClass = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # the import of a module can raise any
        raise Trouble(f"trainable {settings.trainable!r} cannot be loaded: {in_one_line(error)}", USAGE) from error
    return found


def in_one_line(error: BaseException) -> str:
    """Return an error of foreign code as one line, with its class where the text is a single word."""
    text = " ".join(str(error).split())[:500]
    if isinstance(error, SystemExit):
        return f"it called sys.exit({text})"
    is_sentence = isinstance(error, (Trouble, ImportError, AttributeError)) or " " in text
    return text if is_sentence and text else f"{type(error).__name__}: {text}".rstrip(": ")

"""The study in Optuna: open it, count its trials, put lost ones back, decide its end."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
import uuid
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

from common.errors import USAGE, Trouble
from tuning import study_settings, trial_folder
from tuning.trial_folder import TrialFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

    from tuning.search_space import Parameter
    from tuning.study_settings import Pruner, StudySettings

HEARTBEAT_S, GRACE_S = 15, 90  # of workers on other machines; those here are seen by their lock
LEAST_FAILURES = 5
MOST_CELLS = 100_000  # of a grid
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
RETRIED, UUID, HOST, ERROR = "retry_history", "study_uuid", "host", "error"


def quiet() -> None:
    """Leave the terminal to the study's own table."""
    optuna.logging.set_verbosity(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="optuna")
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def sampler(settings: StudySettings, worker: int, begun: int) -> BaseSampler:
    """Return the sampler; each worker has a seed of its own, and another one when the study goes on.

    With the seed of before, a study that goes on would try the first values again. `begun`: trials so far.
    """
    seed = settings.sampler.seed + 1000 * worker + begun
    made: Mapping[str, Callable[[], BaseSampler]] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=settings.workers > 1),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "grid": lambda: optuna.samplers.GridSampler(grid(settings.space), seed=settings.sampler.seed),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed),
        "qmc": lambda: optuna.samplers.QMCSampler(seed=settings.sampler.seed),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed),
    }
    try:
        return made[settings.sampler.name]()
    except ImportError as error:
        needed = str(error).splitlines()[0]
        raise Trouble(f"sampler.name={settings.sampler.name} needs a package: {needed}", USAGE) from error


def grid(space: Iterable[Parameter]) -> dict[str, list[Any]]:
    """Return the values of a grid: every choice, and of a range each step."""
    values: dict[str, list[Any]] = {}
    left = MOST_CELLS
    for one in space:
        if one.when:
            raise Trouble(f"sampler.name=grid: space.{one.name} has a condition; use tpe or random", USAGE)
        if one.kind == "categorical":
            count = len(one.values)
            values[one.name] = list(one.values)
        elif one.kind == "float" and one.step is None:
            raise Trouble(f"sampler.name=grid: space.{one.name} needs a step", USAGE)
        else:
            low, high = one.values
            step = one.step or 1
            count = int((high - low) / step + 1e-9) + 1
            values[one.name] = [type(low)(low + index * step) for index in range(min(count, left))]
        left //= count
        if not left:
            raise Trouble(f"sampler.name=grid: more than {MOST_CELLS:,} cells; give ranges a larger step", USAGE)
    return values


def pruner(settings: Pruner) -> optuna.pruners.BasePruner:
    """Return the pruner."""
    begin = {"n_startup_trials": settings.startup, "n_warmup_steps": settings.warmup}
    made: Mapping[str, Callable[[], optuna.pruners.BasePruner]] = {
        "none": optuna.pruners.NopPruner,
        "median": lambda: optuna.pruners.MedianPruner(**begin),
        "percentile": lambda: optuna.pruners.PercentilePruner(settings.percentile, **begin),
        "halving": optuna.pruners.SuccessiveHalvingPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
        "patient": lambda: optuna.pruners.PatientPruner(optuna.pruners.MedianPruner(**begin), settings.patience),
        "threshold": lambda: optuna.pruners.ThresholdPruner(lower=settings.least, n_warmup_steps=settings.warmup),
    }
    return made[settings.name]()


def opened(settings: StudySettings, worker: int = 0) -> optuna.Study:
    """Open the study, or create it; raise Trouble for a storage that cannot be reached or a study of another goal."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    try:
        storage = optuna.storages.RDBStorage(
            settings.url,
            engine_kwargs={"connect_args": {"timeout": 60}} if settings.url.startswith("sqlite") else None,
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
        )
        with trial_folder.held(settings.folder / study_settings.LOCK):
            study = optuna.create_study(
                study_name=settings.study,
                storage=storage,
                direction=optuna.study.StudyDirection[settings.metric.goal.upper()],
                pruner=pruner(settings.pruner),
                load_if_exists=True,
            )
            study.sampler = sampler(settings, worker, len(study.get_trials(deepcopy=False)))
            if UUID not in study.user_attrs:
                study.set_user_attr(UUID, str(uuid.uuid4()))
    except Trouble:
        raise
    except Exception as error:
        line = " ".join(str(error).split()) or repr(error)
        raise Trouble(f"the study cannot be opened at {_without_password(settings.url)}: {line[:300]}") from error
    if study.direction.name.lower() != settings.metric.goal:
        goal = study.direction.name.lower()
        raise Trouble(f"study {settings.study!r} exists with goal {goal}; set metric.goal or another study", USAGE)
    return study


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else url


@dataclass(frozen=True)
class Trials:
    """The trials of a study at one moment."""

    study: optuna.Study
    settings: StudySettings

    def folder(self, trial: FrozenTrial) -> TrialFolder:
        """Return the folder of a trial: that of the original, for a retry."""
        history = trial.system_attrs.get(RETRIED) or [trial.number]
        return TrialFolder(self.settings.folder, trial_folder.trial_uuid(self.study.user_attrs[UUID], int(history[0])))

    def put_back_lost(self) -> int:
        """Fail the trials whose process is gone, and queue each lost one again; return the number queued.

        Hold the study's lock meanwhile. A crash between the two is made good by the next call.
        """
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.user_attrs.get(HOST, socket.gethostname()) == socket.gethostname():
                self._fail_if_gone(trial)
        trials = self.study.get_trials(deepcopy=False)
        retried = {number for trial in trials for number in trial.system_attrs.get(RETRIED, ())}
        lost = [
            trial
            for trial in trials
            if trial.state == TrialState.FAIL and trial.number not in retried and ERROR not in trial.user_attrs
        ]
        for trial in lost:
            self._queue_again(trial)
        return len(lost)

    def _fail_if_gone(self, trial: FrozenTrial) -> None:
        if self.folder(trial).is_running():
            return
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # it ended between the two looks
            self.study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)  # noqa: SLF001 - no other way

    def _queue_again(self, trial: FrozenTrial) -> None:
        history = [*trial.system_attrs.get(RETRIED, ()), trial.number]
        if len(history) > self.settings.attempts:
            return
        again = optuna.trial.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            system_attrs={**trial.system_attrs, RETRIED: history},
        )
        self.study.add_trial(again)

    # The end

    def is_over(self) -> str:
        """Return the reason to begin no new trial, empty for none. Trials that wait for a retry still run."""
        trials = self.study.get_trials(deepcopy=False)
        if any(trial.state == TrialState.WAITING for trial in trials):
            return ""
        return next(self._reasons(trials), "")

    def _reasons(self, trials: list[FrozenTrial]) -> Iterator[str]:
        stop = self.settings.stop
        if isinstance(self.study.sampler, optuna.samplers.GridSampler) and self.study.sampler.is_exhausted(self.study):
            yield "the whole grid"
        if stop.trials and sum(trial.state != TrialState.FAIL for trial in trials) >= stop.trials:
            yield f"{stop.trials} trials"
        if stop.minutes and trials and _minutes_since(trials[0]) >= stop.minutes:
            yield f"{stop.minutes:g} minutes"
        values = [trial.value for trial in trials if trial.state in ENDED and trial.value is not None]
        if stop.target and values and not self._is_better(float(stop.target), self._best(values)):
            yield f"{self.settings.metric.name} reached {stop.target}"
        if stop.plateau and len(values) > stop.plateau:
            before, after = values[: -stop.plateau], values[-stop.plateau :]
            if not self._is_better(self._best(after), self._best(before)):
                yield f"{stop.plateau} trials without a new best"
        failed = [trial.user_attrs[ERROR] for trial in trials if ERROR in trial.user_attrs]
        if len(failed) >= max(LEAST_FAILURES, stop.trials):
            yield f"{len(failed)} trials failed, the last with: {failed[-1]}"

    def _best(self, values: list[float]) -> float:
        return max(values) if self.settings.metric.goal == "maximize" else min(values)

    def _is_better(self, one: float, other: float) -> bool:
        return one > other if self.settings.metric.goal == "maximize" else one < other

    def value_of(self, folder: TrialFolder) -> float | None:
        """Return the value of an ended trial, larger is better; None for one without."""
        value = folder.about().get("value")
        sign = 1 if self.settings.metric.goal == "maximize" else -1
        return None if value is None else sign * float(value)


def _minutes_since(trial: FrozenTrial) -> float:
    began = trial.datetime_start
    return (time.time() - began.timestamp()) / 60 if began else 0.0

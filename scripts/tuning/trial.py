"""One trial: train from its newest checkpoint, save under the budget, report on its best checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import Trouble
from small_lm.checkpoints import Checkpoints, Patience
from small_lm.disk_space import held as bytes_of
from tracking.session import Tracking
from tuning import trial_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuning.storage_budget import StorageBudget
    from tuning.study_settings import StudySettings
    from tuning.trainable import Trainable
    from tuning.trial_folder import TrialFolder


@dataclass(frozen=True)
class Ended:
    """The end of a trial: `pruned` or `complete`, and its best validation score."""

    state: str
    value: float


@dataclass(frozen=True)
class TrialRun:
    """A trial under way. `report_epoch` reports a score to the study; True means: prune it."""

    settings: StudySettings
    folder: TrialFolder
    budget: StorageBudget
    config: Mapping[str, Any]
    report_epoch: Callable[[int, float], bool]

    def run(self, trainable: Trainable) -> Ended:
        """Train to the end or until it is pruned, then write the report."""
        began = time.monotonic()
        with self._checkpoints() as checkpoints, self._tracking() as tracking:
            state = self._train(trainable, checkpoints, tracking)
            ended = Ended(state, self._best(checkpoints))
            self.folder.write_about(offered=checkpoints.measured().keep_all)
            seconds = sum(float(row["seconds"]) for row in self.folder.epochs())
            trial_report.write(self.folder, self.settings, trainable, checkpoints, seconds=seconds)
            tracking.artifact(self.folder.report)
        self.folder.write_about(
            state=ended.state, value=ended.value, report_seconds=round(time.monotonic() - began - seconds, 3)
        )
        self.budget.prune(self.folder)
        return ended

    def known_end(self) -> Ended | None:
        """Return the end of a trial that was killed between its end and its result in the study, None for no such one.

        Its resumable state may have been deleted since, as that of every ended trial.
        """
        about = self.folder.about()
        if about.get("state") not in ("complete", "pruned") or not self.folder.report.is_file():
            return None
        for row in self.folder.epochs():
            self.report_epoch(int(row["epoch"]), float(row[self.settings.metric.name]))
        return Ended(str(about["state"]), float(about["value"]))

    def _checkpoints(self) -> Checkpoints:
        keep, metric = self.settings.keep, self.settings.metric
        return Checkpoints(
            self.folder.checkpoints,
            keep_last=keep.last,
            keep_best=keep.best,
            metric=metric.name,
            higher_is_better=metric.goal == "maximize",
            patience=Patience(self.settings.patience_s),
            alerts=self.folder.path / "alerts.jsonl",
        )

    def _tracking(self) -> Tracking:
        return Tracking(
            self.folder.path,
            name=self.folder.name,
            experiment=self.settings.study,
            params={**self.config, "seed": self.folder.about()["seed"]},
            names=self.settings.trackers,
        )

    def _train(self, trainable: Trainable, checkpoints: Checkpoints, tracking: Tracking) -> str:
        """Train from the newest checkpoint; return the state of the end."""
        newest = checkpoints.newest_full()
        if newest and newest.full is not None:
            trainable.load_state(newest.full)
            if trainable.epoch != newest.step:
                raise Trouble(f"load_state() must set epoch to that of the state, {newest.step}, not {trainable.epoch}")
            self.folder.write_about(resumed_from=[*self.folder.about().get("resumed_from", []), newest.step])
        is_pruned = self._report_again(trainable.epoch)
        while trainable.epoch < trainable.epochs and not is_pruned:
            score = self._epoch(trainable, checkpoints, tracking)
            is_pruned = self.report_epoch(trainable.epoch, score)
        return "pruned" if is_pruned else "complete"

    def _report_again(self, done: int) -> bool:
        """Report the epochs before a kill to the study, so that a pruner compares whole curves."""
        is_pruned = False
        for row in self.folder.epochs():
            if int(row["epoch"]) <= done:
                is_pruned = self.report_epoch(int(row["epoch"]), float(row[self.settings.metric.name]))
        return is_pruned

    def _epoch(self, trainable: Trainable, checkpoints: Checkpoints, tracking: Tracking) -> float:
        began, before = time.monotonic(), trainable.epoch
        figures = {
            **_numbers(trainable.train_epoch(), "train_epoch()"),
            **_numbers(trainable.validate(), "validate()"),
        }
        if trainable.epoch != before + 1:  # else the trial might never end
            raise Trouble(f"train_epoch() must add one to epoch: it was {before}, it is {trainable.epoch}")
        score = self._score(figures)
        seconds = time.monotonic() - began
        weights, full = trainable.weights(), trainable.state()
        size = bytes_of(full) + bytes_of(weights)
        # The row comes first: after a crash between the two the epoch is trained again and its row replaced.
        row = {**figures, "epoch": trainable.epoch, "seconds": round(seconds, 4)}
        checkpoints.disk_space.repeat(lambda: self.folder.add_epoch(row), trainable.epoch)
        tracking.metrics(trainable.epoch, figures)
        with self.budget.room(size, self.folder):
            checkpoints.save(trainable.epoch, weights=weights, full=full, metrics={self.settings.metric.name: score})
        return score

    def _score(self, figures: Mapping[str, float]) -> float:
        name = self.settings.metric.name
        if name not in figures:
            raise Trouble(f"the trainable has no metric {name!r}; it has {', '.join(sorted(figures))}: set metric.name")
        score = figures[name]
        if not math.isfinite(score):
            raise Trouble(f"{name} is {score}: the trial ends here")
        return score

    def _best(self, checkpoints: Checkpoints) -> float:
        """Return the best validation score that has a checkpoint."""
        ranked = checkpoints.rule.ranked(checkpoints.sound())
        if not ranked:
            raise Trouble(f"{self.folder.path} has no checkpoint with a finite {self.settings.metric.name}")
        return ranked[0].metrics[self.settings.metric.name]


def _numbers(figures: Any, origin: str) -> dict[str, float]:
    """Return the figures of a trainable as plain numbers; raise Trouble for what is none."""
    if not isinstance(figures, Mapping):
        raise Trouble(f"{origin} must return figures by name, got {type(figures).__name__}")
    made: dict[str, float] = {}
    for name, value in figures.items():
        try:
            made[str(name)] = float(value)
        except (TypeError, ValueError) as error:
            raise Trouble(f"{origin} returned {str(value)[:80]!r} for {str(name)[:80]}, which is no number") from error
    return made

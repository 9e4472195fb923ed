"""A worker: one process that runs trials of a study until the study is over."""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna

from tuning import search_space, study, study_settings, trial_folder
from tuning.storage_budget import StorageBudget
from tuning.study_settings import in_one_line, load_trainable
from tuning.trial import TrialRun

if TYPE_CHECKING:
    from optuna.trial import Trial

    from tuning.study_settings import StudySettings
    from tuning.trial_folder import TrialFolder

LOOK_S, TAKEN_S = 0.05, 5.0


class TakenAwayError(Exception):
    """Raised in a trial that the study has given up: this process was stopped for longer than the grace period."""


@dataclass
class Worker:
    """Runs trials of a study, one after the other."""

    settings: StudySettings
    number: int
    opened: optuna.Study = field(init=False)
    trials: study.Trials = field(init=False)
    lock: int = field(init=False, default=-1)  # of the study
    held: int = field(init=False, default=-1)  # of the trial
    is_taken_away: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        study.quiet()
        self.opened = study.opened(self.settings, self.number)
        self.trials = study.Trials(self.opened, self.settings)
        self.budget = StorageBudget(
            self.settings.folder, self.settings.keep, self.trials.value_of, self.settings.patience_s
        )

    def run(self) -> str:
        """Run trials until the study is over; return the reason of its end."""
        while True:
            self.lock = _locked(self.settings)
            try:
                self.trials.put_back_lost()
                reason = self.trials.is_over()
                if reason:
                    return reason
                self._one_trial()
            finally:
                self._release()

    def _one_trial(self) -> None:
        """Run a trial; one that fails by itself, or that another process has, does not end the worker."""
        self.is_taken_away = False
        try:
            self.opened.optimize(self._objective, n_trials=1, catch=(FailedTrialError,))
        except Exception:
            if not self.is_taken_away:  # else the study refuses the result, by an error of no one class
                raise
            self._release()
            time.sleep(TAKEN_S)
        finally:
            if self.held >= 0:  # until the study knows the result: a running trial without a lock counts as lost
                os.close(self.held)
                self.held = -1

    def _release(self) -> None:
        """Let other workers take trials; the lock is held from the look at the study until the trial has its own."""
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    def _objective(self, trial: Trial) -> float:
        frozen = self.opened.get_trials(deepcopy=False)[trial.number]
        folder = self.trials.folder(frozen)
        try:
            self._take(trial, folder)
            return self._run(trial, folder)
        except optuna.TrialPruned:
            raise
        except TakenAwayError as error:
            self.is_taken_away = True
            print(f"trial {folder.name[:8]}: {error}", file=sys.stderr, flush=True)
            raise
        except (Exception, SystemExit) as error:
            line = in_one_line(error)
            trial.set_user_attr(study.ERROR, line)
            folder.write_about(state="failed", error=line)
            print(f"trial {folder.name[:8]} failed: {line}", file=sys.stderr, flush=True)
            raise FailedTrialError(line) from error

    def _take(self, trial: Trial, folder: TrialFolder) -> None:
        """Lock the trial's folder, then let other workers look at the study."""
        self.held = folder.lock()
        self._release()
        if self.held < 0:
            raise TakenAwayError("another process trains it")
        trial.set_user_attr(study.HOST, socket.gethostname())
        trial.set_user_attr("trial_id", folder.name)

    def _run(self, trial: Trial, folder: TrialFolder) -> float:
        about = folder.about()
        number = about.get("number", trial.number)
        folder.write_about(trial_id=folder.name, number=number)
        config: dict[str, Any] = {**self.settings.fixed, **search_space.suggest(self.settings.space, trial)}
        folder.write_about(
            study=self.settings.study,
            config=config,
            seed=self.settings.seed + int(number),
            began=about.get("began") or time.time(),
        )
        made = load_trainable(self.settings)(
            config, seed=self.settings.seed + int(number), threads=self.settings.threads
        )

        def report_epoch(epoch: int, score: float) -> bool:
            self._refuse_taken_away(trial)
            trial.report(score, epoch)
            return bool(trial.should_prune())

        run = TrialRun(self.settings, folder, self.budget, config, report_epoch)
        ended = run.known_end() or run.run(made)
        if ended.state == "pruned":
            raise optuna.TrialPruned
        return ended.value

    def _refuse_taken_away(self, trial: Trial) -> None:
        state = self.opened._storage.get_trial(trial._trial_id).state  # noqa: SLF001 - the study has it by number only
        if state != optuna.trial.TrialState.RUNNING:
            raise TakenAwayError("the study gave it to another process; nothing more is written here")


class FailedTrialError(Exception):
    """Raised for a trial that failed by itself, after the study knows the reason."""


def _locked(settings: StudySettings) -> int:
    """Return a descriptor that holds the study's lock; wait for it."""
    path = settings.folder / study_settings.LOCK
    while True:
        held = trial_folder.take(path)
        if held >= 0:
            return held
        time.sleep(LOOK_S)


def run(settings: StudySettings, number: int) -> str:
    """Run a worker until the study is over; return the reason of its end."""
    return Worker(settings, number).run()

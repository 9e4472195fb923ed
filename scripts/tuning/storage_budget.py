"""One budget of bytes for all files of a study: checkpoints of trials outside the best go before it is reached."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import USAGE, Trouble
from small_lm import checkpoint_folder
from tuning import trial_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from small_lm.checkpoint_folder import Saved
    from tuning.study_settings import Keep
    from tuning.trial_folder import TrialFolder

RESERVE = 1 << 20  # bytes for logs, reports and folders while a checkpoint is written
LOOK_S = 0.5


@dataclass(frozen=True)
class Use:
    """The disk space of a study in bytes: in use, and what keeping every checkpoint would have taken."""

    used: int
    offered: int

    @property
    def saved(self) -> float:
        """The share of disk space that was not needed, 0 to 1."""
        return 1 - self.used / self.offered if self.offered else 0.0


@dataclass(frozen=True)
class StorageBudget:
    """The budget of an output folder. `value_of` returns a finished trial's metric, larger is better; None for none."""

    output: Path
    keep: Keep
    value_of: Callable[[TrialFolder], float | None]
    patience_s: float = 600.0

    def refuse_too_small(self, *, weights: int, full: int, workers: int) -> None:
        """Raise Trouble before a study that cannot fit: the best trials and those under way must have room."""
        each = (self.keep.last + 1) * full + self.keep.best * weights  # one is written beside the others
        least = workers * each + self.keep.trials * self.keep.best * weights + RESERVE
        if self.keep.budget and least > self.keep.budget:
            kept = f"{workers} trials at once and the best {self.keep.trials}"
            raise Trouble(
                f"keep.budget_gb={self.keep.budget_gb:g} is too small: {kept} "
                f"need {least / 10**9:.3g} GB; raise it, or lower workers or keep.*",
                USAGE,
            )

    @contextlib.contextmanager
    def room(self, size: int, mine: TrialFolder) -> Iterator[None]:
        """Make room for `size` bytes of a trial, then hold the budget while they are written.

        It deletes what the study keeps least; with nothing left to delete it waits, then raises Trouble.
        """
        if not self.keep.budget:
            yield
            return
        until, has_printed = time.monotonic() + self.patience_s, False
        while True:
            with trial_folder.held(self.output / "budget.lock"):
                if self.make_room(size, mine):
                    yield
                    return
            if not has_printed:
                has_printed = True
                print(f"trial {mine.name[:8]} waits for room: {size:,} bytes under the budget", flush=True)
            if time.monotonic() > until:
                raise Trouble(
                    f"no room for {size:,} bytes under keep.budget_gb={self.keep.budget_gb:g} in "
                    f"{self.patience_s:g} s: raise it and start again; the trial goes on from its checkpoint"
                )
            time.sleep(LOOK_S)

    def make_room(self, size: int, mine: TrialFolder) -> bool:
        """Delete checkpoints until `size` bytes fit; return False if they do not."""
        wanted = self.keep.budget - size - RESERVE
        if used(self.output) <= wanted:
            return True
        for remove in self.removals(mine):
            remove()
            if used(self.output) <= wanted:
                return True
        return False

    def removals(self, mine: TrialFolder) -> Iterator[Callable[[], None]]:
        """Yield the deletions that are allowed, the least important first.

        These are the resumable states of ended trials, then the weights of those outside the best `keep.trials`, the
        worst first. Trials under way are never among them.
        """
        ended = [one for one in trial_folder.every(self.output) if one != mine and one.about().get("state")]
        ranked = sorted(ended, key=self._rank)
        for one in ranked:
            for saved in inside(one):
                if saved.is_full:
                    yield functools.partial(checkpoint_folder.lighten, saved)
        for one in ranked[: max(0, len(ranked) - self.keep.trials)]:
            for saved in inside(one):
                yield functools.partial(_forget, one, saved)

    def _rank(self, one: TrialFolder) -> tuple[bool, float]:
        value = self.value_of(one)
        return (value is not None, value if value is not None else 0.0)

    def prune(self, mine: TrialFolder) -> None:
        """Delete the checkpoints that an ended study no longer needs: those of trials outside the best `trials`.

        Without a budget nothing is deleted.
        """
        if not self.keep.budget:
            return
        with trial_folder.held(self.output / "budget.lock"):
            self.make_room(0, mine)

    def use(self) -> Use:
        """Return the disk space in use, and that of keeping every checkpoint."""
        offered = [max((saved.offered for saved in inside(one)), default=0) for one in trial_folder.every(self.output)]
        recorded = [int(one.about().get("offered", 0)) for one in trial_folder.every(self.output)]
        return Use(used(self.output), sum(map(max, offered, recorded)))


def inside(one: TrialFolder) -> list[Saved]:
    """Return the sound checkpoints of a trial, the oldest first."""
    found = []
    for path in reversed(checkpoint_folder.inside(one.checkpoints)):
        with contextlib.suppress(checkpoint_folder.Broken):
            found.append(checkpoint_folder.look(path))
    return found


def _forget(one: TrialFolder, saved: Saved) -> None:
    one.write_about(checkpoints_removed="to keep the study below keep.budget_gb")
    if saved.path.exists():
        checkpoint_folder.remove(saved.path)


def used(folder: Path) -> int:
    """Return the disk space of all files below a folder, in bytes, as `du` counts it."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in (".", *names):
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
    return total

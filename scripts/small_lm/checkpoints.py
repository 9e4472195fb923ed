"""Keep the last N checkpoints in full, and the weights of the best K."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from small_lm import checkpoint_folder, disk_space, files
from small_lm.checkpoint_folder import Broken, Loaded, Saved
from small_lm.disk_space import Alerts, DiskSpace, Patience, Projection
from small_lm.errors import USAGE, Trouble
from small_lm.remote_checkpoints import CheckpointMirror

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from torch import Tensor

__all__ = ["Checkpoints", "Loaded", "Patience", "Projection", "Rule"]


@dataclass(frozen=True)
class Rule:
    """The rule that selects the checkpoints to keep."""

    keep_last: int
    keep_best: int
    metric: str
    higher_is_better: bool = False

    def last(self, there: Iterable[Saved]) -> list[Saved]:
        """Return the full checkpoints that stay full, the newest first."""
        return sorted((one for one in there if one.is_full), key=lambda one: -one.step)[: self.keep_last]

    def best(self, there: Iterable[Saved]) -> list[Saved]:
        """Return the checkpoints whose weights stay for their metric, the best first; of equals the earlier one."""
        return self.ranked(there)[: self.keep_best]

    def ranked(self, there: Iterable[Saved]) -> list[Saved]:
        """Return the checkpoints with a finite metric, the best first."""
        sign = -1 if self.higher_is_better else 1
        measured = [one for one in there if math.isfinite(one.metrics.get(self.metric, math.nan))]
        return sorted(measured, key=lambda one: (sign * one.metrics[self.metric], one.step))


class Checkpoints:
    """A folder of checkpoints of one run: `step_...` are complete, `best_...` are weights alone.

    Use it as a context manager or call `close`, so that the second home gets everything at the end.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        folder: Path,
        *,
        keep_last: int,
        keep_best: int,
        metric: str,
        higher_is_better: bool = False,
        second_home: str = "",
        patience: Patience | None = None,
        alerts: Path | None = None,
    ) -> None:
        """`alerts`: the .jsonl file for alerts, ../training_logs/alerts.jsonl by default."""
        if keep_last < 1 or keep_best < 0:
            raise Trouble("keep.last must be 1 or more, keep.best 0 or more", USAGE)
        self.folder, self.rule = Path(folder), Rule(keep_last, keep_best, metric, higher_is_better)
        self.alerts = Alerts(alerts or self.folder.parent / "training_logs" / "alerts.jsonl")
        patience = patience or Patience()
        self.disk_space = DiskSpace(self.folder, patience, self.alerts)
        self.home = (
            CheckpointMirror(second_home, self.folder, patience=patience, alerts=self.alerts) if second_home else None
        )
        self.run, self.offered, self.is_tried = "", 0, False
        self.broken: set[str] = set()

    # Saving

    def save(
        self, step: int, *, weights: Mapping[str, Tensor], full: Mapping[str, Any] | None, metrics: Mapping[str, float]
    ) -> None:
        """Save a step: in full if `full` is given, else its weights if their metric is among the best.

        It returns when the checkpoint is on the disk; on a full disk it waits. No argument is changed. The weights of a
        step that exists in full are not written again; their metrics are added.
        """
        if not self.run:
            self.disk_space.repeat(lambda: self.begin(step), step)
        self.offered += disk_space.held(weights) + disk_space.held(full)
        kept = {name: float(value) for name, value in metrics.items()}
        one = Saved(
            self.folder / checkpoint_folder.name(step, is_full=full is not None), step, kept, self.run, self.offered
        )
        self.disk_space.repeat(lambda: self.keep(one, weights, full), step)
        self.disk_space.repeat(self.prune, step)
        if self.home:
            self.home.mirror_soon(step)

    def begin(self, step: int) -> None:
        """Prepare the folder for a writer; raise Trouble if it, or the second home, belongs to another run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files.sync_folder(self.folder.parent)
        checkpoint_folder.tidy(self.folder)
        there = self.sound()
        newest = max((one.step for one in there if one.is_full), default=step)
        if newest > step:
            move = "go on from that (resume=always), or name another folder"
            raise Trouble(f"{self.folder} holds step {newest} already, this is step {step}: {move}", USAGE)
        run = there[0].run if there else uuid.uuid4().hex
        if self.home:
            self.home.claim(run)
        self.run, self.offered = run, max((one.offered for one in there), default=0)

    def keep(self, one: Saved, weights: Mapping[str, Tensor], full: Mapping[str, Any] | None) -> None:
        """Write the checkpoint if the rule keeps it."""
        there = self.sound()
        twin = next((other for other in there if other.is_full and other.step == one.step), None)
        others = [other for other in there if other.step != one.step]
        if full is not None:
            self.write(one, weights, full)
        elif twin:
            checkpoint_folder.write_manifest(twin.path, dataclasses.replace(twin, metrics=twin.metrics | one.metrics))
        elif one in self.rule.best([*others, one]):
            self.write(one, weights, None)

    def write(self, one: Saved, weights: Mapping[str, Tensor], full: Mapping[str, Any] | None) -> None:
        """Write a checkpoint; read the first full one back, since `full` may hold tensors and plain values only."""
        written = checkpoint_folder.write(one, weights, full)
        self.broken.discard(one.path.name)
        if full is not None and not self.is_tried:
            self.try_to_load(written)

    def try_to_load(self, one: Saved) -> None:
        """Raise Trouble if a new checkpoint cannot be loaded."""
        try:
            checkpoint_folder.load(one)
        except Broken as broken:
            checkpoint_folder.remove(one.path)
            raise Trouble(
                f"{one.path.name} cannot be loaded again: {broken}; save tensors, plain values only"
            ) from None
        self.is_tried = True

    def prune(self) -> None:
        """Remove the checkpoints that the rule does not keep; reduce those kept as best to their weights."""
        with self.home.lock if self.home else contextlib.nullcontext():
            once, doubles = undouble(self.sound())
            last, best = self.rule.last(once), self.rule.best(once)
            free = [one for one in (*once, *doubles) if not self.home or one.path.name != self.home.busy]
            for one in free:
                if one in doubles or one not in (*last, *best):
                    checkpoint_folder.remove(one.path)
            for one in free:
                if one.is_full and one in best and one not in last:
                    checkpoint_folder.lighten(one)

    def close(self) -> None:
        """Wait for the second home, at most as long as `patience` allows; remove checkpoints kept only for it."""
        if self.home and self.home.worker:
            is_done = self.home.wait()
            if is_done:
                self.disk_space.repeat(self.prune, self.home.step)
                self.home.mirror_soon(self.home.step)
            self.home.close(None if is_done else 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Finding

    def sound(self) -> list[Saved]:
        """Return the checkpoints with a manifest and files of the right size, the newest first."""
        found = []
        for path in checkpoint_folder.inside(self.folder):
            try:
                found.append(checkpoint_folder.look(path))
            except Broken as broken:
                self.warn(path, broken)
        return [one for one in found if one.path.name not in self.broken]

    def newest_full(self) -> Loaded | None:
        """Return the newest full checkpoint; if there is none here, from the second home."""
        found = self.first_loading(self.full_ones())
        if found or not self.home:
            return found
        self.broken -= self.home.restore()
        return self.first_loading(self.full_ones())

    def full_ones(self) -> list[Saved]:
        """Return the full checkpoints, the newest first."""
        return [one for one in self.sound() if one.is_full]

    def best(self) -> Loaded | None:
        """Return the best weights by the metric, without `full`; from the second home if there are none here."""
        if self.home and not checkpoint_folder.inside(self.folder):
            self.home.restore()
        return self.first_loading([one.light for one in self.rule.ranked(self.sound())])

    def first_loading(self, ones: Iterable[Saved]) -> Loaded | None:
        """Return the first checkpoint that loads, with a warning for each before it."""
        for one in ones:
            try:
                return checkpoint_folder.load(one)
            except Broken as broken:
                self.warn(one.path, broken)
        return None

    def warn(self, path: Path, broken: Broken) -> None:
        """Warn once that a checkpoint is skipped, and ignore it from now on."""
        if path.name not in self.broken:
            print(f"warning: checkpoint {path} is skipped: {broken}", file=sys.stderr, flush=True)
        self.broken.add(path.name)

    # Disk space

    def projection(self, weights_bytes: int, full_bytes: int, saves: int) -> Projection:
        """Return the disk space that `saves` full checkpoints of `full_bytes`, weights included, will take."""
        last = min(saves, self.rule.keep_last)
        kept = last * full_bytes + min(saves - last, self.rule.keep_best) * weights_bytes
        peak = kept + (full_bytes if saves > last else 0)
        return Projection(saves * full_bytes, kept, peak, disk_space.free(self.folder))

    def measured(self) -> Projection:
        """Return the disk space in use, and that of all saves of this run had none been removed."""
        there = self.sound()
        offered = max([self.offered, *(one.offered for one in there)])
        kept = sum(one.bytes for one in there)
        return Projection(offered, kept, kept, disk_space.free(self.folder))


def undouble(there: list[Saved]) -> tuple[list[Saved], list[Saved]]:
    """Return the checkpoints, each step once, and the weights of steps that also exist in full."""
    full = {one.step for one in there if one.is_full}
    doubles = [one for one in there if not one.is_full and one.step in full]
    return [one for one in there if one not in doubles], doubles

"""The interface of what a trial trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class Trainable(Protocol):
    """A model with its data, trained epoch by epoch. Going on from `state()` gives what an unbroken run gives."""

    epochs: int
    epoch: int  # epochs done

    def train_epoch(self) -> dict[str, float]:
        """Train one epoch; return its figures."""

    def validate(self) -> dict[str, float]:
        """Return the metrics on the validation set."""

    def weights(self) -> dict[str, Tensor]:
        """Return the weights by name."""

    def state(self) -> dict[str, Any]:
        """Return all that training goes on from, as tensors and plain values."""

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take these weights for an evaluation."""

    def thresholds(self) -> dict[str, float]:
        """Return decision thresholds by label, tuned on the validation set alone; empty for none."""

    def test_metrics(self, thresholds: Mapping[str, float]) -> dict[str, Any]:
        """Return the metrics on the test set, as JSON values."""


class TrainableClass(Protocol):
    """The class of a trainable."""

    def __call__(self, config: Mapping[str, Any], *, seed: int, threads: int = 1) -> Trainable:
        """Make an untrained one; raise Trouble for a setting that does not exist."""

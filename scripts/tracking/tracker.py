"""The interface of a tracker, and the table of those that come with the repository."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from common.config import did_you_mean
from common.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Run:
    """A run: its name, the experiment that it belongs to, the folder of its files, and facts of its surroundings."""

    name: str
    experiment: str
    folder: Path
    facts: Mapping[str, Any] = field(default_factory=dict)


class Tracker(Protocol):
    """Receives what a run reports. It may be slow and may raise: it is called from a thread of its own."""

    def begin(self, run: Run, params: Mapping[str, Any]) -> None:
        """Begin a run with its parameters; called once."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record metrics of a step."""

    def artifact(self, path: Path, name: str) -> None:
        """Record a file under a name."""

    def text(self, name: str, step: int, text: str) -> None:
        """Record a sample as text."""

    def end(self, state: str) -> None:
        """End the run as `complete` or `failed`; called once."""


TRACKERS = {
    "tensorboard": "tracking.tensorboard_files:TensorBoard",
    "mlflow": "tracking.mlflow_runs:MLflow",
    "wandb": "tracking.wandb_runs:WeightsAndBiases",
}


def make(name: str) -> Tracker:
    """Return a tracker by name, or by `package.module:Class`; raise Trouble for none and for a missing package."""
    where = TRACKERS.get(name, name)
    module, colon, attribute = where.partition(":")
    if not colon:
        known = ", ".join(TRACKERS)
        raise Trouble(f"no tracker {name!r}{did_you_mean(name, TRACKERS)}; {known}, or package.module:Class", USAGE)
    try:
        made: Tracker = getattr(importlib.import_module(module), attribute)()
    except ImportError as error:
        needed = "pip install -c constraints.txt torch==2.13.0 -r requirements/training.txt"
        raise Trouble(f"tracker {name} needs {error.name or error}: {needed}", USAGE) from error
    except AttributeError as error:
        raise Trouble(f"tracker {name} cannot be loaded: {error}", USAGE) from error
    return made


def names_of(written: Sequence[str]) -> tuple[str, ...]:
    """Return the names of trackers, each once, in order; raise Trouble for an unknown one."""
    for name in written:
        if ":" not in name and name not in TRACKERS:
            make(name)
    return tuple(dict.fromkeys(written))

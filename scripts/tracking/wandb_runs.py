"""Weights & Biases: offline by default; the command that uploads the run is printed at its end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracking.tracker import Run


class WeightsAndBiases:
    """Writes `wandb/` below the run's folder; WANDB_MODE=online sends it as it comes."""

    def begin(self, run: Run, params: Mapping[str, Any]) -> None:
        """Begin an offline run, unless WANDB_MODE says otherwise."""
        mode: Any = os.environ.get("WANDB_MODE") or "offline"
        self.run = wandb.init(
            project=run.experiment,
            name=run.name,
            dir=str(run.folder),
            config=dict(params),
            mode=mode,
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
        )

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write the metrics of a step."""
        self.run.log(dict(values), step=step)

    def artifact(self, path: Path, name: str) -> None:
        """Record a file as an artefact of the run."""
        kept = wandb.Artifact(name.replace("/", "-"), type="file")
        kept.add_file(str(path))
        self.run.log_artifact(kept)

    def text(self, name: str, step: int, text: str) -> None:
        """Write a sample."""
        self.run.log({name: wandb.Html(f"<pre>{_escaped(text)}</pre>", inject=False)}, step=step)

    def end(self, state: str) -> None:
        """End the run and print the command that uploads it."""
        folder = Path(self.run.dir).parent
        self.run.finish(exit_code=0 if state == "complete" else 1)
        if (os.environ.get("WANDB_MODE") or "offline") == "offline":
            print(f"tracker wandb: to upload this run: wandb sync {folder}", file=sys.stderr, flush=True)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

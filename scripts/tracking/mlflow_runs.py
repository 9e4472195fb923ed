"""MLflow, by mlflow-skinny with SQLite: the file opens in `mlflow ui` of the same version."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tracking.tracker import Run

MOST_CHARS = 6000  # of one parameter
ENDS = {"complete": "FINISHED", "failed": "FAILED"}


class MLflow:
    """Writes to MLFLOW_TRACKING_URI, else to `mlflow.db` beside the run's folder; artefacts into `mlartifacts/`."""

    def begin(self, run: Run, params: Mapping[str, Any]) -> None:
        """Create the experiment, if there is none, and the run."""
        home = run.folder.absolute().parent
        self.client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}")
        found = self.client.get_experiment_by_name(run.experiment)
        experiment = (
            found.experiment_id
            if found
            else self.client.create_experiment(run.experiment, artifact_location=(home / "mlartifacts").as_uri())
        )
        tags = {"do_tasks.task_id": str(run.facts.get("task_id", ""))}
        if revision := run.facts.get("git", {}).get("revision"):
            tags["mlflow.source.git.commit"] = revision
        self.run_id = self.client.create_run(experiment, tags=tags, run_name=run.name).info.run_id
        rows = [Param(str(name), str(value)[:MOST_CHARS]) for name, value in params.items()]
        self.client.log_batch(self.run_id, params=rows)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write all metrics of a step in one batch."""
        now_ms = int(time.time() * 1000)
        self.client.log_batch(
            self.run_id, metrics=[Metric(name, value, now_ms, step) for name, value in values.items()]
        )

    def artifact(self, path: Path, name: str) -> None:
        """Copy a file."""
        self.client.log_artifact(self.run_id, str(path), None)
        self.client.set_tag(self.run_id, f"artifact.{name}", path.name)

    def text(self, name: str, step: int, text: str) -> None:
        """Write a sample as a file."""
        self.client.log_text(self.run_id, text, f"{name}/{step:08d}.txt")

    def end(self, state: str) -> None:
        """End the run."""
        self.client.set_terminated(self.run_id, ENDS[state])

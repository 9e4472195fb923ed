"""TensorBoard's event files, by tensorboardX: it needs no TensorFlow and no server."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tensorboardX import SummaryWriter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tracking.tracker import Run


class TensorBoard:
    """Writes `tensorboard/` below the run's folder; artefacts are named there, not copied."""

    def begin(self, run: Run, params: Mapping[str, Any]) -> None:
        """Open the event file and write the parameters as a table."""
        self.writer = SummaryWriter(str(run.folder / "tensorboard"))
        rows = "".join(f"| {name} | {value} |\n" for name, value in params.items())
        self.writer.add_text("params", f"| name | value |\n|---|---|\n{rows}", 0)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write each metric as a scalar."""
        for name, value in values.items():
            self.writer.add_scalar(name, value if math.isfinite(value) else math.nan, step)

    def artifact(self, path: Path, name: str) -> None:
        """Write the path of a file."""
        self.writer.add_text(f"artifact/{name}", str(path), 0)

    def text(self, name: str, step: int, text: str) -> None:
        """Write a sample."""
        self.writer.add_text(name, text, step)

    def end(self, state: str) -> None:
        """Write the end and close the file."""
        self.writer.add_text("state", state, 0)
        self.writer.close()

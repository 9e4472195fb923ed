"""Step 20: write results and deployment from the data, with pictures; no figure is typed by hand.

    python scripts/20_report.py [--test] [key=value ...]

Writes RESULTS_REPORT.md and DEPLOYMENT.md beside SPEC.md, and outputs/plots/. The same data give the same text.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import files
from common.stage import Criterion, Report, Stage, interpreter, run
from distillation import models
from distillation.evaluation import deployment, plots, report
from distillation.student import training_config

if TYPE_CHECKING:
    from distillation.evaluation.report import Data

READ = {
    "evaluation": "evaluation/evaluation.json",
    "students": models.STUDENTS,
    "teacher": models.ABOUT,
    "audit": "audit.json",
    "savings": "savings.json",
    "review": "review/review.json",
    "export": "export/export.json",
    "environment": "environment.json",
}
GIT_S = 10
NUMBER = re.compile(r"\d+\.\d+")


def write(stage: Stage) -> Report:
    """Read everything, draw, write, look whether the figures are those of the data."""
    inputs = {name: stage.input(path) for name, path in READ.items()}
    beside = stage.input("evaluation/side_by_side.jsonl")
    read = {name: files.read_json(path) for name, path in inputs.items()}
    found = manifests(inputs["evaluation"].parent.parent)
    beside_rows = files.read_jsonl(beside)
    data = report.Data(**read, beside=beside_rows, manifests=found, python=interpreter(), revision=revision())
    pictures = drawn(stage, data)
    above = stage.folder if stage.is_test else Path()
    paths = [above / "RESULTS_REPORT.md", above / "DEPLOYMENT.md"]
    files.write_text(paths[0], report.results(data))
    files.write_text(paths[1], deployment.deployment(data))
    first = paths[0].read_text(encoding="utf-8").splitlines()[2]
    share = data.evaluation["share"]["all"]
    metrics = {"share": share["share"], "pictures": len(pictures), "foreign_figures": len(foreign(first, data))}
    outputs = [*paths, *pictures]
    return Report(judge(first, data, pictures), metrics, first, [*inputs.values(), beside], outputs)


def manifests(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the manifest of each script."""
    return {
        path.name.removesuffix(".manifest.json"): files.read_json(path)
        for path in sorted(folder.glob("*.manifest.json"))
    }


def revision() -> str:
    """Return the git revision of the project, empty where there is none."""
    try:
        done = subprocess.run(("git", "rev-parse", "HEAD"), capture_output=True, text=True, timeout=GIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()[:12]


def drawn(stage: Stage, data: Data) -> list[Path]:
    """Draw the pictures."""
    wanted = training_config.load(stage)
    logs = stage.output("training_logs") if stage.is_test else Path(wanted.logs)
    rows = files.read_whole_jsonl(logs / "metrics.jsonl") or files.read_whole_jsonl(Path(wanted.logs) / "metrics.jsonl")
    folder = stage.output("plots")
    return [
        plots.loss(rows, folder / "loss.png"),
        plots.gap(data.evaluation, folder / "gap.png"),
        plots.stated(data.evaluation["stated"], folder / "stated.png"),
    ]


def judge(first: str, data: Data, pictures: list[Path]) -> list[Criterion]:
    """Judge what was written."""
    share = report.percent(data.evaluation["share"]["all"]["share"])
    odd = foreign(first, data)
    sizes = [path.stat().st_size for path in pictures]
    return [
        Criterion("It opens with the share closed", first.startswith(f"**{share} of the gap closed**"), first[:60]),
        Criterion("It says how to repeat it", data.evaluation["command"] in first, data.evaluation["command"]),
        Criterion("Its figures are those of the data", not odd, ", ".join(odd) or "all found"),
        Criterion("There are pictures", all(size > 1000 for size in sizes), f"{len(sizes)} pictures"),
    ]


def foreign(line: str, data: Data) -> list[str]:
    """Return the figures of a line that the evaluation does not have."""
    known = {f"{abs(100 * value):.1f}" for value in numbers(data.evaluation)}
    return [number for number in NUMBER.findall(line) if number not in known]


def numbers(value: Any) -> list[float]:
    """Return every number in some data."""
    if isinstance(value, dict):
        return [one for part in value.values() for one in numbers(part)]
    return [float(value)] if isinstance(value, (int, float)) else []


if __name__ == "__main__":
    run("20_report", write, __doc__)

"""The skeleton of a numbered script: read settings, do the work, write a report, exit with one code."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import config, files
from common.errors import FAILED, RETRY_LATER, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.settings import Settings

USAGE_HINT = "settings: key=value, as character.name=hamlet; profiles: local (default), tinker"
BEGAN = time.monotonic()
REPORTED = ("PyYAML", "tinker", "datasets", "torch", "transformers")
STAGES = {  # files that later stages read -> the stage that writes them
    "corpus.jsonl": "03_explore_dataset.py",
    "exploration.json": "03_explore_dataset.py",
    "character/speeches.jsonl": "04_validate_character.py",
    "character/pairs.jsonl": "04_validate_character.py",
    "character/prompt.md": "05_write_character_prompt.py",
    "character/prompt.json": "05_write_character_prompt.py",
    "teacher/prompt.txt": "06_prepare_teacher.py",
    "teacher/teacher.json": "06_prepare_teacher.py",
    "teacher/probe.jsonl": "06_prepare_teacher.py",
    "questions.jsonl": "06_prepare_teacher.py",
    "held_out_questions.jsonl": "06_prepare_teacher.py",
    "teacher_data_1.jsonl": "08_generate_teacher_data.py",
    "audit.json": "09_audit.py",
    "train.jsonl": "10_split.py",
    "val.jsonl": "10_split.py",
    "training_config.yaml": "11_configure_training.py",
    "students.json": "13_train_student_model.py",
    "evaluation/answers.jsonl": "14_draw_test_answers.py",
    "evaluation/gap.json": "14_draw_test_answers.py",
    "evaluation/facts.jsonl": "14_draw_test_answers.py",
    "evaluation/facts.json": "14_draw_test_answers.py",
    "evaluation/evaluation.json": "15_evaluate.py",
    "evaluation/side_by_side.jsonl": "15_evaluate.py",
    "savings.json": "16_savings.py",
    "review/review.json": "18_review.py",
    "export/export.json": "19_export.py",
}


@dataclass(frozen=True)
class Criterion:
    """A condition, whether it is met, and the evidence."""

    text: str
    met: bool
    evidence: str


@dataclass
class Report:
    """The result of a stage; the manifest in `manifest_in` lists `inputs` and `outputs` with their digests."""

    criteria: list[Criterion] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    note: str = ""
    inputs: list[Path] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)
    manifest_in: str = "."

    @property
    def unmet(self) -> list[Criterion]:
        """The criteria that do not hold."""
        return [criterion for criterion in self.criteria if not criterion.met]


@dataclass(frozen=True)
class Stage:
    """A run of a numbered script; with `is_test` it reads little and writes under outputs/test/ alone."""

    name: str
    settings: Settings
    is_test: bool = False
    overrides: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder that this stage writes to."""
        return Path(self.settings.outputs, "test") if self.is_test else Path(self.settings.outputs)

    def output(self, name: str) -> Path:
        """Return the path of a file to write."""
        return self.folder / name

    def input(self, name: str) -> Path:
        """Return the path of a file of an earlier stage; a test also accepts a file that an earlier test wrote."""
        real, tried = Path(self.settings.outputs, name), self.folder / name
        for path in (real, tried):
            if path.is_file():
                return path
        raise Trouble(f"{real} is missing: run `python scripts/{STAGES[name]}` first")

    def progress(self, done: int, total: int) -> None:
        """Print one line that a progress bar reads."""
        print(json.dumps({"progress": {"done": done, "total": total}}), flush=True)


def run(name: str, work: Callable[[Stage], Report], about: str | None) -> None:
    """Run one stage, then exit with 0, 1 (a criterion is not met), 2 (usage) or 75 (retry later)."""
    try:
        stage = begin(name, sys.argv[1:], about)
        report = work(stage)
        finish(stage, report)
    except (Trouble, OSError) as error:
        sys.exit(explain(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        known = trouble_of(error)
        if known is None:
            raise
        sys.exit(explain(known))
    sys.exit(FAILED if report.unmet else 0)


def trouble_of(error: Exception) -> Trouble | None:
    """Return Trouble for an expected error of a package or of the service, None for a bug.

    The packages that stand alone raise errors with a line and an `exit_code` of their own.
    """
    if isinstance(exit_code := getattr(error, "exit_code", None), int):
        return Trouble(str(error), exit_code)
    sdk = sys.modules.get("tinker")
    if sdk is None or not isinstance(error, sdk.TinkerError):
        return None
    refused = (sdk.AuthenticationError, sdk.BadRequestError, sdk.PermissionDeniedError, sdk.NotFoundError)
    message = f"the service said {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if isinstance(error, (*refused, sdk.UnprocessableEntityError)):
        return Trouble(f"{message}; look at key, model and settings", FAILED)
    return Trouble(f"{message}; what is there is kept: run the same command again", RETRY_LATER)


def begin(name: str, arguments: list[str], about: str | None) -> Stage:
    """Read the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=about, epilog=USAGE_HINT, formatter_class=raw)
    parser.add_argument("--test", action="store_true", help="minimal data, in seconds, into outputs/test/")
    parser.add_argument("--profile", default="", help="a name of scripts/configs/, or a path to a .yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    given = parser.parse_intermixed_args(arguments)
    is_test = given.test or os.environ.get("DO_TASKS_TEST") == "1"
    settings = config.load(given.profile, given.overrides, os.environ)
    return Stage(name, settings, is_test=is_test, overrides=tuple(given.overrides))


def explain(error: Exception) -> int:
    """Print an error as one line, write it to the result file too; return the exit code."""
    line = f"{error}: check rights, space and path" if isinstance(error, OSError) else str(error)
    print(f"error: {line}", file=sys.stderr)
    write_result(Report(note=line))
    return int(getattr(error, "exit_code", FAILED))


def interpreter() -> str:
    """Return the interpreter as a person in the project calls it: `.venv/bin/python` where it is that one."""
    path = Path(sys.executable)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else "python"


def finish(stage: Stage, report: Report) -> None:
    """Write manifest and result file; print criteria, written files and note."""
    if report.outputs:
        path = stage.output(f"{report.manifest_in}/{stage.name}.manifest.json")
        files.write_json(path, manifest(stage, report, spent(path)))
    write_result(report)
    for criterion in report.criteria:
        print(f"{'ok  ' if criterion.met else 'FAIL'} {criterion.text}: {criterion.evidence}")
    for path in report.outputs:
        print(f"wrote {path}")
    print(report.note)
    for criterion in report.unmet:
        print(f"error: {criterion.text}: {criterion.evidence}", file=sys.stderr)


def spent(path: Path) -> float:
    """Return the seconds that earlier runs of this task took, by the manifest that they left."""
    old = files.read_json(path) if path.is_file() else {}
    return float(old.get("seconds", 0.0)) if old.get("task") == os.environ.get("DO_TASKS_TASK_ID") else 0.0


def manifest(stage: Stage, report: Report, before_s: float) -> dict[str, Any]:
    """Return settings, digests and versions, all that reproduces the outputs; with time, seconds and criteria."""
    return {
        "stage": stage.name,
        "test": stage.is_test,
        "task": os.environ.get("DO_TASKS_TASK_ID", "by hand"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(before_s + time.monotonic() - BEGAN, 1),
        "criteria": [dataclasses.asdict(one) for one in report.criteria],
        "settings": dataclasses.asdict(stage.settings),
        "inputs": digests(report.inputs),
        "outputs": digests(report.outputs),
        "versions": {"python": platform.python_version()} | installed(REPORTED),
    }


def digests(paths: list[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file by its path."""
    return {str(path): files.sha256(path) for path in sorted(paths)}


def installed(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of the installed packages by name."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_result(report: Report) -> None:
    """Write the result file where DO_TASKS_RESULT says; by hand there is none."""
    path = os.environ.get("DO_TASKS_RESULT")
    if not path:
        return
    criteria = {item.text: {"met": item.met, "evidence": item.evidence} for item in report.criteria}
    result = {"criteria": criteria, "metrics": report.metrics, "note": report.note}
    files.write_json(Path(path), result)

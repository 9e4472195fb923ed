"""Search hyperparameters: run the workers of a study, show its trials, sum it up.

python scripts/tune.py STUDY.yaml [--table] [--summary FOLDER] [key=value ...]
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from common import files
from common.errors import USAGE, Trouble
from tuning import study_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuning.study_settings import StudySettings

LOOK_S, TABLE_S, STOP_S = 0.2, 5.0, 20.0
MOST_RESTARTS = 20
STUDY = "study.json"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    options = argparse.ArgumentParser(prog="tune.py", description="Search hyperparameters under one storage budget.")
    options.add_argument("study", type=Path, help="the study's YAML file")
    options.add_argument("--table", action="store_true", help="show the trials and end; nothing is run")
    options.add_argument("--worker", type=int, default=0, help=argparse.SUPPRESS)
    options.add_argument("--parent", type=int, default=0, help=argparse.SUPPRESS)
    options.add_argument("--test", action="store_true", help="two trials of one epoch each, below OUTPUT/test")
    options.add_argument("overrides", nargs="*", metavar="key=value", help="as stop.trials=40 keep.budget_gb=0.5")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run the study; return the exit code."""
    given = parser().parse_intermixed_args(arguments)
    try:
        settings = study_settings.read(given.study, given.overrides)
        # absolute: a trial may change the working directory
        settings = dataclasses.replace(settings, output=str(settings.folder.absolute()))
        is_test = given.test or os.environ.get("DO_TASKS_TEST") == "1"
        if is_test:
            settings = study_settings.tried(settings)
        if given.table:
            from tuning import trial_table

            print(trial_table.text(settings))
            return 0
        if given.worker:
            return work(settings, given.worker, given.parent)
        return Parent(settings, given.study, given.overrides, is_test=is_test).run()
    except (Trouble, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, Trouble) else 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def work(settings: StudySettings, number: int, parent: int) -> int:
    """Run one worker; it ends with its parent."""
    die_with_parent(parent)
    from tuning import worker

    try:
        reason = worker.run(settings, number)
    except (Trouble, OSError):
        raise
    except Exception as error:  # of Optuna, its storage, or a bug
        log = settings.folder / f"worker_{number}.log"
        with contextlib.suppress(OSError):
            log.write_text(traceback.format_exc(), encoding="utf-8")
        raise Trouble(f"worker {number} ended: {study_settings.in_one_line(error)}; see {log}") from error
    print(f"worker {number}: {reason}", flush=True)
    return 0


def die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process with its parent."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel knew
        raise Trouble("the study's process is gone; start it again: its trials go on from their checkpoints")


class Parent:
    """Starts the workers of a study, starts dead ones again, and shows the trials."""

    def __init__(self, settings: StudySettings, path: Path, overrides: Sequence[str], *, is_test: bool) -> None:
        self.settings, self.is_test = settings, is_test
        self.argv = [sys.executable, os.path.abspath(sys.argv[0]), str(path), *overrides, *["--test"] * is_test]
        self.living: dict[int, subprocess.Popen[bytes]] = {}
        self.restarts = 0

    def run(self) -> int:
        """Run the study to its end; return the exit code, 1 if no trial has a score."""
        refuse_missing_packages()
        refuse_folder_of_another(self.settings, is_test=self.is_test)
        if self.is_test:
            shutil.rmtree(self.settings.folder, ignore_errors=True)
        self.project_use()
        remember(self.settings)
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            for number in range(1, self.settings.workers + 1):
                self.start(number)
            code = self.watch()
        finally:
            self.end_all()
        from tuning import summary, trial_table

        print(trial_table.text(self.settings), flush=True)
        found = summary.write(self.settings)
        if not found["best"]:
            print("error: no trial has a score; the reasons are printed above", file=sys.stderr)
        return code or int(not found["best"])

    def project_use(self) -> None:
        """Print the disk space that the checkpoints will take; raise Trouble if the budget cannot hold them."""
        from tuning import projection

        print(projection.line(self.settings), flush=True)

    def start(self, number: int) -> None:
        """Start a worker as a process of its own."""
        environ = {**os.environ, "OMP_NUM_THREADS": str(self.settings.threads)}
        argv = [*self.argv, "--worker", str(number), "--parent", str(os.getpid())]
        self.living[number] = subprocess.Popen(argv, env=environ)

    def watch(self) -> int:
        """Wait for all workers; start one again that a signal ended."""
        shown = time.monotonic()
        while self.living:
            for number, process in [*self.living.items()]:
                code = process.poll()
                if code is None:
                    continue
                del self.living[number]
                if code < 0 and self.restarts < MOST_RESTARTS:
                    self.restarts += 1
                    print(f"worker {number} was ended by signal {-code}; it is started again", flush=True)
                    self.start(number)
                elif code != 0:
                    print(f"worker {number} ended with {_how(code)}; the study ends here", flush=True)
                    return 1 if code < 0 else code
            if time.monotonic() - shown > TABLE_S:
                shown = self.show()
            time.sleep(LOOK_S)
        return 0

    def show(self) -> float:
        """Print one line of progress; return the time of it."""
        from tuning import trial_table

        print(trial_table.progress(self.settings), flush=True)
        return time.monotonic()

    def end_all(self) -> None:
        """End the workers that are left; nothing of a trial is lost by it."""
        for process in self.living.values():
            process.terminate()
        until = time.monotonic() + STOP_S
        for process in self.living.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, until - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def refuse_folder_of_another(settings: StudySettings, *, is_test: bool) -> None:
    """Raise Trouble for an output folder with another study's trials, and for a test folder with other files."""
    folder = settings.folder
    mine = {STUDY, study_settings.DATABASE, study_settings.LOCK}
    if is_test and folder.is_dir() and any(folder.iterdir()) and not any((folder / name).exists() for name in mine):
        raise Trouble(f"--test makes {folder} anew, and it holds files of yours: move it, or set another output", USAGE)
    if is_test or not (folder / STUDY).is_file():
        return
    before = files.read_json(folder / STUDY)
    name = before.get("study") if isinstance(before, dict) else None
    if name not in (None, settings.study):
        raise Trouble(f"{folder} is the output of study {name!r}: set another output for {settings.study!r}", USAGE)


def remember(settings: StudySettings) -> None:
    """Write the settings into the output folder and the study, so that its trials can be evaluated by themselves."""
    from tuning import study

    study.quiet()
    opened = study.opened(settings)
    before, written = opened.user_attrs.get("settings"), study_settings.as_written(settings)
    if before:
        study_settings.refuse_other(before, settings)
    files.write_json(settings.folder / STUDY, written)
    opened.set_user_attr("settings", written)


def refuse_missing_packages() -> None:
    """Raise Trouble if Optuna is not installed."""
    try:
        import optuna  # noqa: F401 - only its presence is asked for
    except ImportError as error:
        raise Trouble(
            f"{error.name} is not installed: pip install -c constraints.txt torch==2.13.0 -r requirements/training.txt",
            USAGE,
        ) from error

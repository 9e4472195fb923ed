"""The plans that are timed, written for the floor, for do-tasks, for each peer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import timed

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEC, PLAN, LOG, STATE = "SPEC.md", "step_definitions.yaml", ".task_execution.log", ".do-tasks"
TASK_ID = re.compile(rb"(task_\d+_)([0-9a-f]{8})")
GOLDEN = 0x9E3779B1


@dataclass(frozen=True)
class Load:
    """Steps of `before` checks side by side, a main, `after` checks; with `marks` each command leaves its name.

    With `jobs` no step depends on another, and so many run at a time. `work` is the shell text of MAIN.
    """

    steps: int
    before: int = 0
    after: int = 0
    check: str = "true"
    marks: bool = False
    jobs: int = 0
    work: str = ":"

    def command(self, kind: str, step: int, number: int = 0) -> str:
        """Return the shell command; kinds: p before main, m main, q after it."""
        if self.marks:
            return f"echo {kind}{step}_{number} >> marks"
        return self.check if kind == "p" else "true"

    def commands(self) -> Iterator[tuple[str, int]]:
        """Yield the kind and number of each command of a step."""
        yield from (("p", number) for number in range(self.before))
        yield "m", 0
        yield from (("q", number) for number in range(self.after))


def expected_marks(load: Load, first: int, *, tests_first: bool) -> Counter[str]:
    """Return each mark that steps `first` to the last must leave, once; TEST leaves one of its own kind, t."""
    steps = range(first, load.steps + 1)
    marks = Counter(f"{kind}{step}_{number}" for step in steps for kind, number in load.commands())
    return marks + Counter(f"t{step}_0" for step in steps if tests_first)


def spec_text(load: Load) -> str:
    boxes = "".join(f"- [ ] **STEP {step}**: Do bench step {step}\n" for step in range(1, load.steps + 1))
    return f"# Bench\n\n{boxes}"


def plan_text(load: Load) -> str:
    return "".join(_step_text(load, step) for step in range(1, load.steps + 1))


def main_text(load: Load) -> str:
    marked = 'case "$*" in *--test) kind=t;; *) kind=m;; esac\necho "$kind$1_0" >> marks'
    body = f"{marked if load.marks else load.work}\n"
    return f"#!/bin/sh\n# --test: a no-op has nothing to shrink\n{body}"


def _step_text(load: Load, step: int) -> str:
    args = f'    args: ["{step}"]\n' if load.marks else ""
    return (
        f"step_{step}_bench:\n"
        + ("  depends_on: []\n" if load.jobs else "")
        + _checks_text("pre_flight", [load.command("p", step, number) for number in range(load.before)])
        + f'  main:\n    objective: "Do bench step {step}"\n    script: "main.sh"\n{args}    timeout: 300\n'
        + _checks_text("post_validation", [load.command("q", step, number) for number in range(load.after)])
    )


def _checks_text(phase: str, commands: list[str]) -> str:
    rows = "".join(
        f'    - task: "check_{number}"\n      command: "{command}"\n      timeout: 5\n      parallel: true\n'
        for number, command in enumerate(commands)
    )
    return f"  {phase}:\n{rows}" if rows else ""


class Tool:
    """What a tool is asked to do: write a project, list it, run it, forget it, resume it before its last step."""

    name = ""
    leaves_out = ""
    tests_first = False
    slow = False

    def __init__(self, executable: str) -> None:
        self.executable = executable

    def write(self, folder: Path, load: Load) -> None:
        raise NotImplementedError

    def listing(self, load: Load) -> list[str]:
        raise NotImplementedError

    def run(self, load: Load) -> list[str]:
        raise NotImplementedError

    def resume(self, load: Load) -> list[str]:
        return self.run(load)

    def forget(self, folder: Path) -> None:
        """Return the project to the state in which nothing has run."""

    def remember(self, folder: Path, load: Load) -> None:
        """Really run all steps but the last; tools without a state have nothing to do."""

    def rewind(self, folder: Path, load: Load) -> None:
        """Undo the last step of a remembered history."""


class Floor(Tool):
    """Bare spawns and syncs, by the interpreter that do-tasks runs on."""

    name = "bash floor"
    leaves_out = "everything but the processes, the launcher and the syncs: no capture, limits, events, state"
    tests_first = True
    program = str(Path(__file__).with_name("floor.py"))

    def write(self, folder: Path, load: Load) -> None:
        write_project(folder, load)

    def run(self, load: Load) -> list[str]:
        return self._steps(load, 1)

    def resume(self, load: Load) -> list[str]:
        return self._steps(load, load.steps)

    def _steps(self, load: Load, first: int) -> list[str]:
        check = "marks" if load.marks else load.check
        sizes = map(str, (first, load.steps, load.before, load.after))
        return [self.executable, "-S", self.program, *sizes, check, str(load.jobs or 1)]


class DoTasks(Tool):
    """The tool under test."""

    name = "do-tasks"
    leaves_out = "nothing: TEST first, every event logged, synced and ticked"
    tests_first = True

    def __init__(self, executable: str) -> None:
        super().__init__(executable)
        self.memories: dict[Path, Memory] = {}

    def write(self, folder: Path, load: Load) -> None:
        write_project(folder, load)
        (folder / PLAN).write_text(plan_text(load))

    def listing(self, load: Load) -> list[str]:  # noqa: ARG002 - its argument is the folder
        return [self.executable, "list"]

    def dry_run(self) -> list[str]:
        return [self.executable, "--dry-run", "--step", "1"]

    def run(self, load: Load) -> list[str]:
        jobs = ["--jobs", str(load.jobs)] if load.jobs else []
        return [self.executable, "--step", "1" if load.steps == 1 else f"1-{load.steps}", *jobs]

    def resume(self, load: Load) -> list[str]:  # noqa: ARG002 - the log knows
        return [self.executable, "--continue"]

    def chill(self, folder: Path) -> None:
        shutil.rmtree(folder / STATE / "cache", ignore_errors=True)

    def forget(self, folder: Path) -> None:
        self.forget_all_but_cache(folder)
        self.chill(folder)

    def forget_all_but_cache(self, folder: Path) -> None:
        """Move the state aside: ext4 is slow to make files for minutes after it has deleted many."""
        shutil.copyfile(folder / "SPEC.orig", folder / SPEC)
        (folder / LOG).unlink(missing_ok=True)
        aside = Path(tempfile.mkdtemp(prefix="forgotten-", dir=folder.parent))
        for entry in tuple((folder / STATE).glob("*")):
            if entry.name != "cache":
                entry.rename(aside / entry.name)

    def remember(self, folder: Path, load: Load) -> None:
        timed([self.executable, "--step", f"1-{load.steps - 1}"], folder)
        self.memories[folder] = Memory.of(folder)

    def pad(self, source: Path, folder: Path, size: int) -> None:
        """Copy a remembered project; put older attempts of the same steps, `size` bytes of them, before its log."""
        shutil.copytree(source, folder)
        self.memories[source].restore(folder)
        pad_log(folder / LOG, size)
        (folder / STATE / "state.json").unlink(missing_ok=True)
        timed([self.executable, "list"], folder)
        self.memories[folder] = Memory.of(folder)

    def rewind(self, folder: Path, load: Load) -> None:  # noqa: ARG002 - the memory knows
        self.memories[folder].restore(folder)


@dataclass(frozen=True)
class Memory:
    """A do-tasks history: what a further step changes. The log only grows, so its length is enough."""

    spec: bytes
    log_size: int
    state: bytes | None
    jobs: frozenset[str]

    @classmethod
    def of(cls, folder: Path) -> Memory:
        state = folder / STATE / "state.json"
        return cls(
            (folder / SPEC).read_bytes(),
            (folder / LOG).stat().st_size,
            state.read_bytes() if state.exists() else None,
            frozenset(_names(folder / STATE / "jobs")),
        )

    def restore(self, folder: Path) -> None:
        (folder / SPEC).write_bytes(self.spec)
        os.truncate(folder / LOG, self.log_size)
        if self.state is not None:
            (folder / STATE / "state.json").write_bytes(self.state)
        for name in set(_names(folder / STATE / "jobs")) - self.jobs:
            shutil.rmtree(folder / STATE / "jobs" / name)


def pad_log(log: Path, size: int) -> None:
    """Write copies of this log, each under task ids of its own, before it; the file keeps its inode."""
    history = log.read_bytes()
    pieces = TASK_ID.split(history)
    numbers = [int(digits, 16) for digits in pieces[2::3]]
    with log.open("r+b") as file:
        file.truncate(0)
        copy = 0
        while file.tell() < size - len(history):
            copy += 1
            pieces[2::3] = [b"%08x" % (number + copy * GOLDEN & 0xFFFFFFFF) for number in numbers]
            file.write(b"".join(pieces))
        file.write(history)


def write_project(folder: Path, load: Load) -> None:
    """Write what the floor and do-tasks share: the spec, its original, main.sh."""
    folder.mkdir(parents=True)
    (folder / SPEC).write_text(spec_text(load))
    (folder / "SPEC.orig").write_text(spec_text(load))
    (folder / "main.sh").write_text(main_text(load))
    (folder / "main.sh").chmod(0o755)


def interpreter_of(executable: str) -> str:
    """Return the interpreter in a console script's first lines (pip hides a long path in the second), else ours."""
    with Path(executable).open("rb") as file:
        head = file.read(4096).decode(errors="replace").splitlines()[:2]
    for word in " ".join(head).replace("#!", " ").replace("'", " ").replace('"', " ").split():
        if "/python" in word and shutil.which(word):
            return word
    return sys.executable


def has_yaml(python: str) -> bool:
    return subprocess.run([python, "-c", "import yaml"], capture_output=True, check=False).returncode == 0


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []

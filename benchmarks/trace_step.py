"""Trace the way of one step: the files entered, the functions called, two call stacks.

    python benchmarks/trace_step.py [--names]

The step has a command as MAIN, one check and one criterion; its plan is validated and cached before.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
HOUSE = str(ROOT / "executor") + os.sep
SPEC = "- [ ] **STEP 1**: Warm the cache\n- [ ] **STEP 2**: Write a file\n"
DEFINITIONS = """\
step_1_warm:
  main: {command: "true", test: none}
step_2_write:
  depends_on: []
  pre_flight:
    - {task: there, command: "ls SPEC.md"}
  main:
    command: "echo hello > out.txt"
    test: none
    success_criteria:
      - {criterion: "The file is written", file: out.txt}
"""
MOST_FILES, MOST_FUNCTIONS = 40, 330
# The calls at which the stack is kept: module and function.
MILESTONES = {
    ("system/launcher.py", "start_paused"): "spawn of MAIN",
    ("store/spec_file.py", "mark_line"): "write of SPEC.md",
}


class Trace:
    """The functions of the package that a profiled call enters, and the stacks at the milestones."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.stacks: dict[str, list[tuple[str, str]]] = {}

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:  # noqa: ARG002 - the signature of setprofile
        called = place(frame)
        if event != "call" or called is None:
            return
        self.calls[called] += 1
        name = MILESTONES.get((called[0], called[1]))
        if name and name not in self.stacks:
            self.stacks[name] = stack_of(frame)

    @property
    def files(self) -> set[str]:
        """Return the files of the package that were entered."""
        return {file for file, _ in self.calls}


def place(frame: FrameType) -> tuple[str, str] | None:
    """Return file and function of a frame in the package, None for another, a module body or a comprehension."""
    code = frame.f_code
    if not code.co_filename.startswith(HOUSE) or code.co_name.startswith("<") or is_class_body(frame):
        return None
    return code.co_filename.removeprefix(HOUSE), code.co_qualname


def is_class_body(frame: FrameType) -> bool:
    """Return True for the body of a class, which runs at import."""
    return "__module__" in frame.f_code.co_names and "__qualname__" in frame.f_code.co_names


def stack_of(frame: FrameType) -> list[tuple[str, str]]:
    """Return the calls of the package that lead to a frame, outermost first."""
    found: list[tuple[str, str]] = []
    at: FrameType | None = frame
    while at is not None:
        found += [one] if (one := place(at)) else []
        at = at.f_back
    return found[::-1]


def packages_of(stack: list[tuple[str, str]]) -> list[str]:
    """Return the packages of a stack in order, neighbours once."""
    return [package for package, _ in itertools.groupby(file.split("/")[0] for file, _ in stack)]


def returning(stack: list[tuple[str, str]]) -> list[str]:
    """Return the packages that a stack leaves and enters again."""
    counts = Counter(packages_of(stack))
    return [package for package, count in counts.items() if count > 1]


def traced(folder: Path) -> Trace:
    """Run step 2 of a project in this process; return what was entered."""
    from executor.cli.main import main

    (folder / "SPEC.md").write_text(SPEC, encoding="utf-8")
    (folder / "step_definitions.yaml").write_text(DEFINITIONS, encoding="utf-8")
    before = {**os.environ}
    run(main, folder, "1")
    os.environ.update(before)  # the first run takes the secrets out
    trace = Trace()
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        code = run(main, folder, "2")
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert code == 0, f"the step did not pass: exit {code}"  # noqa: S101 - a trace of a failure measures nothing
    return trace


def run(main: Any, folder: Path, number: str) -> int:
    """Run one step with its output put aside; return the exit code."""
    with contextlib.redirect_stdout(io.StringIO()):
        return int(main(["--project", str(folder), "--step", number]) or 0)


def report(trace: Trace, *, names: bool) -> str:
    """Return the figures as text."""
    lines = [
        f"files entered: {len(trace.files)} (at most {MOST_FILES})",
        f"functions called: {len(trace.calls)} (at most {MOST_FUNCTIONS})",
        f"calls: {sum(trace.calls.values())}",
    ]
    for name, stack in trace.stacks.items():
        lines += ["", f"{name}: depth {len(stack)}, {' > '.join(packages_of(stack))}"]
        lines += [f"  {file} {function}" for file, function in stack]
        again = returning(stack)
        lines += [f"  entered twice: {', '.join(again)}"] if again else []
    if names:
        by_file = Counter(file for file, _ in trace.calls)
        lines += ["", *(f"{count:4} {file}" for file, count in by_file.most_common())]
        lines += ["", *sorted(f"{file} {function}" for file, function in trace.calls)]
    return "\n".join(lines)


def entry() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--names", action="store_true", help="list the files and functions too")
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        trace = traced(Path(folder))
        os.chdir(ROOT)
    sys.stdout.write(report(trace, names=asked.names) + "\n")


if __name__ == "__main__":
    entry()

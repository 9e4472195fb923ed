"""MAIN and TEST as a command: what is started, and what its end means."""

from __future__ import annotations

import os
import re
import shlex

from executor import reading
from executor.errors import DefinitionError, Problem
from executor.outcome import Outcome, Verdict
from executor.records import PROGRESS
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.bench import Bench, Task
    from executor.records import Exit
    from executor.steps import Main

RATE_LIMIT_EXIT = 75
_OOM = re.compile(r"out of memory|MemoryError", re.IGNORECASE)
_RATE_LIMIT = re.compile(r"\b429\b|rate limit", re.IGNORECASE)
_PLACED = re.compile(r"\$\{?[@*#1-9]")
_USAGE_EXIT = 2


def main_argv(bench: Bench, task: Task) -> tuple[str, ...]:
    """Return what MAIN starts."""
    main = _main(task)
    if main.command:
        return _shell(main.command, *main.args)
    return (*script_argv(bench, main.script), *main.args)


def _shell(command: str, *args: str) -> tuple[str, ...]:
    """Return bash with a command and its arguments, which follow its last word unless it places them itself."""
    text = f'{command.rstrip()} "$@"' if args and not _PLACED.search(command) else command
    return ("/bin/bash", "-o", "pipefail", "-c", text, *(("do-tasks", *args) if args else ()))


def sample_argv(bench: Bench, task: Task) -> tuple[str, ...]:
    """Return what TEST starts, empty when the step has no test form."""
    main = _main(task)
    form = main.sample.form
    if form == "command":
        return _shell(main.sample.command)
    if form == "none" or (form == "default" and not main.script):
        return ()
    words = ("--test",) if form == "default" else main.sample.args
    if main.command:
        return _shell(main.command, *main.args, *words)
    return (*script_argv(bench, main.script), *main.args, *words)


def script_argv(bench: Bench, script: str) -> tuple[str, ...]:
    """Return how a script is started: .py by the project's interpreter, others by themselves or their first line."""
    from executor.project import script_path

    path = script_path(bench.project, script)
    if not path:
        raise DefinitionError(
            Problem(
                bench.project.definitions,
                f"script {script} is neither at the root nor in scripts/; write it, or mend the name",
            )
        )
    if path.endswith(".py"):
        return (bench.python, path)
    first = reading.start_of(path, 256).partition(b"\n")[0]
    if os.access(path, os.X_OK) and first.startswith((b"#!", b"\x7fELF")):
        return (path,)
    named = first[2:].decode("utf-8", "replace").split() if first.startswith(b"#!") else []
    return (*(named or ["/bin/bash"]), path)


def shown(argv: tuple[str, ...], root: str) -> str:
    """Return a command as a person would type it in the project's folder."""
    if argv[:4] == ("/bin/bash", "-o", "pipefail", "-c"):
        return argv[4].removesuffix(' "$@"') + "".join(f" {shlex.quote(word)}" for word in argv[6:])
    return shlex.join(os.path.relpath(word, root) if word.startswith(f"{root}/") else word for word in argv)


def judge(end: Exit, *, verdict: Verdict | None, reason: str, stderr: str, output: str) -> tuple[Outcome, str]:
    """Return the outcome of a run with its retry class: timeout, oom, rate_limit, exit:N, signal:N."""
    if verdict is not None:
        return Outcome(verdict, reason), "timeout" if verdict == Verdict.TIMED_OUT else "stopped"
    if end.exit_code == 0:
        return Outcome(Verdict.PASSED), ""
    last = last_line(stderr) or last_line(output)
    told = f": {last}" if last else ""
    kind = _class(end, stderr=stderr, output=output)
    how = f"killed by signal {end.signal}" if end.signal else f"exit {end.exit_code}"
    return Outcome(Verdict.FAILED, f"{how}{told}"), kind


def _class(end: Exit, *, stderr: str, output: str) -> str:
    if (end.signal == 9 and not end.by_us) or _OOM.search(stderr):
        return "oom"
    if end.exit_code == RATE_LIMIT_EXIT or _RATE_LIMIT.search(output + stderr):
        return "rate_limit"
    return f"exit:{end.exit_code}"


def usage_hint(end: Exit, stderr: str, script: str) -> str:
    """Return what to do when the script does not know --test."""
    if end.exit_code == _USAGE_EXIT and re.search(r"--test|usage:|unrecognized", stderr):
        return f"; {script} does not take --test: add it, or give main.test its args, or say `test: none`"
    return ""


def last_line(text: str) -> str:
    """Return the last line that says something, 200 characters at most; what only makes the bar says nothing."""
    lines = (line.strip() for line in reversed(text.splitlines()))
    return next((line[:200] for line in lines if line and not line.startswith(PROGRESS)), "")


def _main(task: Task) -> Main:
    main = task.step.main
    assert main is not None  # noqa: S101 - a step with nothing to run is refused before it becomes a task
    return main

"""MAIN and TEST as a command: its argv, and the outcome of its end."""

from __future__ import annotations

import os
import re
import shlex

from executor.checks import failure_cause as causes
from executor.checks.failure_cause import ran_out_of_memory, was_limited
from executor.errors import DefinitionError, Problem
from executor.system import safe_open
from executor.system.outcome import Outcome, Verdict
from executor.system.output_tail import OUTPUT_TAIL
from executor.system.records import TYPE_CHECKING
from executor.system.shell.bash_command import as_typed as shown_command
from executor.system.shell.bash_command import bash_argv
from executor.system.signals import signal_name

if TYPE_CHECKING:
    from executor.plan.model import Main
    from executor.runners.process_run import Run
    from executor.store.context import RunContext
    from executor.store.task import Task
    from executor.system.run_records import Exit

RATE_LIMIT_EXIT = 75
_RATE_LIMIT = re.compile(r"\b429\b|rate limit", re.IGNORECASE)
_USAGE_EXIT = 2
_NOT_UNDERSTOOD = (2, 126, 127)  # exit codes of shells for a missing or unreadable program


def main_argv(context: RunContext, task: Task) -> tuple[str, ...]:
    """Return the argv of MAIN."""
    main = _main(task)
    if main.command:
        return bash_argv(main.command, *main.args)
    return (*script_argv(context, main.script), *main.args)


def sample_argv(context: RunContext, task: Task) -> tuple[str, ...]:
    """Return the argv of TEST, empty when the step has no test form."""
    main = _main(task)
    form = main.sample.form
    if form == "command":
        return bash_argv(main.sample.command)
    if form == "none" or (form == "default" and not main.script):
        return ()
    words = ("--test",) if form == "default" else main.sample.args
    if main.command:
        return bash_argv(main.command, *main.args, *words)
    return (*script_argv(context, main.script), *main.args, *words)


def script_argv(context: RunContext, script: str) -> tuple[str, ...]:
    """Return the argv of a script: .py by the project's interpreter, others by themselves or their first line."""
    from executor.store.project import script_path

    path = script_path(context.project, script)
    if not path:
        raise DefinitionError(
            Problem(
                context.project.definitions,
                f"script {script} is neither at the root nor in scripts/; write it, or correct the name",
            )
        )
    if path.endswith(".py"):
        return (context.python, path)
    first = safe_open.read_start(path, 256).partition(b"\n")[0]
    if os.access(path, os.X_OK) and first.startswith((b"#!", b"\x7fELF")):
        return (path,)
    named = first[2:].decode("utf-8", "replace").split() if first.startswith(b"#!") else []
    return (*(named or ["/bin/bash"]), path)


def shown(argv: tuple[str, ...], root: str) -> str:
    """Return a command as a person would type it in the project's folder."""
    words = (os.path.relpath(word, root) if word.startswith(f"{root}/") else word for word in argv)
    return shown_command(argv) or shlex.join(words)


def judge(end: Exit, *, verdict: Verdict | None, reason: str, stderr: str, output: str) -> tuple[Outcome, str]:
    """Return the outcome of a run with its retry class: timeout, oom, rate_limit, exit:N, signal:N."""
    if verdict is not None:
        return Outcome(verdict, reason), "timeout" if verdict == Verdict.TIMED_OUT else "stopped"
    if end.exit_code == 0:
        return Outcome(Verdict.PASSED), ""
    last = cause_of(end, stderr=stderr, output=output)
    kind = _class(end, stderr=stderr, output=output)
    how = killed_by(end.signal) if end.signal else f"exit {end.exit_code}"
    return Outcome(Verdict.FAILED, f"{how}{f': {last}' if last else ''}"), kind


def outcome_of(run: Run) -> tuple[Outcome, str]:
    """Return the outcome of a finished run with its retry class."""
    return judge(run.end, verdict=run.verdict, reason=run.reason, stderr=run.long_stderr, output=run.long_stdout)


def cause_of(end: Exit, *, stderr: str, output: str) -> str:
    """Return the line of a failed run's output that names the cause, empty without one."""
    memory = ran_out_of_memory(stderr, output, stderr[-OUTPUT_TAIL:])
    return causes.cause(stderr, output, code=None if end.signal else end.exit_code, memory=memory)


def killed_by(number: int) -> str:
    """Return `killed by signal 11 (SIGSEGV)`."""
    name = signal_name(number)
    return f"killed by signal {number}{f' ({name})' if name else ''}"


def _class(end: Exit, *, stderr: str, output: str) -> str:
    if (end.signal == 9 and not end.by_us) or ran_out_of_memory(stderr, output, stderr[-OUTPUT_TAIL:]):
        return "oom"
    near = output[-OUTPUT_TAIL:] + stderr[-OUTPUT_TAIL:]
    if end.exit_code == RATE_LIMIT_EXIT or _RATE_LIMIT.search(near) or was_limited(stderr, output):
        return "rate_limit"
    return f"exit:{end.exit_code}"


def line_ends_hint(context: RunContext, task: Task, end: Exit) -> str:
    """Return the fix for a script whose first line ends in CR, empty when that is not the cause."""
    from executor.store.project import script_path

    main = task.step.main
    if main is None or end.exit_code not in _NOT_UNDERSTOOD:
        return ""
    for name in dict.fromkeys((main.script,) if main.script else re.findall(r"[\w./~-]+", main.command)):
        path = script_path(context.project, name) if name else ""
        if path and not (main.script and path.endswith(".py")) and _ends_in_cr(path):
            return f"{name}: its first line ends in CR: save it with LF line ends"
    return ""


def _ends_in_cr(path: str) -> bool:
    try:
        return safe_open.read_start(path, 4096).partition(b"\n")[0].endswith(b"\r")
    except OSError:
        return False


def usage_hint(end: Exit, stderr: str, script: str) -> str:
    """Return the fix for a script that does not take --test, empty for another failure."""
    if end.exit_code == _USAGE_EXIT and re.search(r"--test|usage:|unrecognized", stderr):
        return f"; {script} does not take --test: add it, or give main.test its args, or say `test: none`"
    return ""


def last_line(text: str) -> str:
    """Return the last line that is not empty, 200 characters at most."""
    return causes.last_line(text)


def _main(task: Task) -> Main:
    main = task.step.main
    assert main is not None  # noqa: S101 - a step with nothing to run is refused before it becomes a task
    return main

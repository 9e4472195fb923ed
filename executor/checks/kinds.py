"""The table of the kinds of checks: where each runs, how its end is read."""

from __future__ import annotations

import json
import re
import sys
from enum import StrEnum

from executor.system import installation, text
from executor.system.records import TYPE_CHECKING, Record
from executor.system.shell.bash_command import SHELL
from executor.system.signals import SIGNAL_OFFSET, describe_exit
from executor.system.text import LONG_WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from executor.monitoring.model import Monitor
    from executor.plan.model import Check

IMPORTED = (
    "import os, sys; sys.path.append(sys.argv.pop(1)); from executor.checks.project_worker import main; "
    "from executor.checks.{0} import {1}; os._exit(main(sys.argv[1:], {{'{1}': {1}}}))"
)
CHILD = installation.package_file("checks", "project_worker.py")


class CheckResult(Record):
    """The result of a check; `fix` is the next move after a no."""

    ok: bool
    expected: str = ""
    got: str = ""
    fix: str = ""


class Place(StrEnum):
    """The process in which a kind of check runs."""

    SHELL = "shell"
    CHILD_EXECUTOR = "child_executor"
    CHILD_PROJECT = "child_project"
    IN_PROCESS = "in_process"
    PROSE = "prose"


class Kind(Record):
    """A kind of check; `module` of this package holds the function of its name that a CHILD_EXECUTOR runs."""

    place: Place
    module: str = ""


CHECKS = {
    "command": Kind(Place.SHELL),
    "env_set": Kind(Place.IN_PROCESS),
    "prose": Kind(Place.PROSE),
    "python_import": Kind(Place.CHILD_PROJECT),
    "call": Kind(Place.CHILD_PROJECT),
    "file": Kind(Place.CHILD_EXECUTOR, "file_checks"),
    "matches": Kind(Place.CHILD_EXECUTOR, "file_checks"),
    "result": Kind(Place.CHILD_EXECUTOR, "file_checks"),
    "metric": Kind(Place.CHILD_EXECUTOR, "metric_check"),
    "disk_free": Kind(Place.CHILD_EXECUTOR, "machine_checks"),
    "gpu_free": Kind(Place.CHILD_EXECUTOR, "machine_checks"),
    "port": Kind(Place.CHILD_EXECUTOR, "machine_checks"),
    "url": Kind(Place.CHILD_EXECUTOR, "machine_checks"),
}


def in_process(check: Check) -> bool:
    """Return True for the kinds that start no process: env_set and prose."""
    return CHECKS[check.kind].place in (Place.IN_PROCESS, Place.PROSE)


def argv(check: Check | Monitor, *, python: str) -> tuple[str, ...]:
    """Return the command line of a check; `python` is the project's interpreter. KeyError for IN_PROCESS."""
    return ARGV[CHECKS[check.kind].place](check, python)


def shell_argv(check: Check | Monitor, _: str) -> tuple[str, ...]:
    """Return bash with pipefail, so that a pipe ends as its worst part."""
    return (*SHELL, str(check.asks))


def child_argv(check: Check | Monitor, *start: str) -> tuple[str, ...]:
    """Return project_worker.py with the check behind an interpreter."""
    return (*start, CHILD, check.kind, json.dumps(check.asks, default=str))


def imported_argv(check: Check | Monitor, _: str) -> tuple[str, ...]:
    """Return the interpreter of do-tasks with the function of the kind imported.

    As a script it would be compiled anew each time, 8 ms of 22.
    """
    code = IMPORTED.format(CHECKS[check.kind].module, check.kind)
    return (
        sys.executable,
        "-I",
        "-S",
        "-c",
        code,
        installation.IMPORT_FOLDER,
        check.kind,
        json.dumps(check.asks, default=str),
    )


ARGV: dict[Place, Callable[[Check | Monitor, str], tuple[str, ...]]] = {
    Place.SHELL: shell_argv,
    Place.CHILD_EXECUTOR: imported_argv,
    Place.CHILD_PROJECT: child_argv,
}


def env_set(check: Check, environ: Mapping[str, str]) -> CheckResult:
    """Answer whether every variable holds something; no value is ever shown, only its length."""
    names = check.asks if isinstance(check.asks, list) else [check.asks]
    if not names or not all(isinstance(name, str) and name for name in names):
        return CheckResult(
            ok=False,
            expected="the name of a variable, or a list of names",
            got=type(check.asks).__name__,
            fix=f"correct env_set of {check.name} in the definitions",
        )
    states = {name: state_of(environ.get(name)) for name in names}
    lacking = [name for name in states if not environ.get(name, "").strip()]
    return CheckResult(
        ok=not lacking,
        expected=f"{', '.join(states)} set",
        got=next(iter(states.values())) if len(states) == 1 else "; ".join(f"{n}: {s}" for n, s in states.items()),
        fix=f"export {' '.join(f'{name}=...' for name in lacking)} before do-tasks starts" if lacking else "",
    )


def state_of(value: str | None) -> str:
    """Describe a variable without its value."""
    if value is None:
        return "not set"
    plural = "s" * (len(value) > 1)
    return f"set, {len(value)} character{plural}" if value.strip() else "set, but empty"


def answer(check: Check, *, exit_code: int | None, output: str) -> CheckResult:
    """Return the result of a process; `exit_code` is negative for a signal, None when it was stopped or never ran."""
    if CHECKS[check.kind].place is Place.SHELL:
        return shell_answer(check, exit_code, output)
    return child_answer(check, exit_code, output)


def shell_answer(check: Check, exit_code: int | None, output: str) -> CheckResult:
    """Return exit 0 as yes; else the last line and the move that this exit code asks for."""
    got = ended(exit_code, output)
    if exit_code == 0:
        return CheckResult(ok=True, expected="exit 0", got=got)
    move = MOVES.get(status_of(exit_code), by_hand)
    return CheckResult(ok=False, expected="exit 0", got=got, fix=move(one_line(str(check.asks)), output))


def child_answer(check: Check, exit_code: int | None, output: str) -> CheckResult:
    """Return the answer on the last lines of a worker's output; exit code and answer must agree to be a yes."""
    for line in reversed(output.splitlines()[-20:]):
        found = answer_in(line)
        if found and found["ok"] is (exit_code == 0):
            words = {key: one_line(str(found[key])) for key in ("expected", "got", "fix")}
            return CheckResult(ok=exit_code == 0, **words)
    return CheckResult(
        ok=False,
        expected=f"an answer to {check.kind}",
        got=f"none: {ended(exit_code, output)}",
        fix=f"try it by hand: {attempt(check)}",
    )


def answer_in(line: str) -> dict[str, Any]:
    """Return the answer that a line holds, {} when it holds none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.keys() == set(CheckResult._fields) else {}


def attempt(check: Check) -> str:
    """Return the command by which a person can try a check whose worker gave no answer."""
    import shlex

    if check.kind == "python_import" and isinstance(check.asks, str):
        return one_line(f"python -c {shlex.quote(f'import {check.asks}')}")
    return one_line(f"python {shlex.quote(CHILD)} {check.kind} ...")


# Words


def one_line(value: str) -> str:
    """Return a text as one line of LONG_WIDTH characters at most."""
    return text.one_line(value, LONG_WIDTH)


def ended(exit_code: int | None, output: str) -> str:
    """Describe the end of a process: its exit, then the last line of its output."""
    last = next(filter(None, map(one_line, reversed(output.splitlines()))), "")
    return f"{describe_exit(exit_code)}: {last}" if last else describe_exit(exit_code)


def status_of(exit_code: int | None) -> int | None:
    """Return the exit code as a shell would give it: 128 + n for signal n."""
    return SIGNAL_OFFSET - exit_code if exit_code is not None and exit_code < 0 else exit_code


# The next move after an exit code


def by_hand(command: str, _: str) -> str:
    """Return the move when nothing better is known."""
    return f"run it by hand: {command}"


def install(command: str, output: str) -> str:
    """Return the move after a command that is not found."""
    return f"install {refused_word(command, output)} or correct its name, then run it by hand: {command}"


def permit(command: str, output: str) -> str:
    """Return the move after a file that is not executable."""
    return f"chmod +x {refused_word(command, output)}, or name its interpreter: {command}"


def shorten(command: str, _: str) -> str:
    """Return the move after a pipe whose later part stopped reading."""
    return f"a later part closed the pipe early; let it read everything, or read less before it: {command}"


def spare(command: str, _: str) -> str:
    """Return the move after a SIGKILL."""
    return f"something killed it, perhaps for its memory; run it by hand: {command}"


def refused_word(command: str, output: str) -> str:
    """Return the word that the shell could not start, by its own message, else the first one."""
    refused = re.findall(r": ([^:\n]+): (?:command not found|No such file|Permission denied|Is a directory)", output)
    return one_line(refused[-1]) if refused else next(iter(command.split()), "the command")


MOVES: dict[int | None, Callable[[str, str], str]] = {126: permit, 127: install, 137: spare, 141: shorten}

"""The command line of a check."""

from __future__ import annotations

import os

from executor.checks import kinds
from executor.system.records import TYPE_CHECKING
from executor.system.shell import simple_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.monitoring.model import Monitor
    from executor.plan.model import Check
    from executor.store.context import RunContext

    Argv = tuple[str, ...]


def start_of(context: RunContext, check: Check, env: Mapping[str, str]) -> tuple[Argv, Mapping[str, str]]:
    """Return a check's command line and environment; in the sandbox where an agent did the work."""
    if context.enclosure is None:
        return argv_of(context, check), env
    return context.enclosure.command_of(check, kinds.argv(check, python=context.python), env)


def argv_of(context: RunContext, check: Check | Monitor) -> Argv:
    """Return the command line of a check: the program itself where bash would only pass its arguments on."""
    is_plain = check.kind == "command" and not _is_bash_changed(context.environ)
    plain = simple_command.simple_words(check.asks) if is_plain else ()
    program = _program(context, plain[0]) if plain else ""
    return (program, *plain[1:]) if program else kinds.argv(check, python=context.python)


def _is_bash_changed(environ: Mapping[str, str]) -> bool:
    """Return True for an environment by which bash reads a file or has other functions as it starts."""
    return any(name == "BASH_ENV" or name.startswith("BASH_FUNC_") for name in environ)


def _program(context: RunContext, name: str) -> str:
    """Return the path of a program on the PATH of checks, empty when it is not there."""
    if name not in context.programs:
        folders = [os.path.dirname(context.python), *context.environ.get("PATH", os.defpath).split(os.pathsep)]
        paths = [os.path.join(context.root, folder, name) for folder in folders] if "/" not in name else []
        context.programs[name] = next((path for path in paths if _is_binary(path)), "")
    return context.programs[name]


def _is_binary(path: str) -> bool:
    """Return True for a binary that may be executed: a script without a first line needs a shell."""
    if not (os.path.isfile(path) and os.access(path, os.X_OK)):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"

"""The program `do-tasks`: its command, its options, its exit code."""

from __future__ import annotations

import errno
import gc
import os
import sys
from io import TextIOWrapper

from executor import __version__
from executor.cli import help as texts
from executor.errors import (
    REMEDIES,
    BusyError,
    DefinitionError,
    DoTasksError,
    MachineError,
    PersonNeededError,
    SpecError,
    UsageError,
    remedy,
)
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.text import did_you_mean

if TYPE_CHECKING:
    from argparse import ArgumentParser, HelpFormatter
    from types import ModuleType
    from typing import NoReturn

    from executor.system.masking import Masker

EXIT_CODES: dict[Verdict, int] = {
    Verdict.PASSED: 0,
    Verdict.SKIPPED: 0,
    Verdict.STARTED: 0,
    Verdict.FAILED: 1,
    Verdict.TIMED_OUT: 1,
    Verdict.CANCELLED: 1,
    Verdict.LOST: 1,
    Verdict.WAITING: 3,
    Verdict.INVALID: 2,
    Verdict.ALERT: 4,
    Verdict.INTERRUPTED: 130,
}
ERROR_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (UsageError, 2),
    (DefinitionError, 2),
    (SpecError, 2),
    (PersonNeededError, 3),
    (BusyError, 5),
    (MachineError, 6),
    (KeyboardInterrupt, 130),
)
INTERNAL_ERROR = 70
AS_OPTIONS = ("monitor", "archive")  # commands that may be written as an option
WITHOUT_PLAN = ("init", "schema")  # commands that take no --plan
MACHINE = frozenset(REMEDIES) - {errno.EINVAL} | {errno.EIO, errno.ESTALE, errno.ENOLCK}


def entry() -> NoReturn:
    """Run as a program, the garbage collector off: a run is short, or waits."""
    gc.disable()
    os.umask(os.umask(0o077) & 0o077)  # new files stay usable by their owner, also for child processes
    _fill_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    gc.freeze()
    sys.exit(code)


def _fill_closed_streams() -> None:
    """Open descriptors 0, 1 and 2 that were closed: a log that opened as 1 would receive the transcript."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open as long as the process
    sys.stderr = sys.stderr or sys.stdout


def _drop_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(words: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        return EXIT_CODES[_run_command(words)]
    except (DoTasksError, KeyboardInterrupt) as error:
        return _report(error)
    except BrokenPipeError:
        _drop_stdout()
        return 0
    except (OSError, MemoryError) as error:
        reason = _machine_reason(error)
        return _report(MachineError(f"{reason}, then run: do-tasks --continue")) if reason else _report_bug(error)
    except Exception as error:  # noqa: BLE001 - the one place where a bug becomes a report
        return _report_bug(error)


def _run_command(words: list[str]) -> Verdict:
    if words[:1] in (["-h"], ["--help"], ["help"], []):
        print(texts.overview())
        return Verdict.PASSED
    if words == ["--version"]:
        print(f"do-tasks {__version__}")
        return Verdict.PASSED
    words = _command_first(words)
    as_option = next((name for name in AS_OPTIONS if f"--{name}" in words), "run")
    command = as_option if words[0].startswith("-") else words[0]
    if command not in texts.COMMANDS:
        raise UsageError(f"unknown command {command!r}{did_you_mean(command, texts.COMMANDS)}; see: do-tasks --help")
    parser = parser_of(command)
    try:
        args = parser.parse_args(words[1:] if command == words[0] else words)
    except SystemExit as stop:
        if not stop.code:
            return Verdict.PASSED
        near = texts.nearest_option(words, parser.format_usage())
        raise UsageError(f"{near}see: do-tasks {'' if command == 'run' else command + ' '}--help") from None
    args.command = command
    verdict: Verdict = _module(command).run(args)
    return verdict


def _command_first(words: list[str]) -> list[str]:
    """Return the words with the command before --project and --plan, where it stands behind them."""
    at = 0
    while words[at : at + 1] and words[at] in ("--project", "--plan"):
        at += 2
    return [*words[at:], *words[:at]] if words[at : at + 1] and words[at] in texts.COMMANDS else words


def _module(command: str) -> ModuleType:
    from importlib import import_module

    return import_module(f"executor.cli.commands.{texts.COMMANDS[command].module or command}")


def parser_of(command: str) -> ArgumentParser:
    """Return the parser of a command's words."""
    from argparse import ArgumentParser

    from executor.cli import options

    parser = ArgumentParser(
        prog=f"do-tasks {command}" if command != "run" else "do-tasks",
        description=texts.COMMANDS[command].summary,
        epilog=f"example: {texts.COMMANDS[command].example}",
        formatter_class=_formatter,
    )
    parser.add_argument("--project", default=".", metavar="DIR", help="folder of the plan (default: here or above)")
    own = _module(command).OPTIONS
    if command not in WITHOUT_PLAN and not any("--plan" in one.names for one in own):
        options.add(parser, (options.PLAN,))
    options.add(parser, own)
    return parser


def _formatter(prog: str) -> HelpFormatter:
    """Return a formatter of a fixed width: to find one, argparse would import shutil, 3 ms."""
    from argparse import HelpFormatter

    return HelpFormatter(prog, width=100)


def _report(error: BaseException) -> int:
    """Print an error and return its exit code; several problems start on a line each, so that an editor finds them."""
    text = _printable(error)
    several = "\n" in text and not isinstance(error, PersonNeededError)
    head = f"{text.count(chr(10)) + 1} problems:\n" if several else ""
    print(f"do-tasks: {head}{text}", file=sys.stderr)
    return next(code for kind, code in ERROR_CODES if isinstance(error, kind))


def _machine_reason(error: OSError | MemoryError) -> str:
    """Return the system's refusal with a way out, empty when no file and no shortage explains it."""
    if isinstance(error, MemoryError):
        return "out of memory; free some memory"
    if error.filename is None and error.errno not in MACHINE:
        return ""
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
    return f"{place}{error.strerror}; {remedy(error)}"


def _printable(error: BaseException) -> str:
    """Return an error's text without secrets and control characters."""
    from executor.system.text import clean_control

    return _masker().mask(clean_control(str(error) or "interrupted"))


def _masker() -> Masker:
    """Return the masker of the secrets of the environment and of the plan here."""
    from executor.store.known_secrets import masker_here

    try:
        return masker_here(os.getcwd(), os.environ)
    except Exception:  # noqa: BLE001 - an error is printed whatever else is broken
        from executor.system.masking import Masker
        from executor.system.secret_values import secrets_of

        return Masker(secrets_of(os.environ))


def _report_bug(error: Exception) -> int:
    """Write the traceback to a file and print one line."""
    import tempfile
    import traceback

    text = _masker().mask("".join(traceback.format_exception(error)))
    where = "the text above"
    try:
        with tempfile.NamedTemporaryFile("wb", prefix="do-tasks-bug-", suffix=".txt", delete=False) as file:
            file.write(f"do-tasks {__version__}, Python {sys.version}\n{text}".encode("utf-8", "backslashreplace"))
            where = file.name
    except OSError:  # a full disk must not hide it
        print(text, file=sys.stderr)
    print(f"do-tasks: internal error: {type(error).__name__}; please report it with {where}", file=sys.stderr)
    return INTERNAL_ERROR

"""The command line: which verb, which words, which exit code."""

from __future__ import annotations

import errno
import gc
import os
import sys
from io import TextIOWrapper

from executor import __version__
from executor.errors import (
    WAYS_OUT,
    BusyError,
    DefinitionError,
    DoTasksError,
    MachineError,
    PersonWantedError,
    SpecError,
    UsageError,
    way_out,
)
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import HelpFormatter
    from typing import NoReturn

    from executor.system.masking import Masker

VERBS = {
    "run": ("run", "run steps: --step 1 | 1-5 | 1,3,7-9 | name, --continue, --all, --dry-run"),
    "list": ("list", "the steps with their state; --ready: only what can run now"),
    "why": ("why", "what would run for a step, with the reason"),
    "validate": ("validate", "every problem of the plan at once, and checks that cannot fail"),
    "doctor": ("doctor", "what this machine and project offer, who is given which secret"),
    "init": ("init", "make a project of a folder; overwrites nothing"),
    "log": ("log", "what the log says of a task; --follow, --rotate"),
    "monitor": ("monitor", "every background job; --watch, --json, --until EVENT; the same: --monitor"),
    "resume": ("resume", "the work of a brief is done: check it, judge it, tick"),
    "accept": ("accept", "a person, at a terminal, accepts that what judges a brief's step changed"),
    "stop": ("stop", "end a task and everything it started"),
    "recheck": ("recheck", "check ticked steps again on what lies here, without MAIN"),
    "retick": ("retick", "tick again from the log what passed, when SPEC.md went back"),
    "mark-done": ("mark", "tick a box by hand"),
    "reopen": ("mark", "open a box by hand"),
    "clean": ("clean", "remove the job folders of old tasks: --keep N, --dry-run"),
    "notify": ("notify", "who is told of alerts and ends; --test sends each a notice"),
    "mcp": ("mcp", "the plan as tools over stdio, for any agent that speaks MCP"),
    "schema": ("schema", "the JSON Schema of the definitions, or --events of the log"),
}
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
    (PersonWantedError, 3),
    (BusyError, 5),
    (MachineError, 6),
    (KeyboardInterrupt, 130),
)
OUR_BUG = 70
MACHINE = frozenset(WAYS_OUT) - {errno.EINVAL} | {errno.EIO, errno.ESTALE, errno.ENOLCK}


def entry() -> NoReturn:
    """Run as a program; the collector is off: a run is short, or waits."""
    gc.disable()
    os.umask(os.umask(0o077) & 0o077)  # what is made stays usable by its owner, also for our children
    _fill_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = main(sys.argv[1:])
    _flush()
    gc.freeze()
    sys.exit(code)


def _fill_closed_streams() -> None:
    """Open what came closed of 0, 1 and 2: a log that opened as 1 would take the transcript."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open as long as we are
    sys.stderr = sys.stderr or sys.stdout


def main(words: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        return EXIT_CODES[_dispatch(words)]
    except (DoTasksError, KeyboardInterrupt) as error:
        text = _shown(error)
        several = "" if isinstance(error, PersonWantedError) else _several(text)
        print(f"do-tasks: {several}{text}", file=sys.stderr)
        return next(code for kind, code in ERROR_CODES if isinstance(error, kind))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, MemoryError) as error:
        told = _told_of_machine(error)
        if not told:
            return _report_bug(error)
        print(f"do-tasks: {_shown(MachineError(told))}, then run: do-tasks --continue", file=sys.stderr)
        return next(code for kind, code in ERROR_CODES if kind is MachineError)
    except Exception as error:  # noqa: BLE001 - the one place where a bug of ours becomes a report
        return _report_bug(error)


def _told_of_machine(error: OSError | MemoryError) -> str:
    """Return what the machine refused with the way out, empty when no file and no shortage explains it."""
    if isinstance(error, MemoryError):
        return "there is not enough memory; free some"
    if error.filename is None and error.errno not in MACHINE:
        return ""
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
    return f"{place}{error.strerror}; {way_out(error)}"


def _several(text: str) -> str:
    """Return a line before problems that each stand on one, so that an editor finds every place."""
    return f"{text.count(chr(10)) + 1} problems:\n" if "\n" in text else ""


def _dispatch(words: list[str]) -> Verdict:
    if words[:1] in (["-h"], ["--help"], ["help"], []):
        print(_help())
        return Verdict.PASSED
    if words == ["--version"]:
        print(f"do-tasks {__version__}")
        return Verdict.PASSED
    if words[0] == "--project" and len(words) > 2:
        words = [*words[2:], *words[:2]]
    verb = ("monitor" if "--monitor" in words else "run") if words[0].startswith("-") else words[0]
    if verb not in VERBS:
        raise UsageError(f"{verb!r} is no verb of do-tasks{_nearest(verb)}; see: do-tasks --help")
    return _run_verb(verb, words[1:] if verb == words[0] else words)


def _run_verb(verb: str, words: list[str]) -> Verdict:
    from argparse import ArgumentParser
    from importlib import import_module

    module = import_module(f"executor.cli.commands.{VERBS[verb][0]}")
    parser = ArgumentParser(
        prog=f"do-tasks {verb}" if verb != "run" else "do-tasks", description=VERBS[verb][1], formatter_class=_formatter
    )
    parser.add_argument("--project", default=".", metavar="DIR", help="folder of the plan (default: here or above)")
    module.options(parser, verb)
    try:
        args = parser.parse_args(words)
    except SystemExit as stop:
        if stop.code:
            near = _nearest_option(words, parser.format_usage())
            raise UsageError(f"{near}see: do-tasks {'' if verb == 'run' else verb + ' '}--help") from None
        return Verdict.PASSED
    args.verb = verb
    verdict: Verdict = module.run(args)
    return verdict


def _formatter(prog: str) -> HelpFormatter:
    """Return a formatter with a width of its own: argparse would import shutil for one, 3 ms."""
    from argparse import HelpFormatter

    return HelpFormatter(prog, width=100)


def _help() -> str:
    rows = [f"  {verb:<10} {told}" for verb, (_, told) in VERBS.items() if verb != "run"]
    return "\n".join(
        [
            "do-tasks runs a plan: SPEC.md and step_definitions.yaml. A box is ticked only for what was seen.",
            "",
            "  do-tasks --step 1 | 1-5 | 1,3,7-9 | name   run these steps",
            "  do-tasks --continue                        go on where it stopped",
            "  do-tasks --all [--keep-going]              every open step, with a summary",
            "  do-tasks --dry-run                         what would run, and why",
            "  do-tasks --monitor [--watch | --until E]   background jobs; E: started first_checkpoint finished alert",
            "",
            *rows,
            "",
            "each takes --help and --project DIR; exit codes: 0 passed, 1 a step failed, 2 usage or plan, 3 waiting,",
            "4 an alert stands or a job died, 5 another executor, 6 the machine, 70 our bug, 130 interrupted",
        ]
    )


def _nearest(word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, VERBS, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _nearest_option(words: list[str], usage: str) -> str:
    import re
    from difflib import get_close_matches

    known = re.findall(r"--[\w-]+", usage)
    unknown = [word.partition("=")[0] for word in words if word.startswith("--")]
    near = [found for word in unknown if word not in known for found in get_close_matches(word, known, n=1)]
    return f"did you mean {near[0]}? " if near else ""


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _shown(error: BaseException) -> str:
    """Return an error's words without secrets, unable to drive a terminal."""
    from executor.system.text import clean_control

    return _masker().mask(clean_control(str(error) or "interrupted"))


def _masker() -> Masker:
    """Return what masks the secrets of the environment and of the plan here."""
    from executor.store.known_secrets import masker_here

    try:
        return masker_here(os.getcwd(), os.environ)
    except Exception:  # noqa: BLE001 - an error is told whatever else is broken
        from executor.system.masking import Masker
        from executor.system.secret_values import secrets

        return Masker(secrets(os.environ))


def _report_bug(error: Exception) -> int:
    """Keep the traceback in a file, say one line."""
    import tempfile
    import traceback

    text = _masker().mask("".join(traceback.format_exception(error)))
    where = "what stands above"
    try:
        with tempfile.NamedTemporaryFile("wb", prefix="do-tasks-bug-", suffix=".txt", delete=False) as file:
            file.write(f"do-tasks {__version__}, Python {sys.version}\n{text}".encode("utf-8", "backslashreplace"))
            where = file.name
    except OSError:  # a full disk must not hide it
        print(text, file=sys.stderr)
    print(f"do-tasks: a bug of ours: {type(error).__name__}; please report it with {where}", file=sys.stderr)
    return OUR_BUG

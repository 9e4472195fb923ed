"""Command lines of bash in which no failure of a line is lost, and a writer that `| head` ended is no failure."""

from __future__ import annotations

import re

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.system.shell.tree import AndOr, Pipeline, Script, ShellCommand

SHELL = ("/bin/bash", "-o", "pipefail", "-c")
SHELL_ERREXIT = ("/bin/bash", "-O", "inherit_errexit", "-e", "-o", "pipefail", "-c")
ARGV_0 = "do-tasks"  # $0 of a command with arguments
_ARGS = ' "$@"'
_JOINED = re.compile(r"[|;&\n]")
# A shell around the writer of a pipe: 141 is 128 + SIGPIPE, its end when the reader closed the pipe.
_WRITER = ("{ trap '[ $? -ne 141 ] || exit 0' EXIT; ( ", " ); }")
_READ_ALL = ("tee", "wc", "sort", "tail", "uniq", "tr", "md5sum", "sha256sum")  # these read until their writer ends
_CONDITIONS = ("[", "[[", "test", "grep", "egrep", "fgrep", "rg", "diff", "cmp", "pgrep", "type", "which", "command")


def bash_argv(command: str, *args: str) -> tuple[str, ...]:
    """Return bash with a command and its arguments, which follow its last word unless the command expands them."""
    text = command.rstrip()
    if not args:
        return (*SHELL, command)
    script = parse(text)
    if script is None:
        text = f"{text}{_ARGS}"
    elif not script.places_args:
        end = script.parts[-1].end if script.parts else len(text)
        text = f"{text[:end]}{_ARGS}{text[end:]}"
    return (*SHELL, text, ARGV_0, *args)


def as_typed(argv: tuple[str, ...]) -> str:
    """Return the command of `bash_argv` as a person would type it, empty for any other command line."""
    import shlex

    if argv[: len(SHELL)] != SHELL:
        return ""
    text, args = argv[len(SHELL)], "".join(f" {shlex.quote(word)}" for word in argv[len(SHELL) + 2 :])
    return text.replace(_ARGS, args, 1) if _ARGS in text else f"{text}{args}"


def guarded_argv(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command line to start for one of bash; any other is unchanged.

    A failure of any line of several counts, as under `bash -e`; one line ends with the status of its last command.
    """
    text = argv[len(SHELL)] if argv[: len(SHELL)] == SHELL else ""
    lines = text.strip()
    if not _JOINED.search(lines) or not ("|" in lines or "\n" in lines):
        return argv
    script = parse(text)
    counted = "\n" in lines
    shell = SHELL_ERREXIT if counted else SHELL
    return (*shell, _guarded_text(text, script, counted=counted) if script else text, *argv[len(SHELL) + 1 :])


def parse(text: str) -> Script | None:
    """Return the syntax of a command, None for one that is not understood; the parser is imported at first use."""
    from executor.system.shell.syntax import parse

    return parse(text)


def _guarded_text(text: str, script: Script, *, counted: bool) -> str:
    """Return a command with guards around its writers, and behind the lines whose failure `-e` ignores."""
    places = [place for pipeline in script.pipelines for place in _guards(pipeline)]
    places += [(part.end, " || exit") for part in script.parts[:-1] if counted and hides_failure(part)]
    for at, added in sorted(places, key=lambda place: place[0], reverse=True):
        text = f"{text[:at]}{added}{text[at:]}"
    return text


def _guards(pipeline: Pipeline) -> Iterator[tuple[int, str]]:
    """Yield offset and text of the guards around the writers of a pipeline."""
    *writers, last = pipeline.commands
    readers = [last]
    for writer in reversed(writers):
        if any(name_of(reader) not in _READ_ALL for reader in readers):
            yield writer.start, _WRITER[0]
            yield writer.end, _WRITER[1]
        readers.append(writer)


def name_of(command: ShellCommand) -> str:
    """Return the program of a simple command, else its kind; empty when it is known only at run time."""
    if command.kind != "simple":
        return command.kind
    words = [word for word in command.values if word is None or not re.match(r"\w+=", word)]
    return (words[0] or "").rpartition("/")[2] if words else ""


def hides_failure(part: AndOr) -> bool:
    """Return True for `a && b` and `! a`, after whose failure `-e` goes on, unless it is a condition."""
    first = part.pipelines[0]
    if part.closed_by == "&" or "||" in part.joints:
        return False
    if not part.joints:
        return first.negated
    return not first.negated and name_of(first.commands[0]) not in (*_CONDITIONS, "test", "((")

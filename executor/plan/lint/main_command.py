"""Rules for the command of MAIN: processes left behind, failures hidden, arguments that go astray."""

from __future__ import annotations

import re
from functools import lru_cache

from executor.plan.issues import ValidationIssue
from executor.plan.lint.detached import left_behind
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING
from executor.system.shell.bash_command import name_of
from executor.system.shell.syntax import parse
from executor.system.shell.tree import nested

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.plan.issues import Path
    from executor.plan.model import Main, Step
    from executor.system.shell.tree import AndOr, Pipeline, Script, ShellCommand

COMMAND, TEST = ("main", "command"), ("main", "test", "command")
_TAKE_A_PIPE = (
    *("tee", "head", "tail", "grep", "egrep", "sed", "awk", "cat", "less", "more", "sort", "wc", "tr", "cut"),
    *("uniq", "ts", "jq", "logger", "split", "gzip", "column", "nl", "fold", "pv", "rotatelogs", "multilog"),
)
_SAY_NOTHING = ("true", ":", "echo", "printf", "exit", "date", "sleep", "wait", "sync", "touch", "return")
_TALK = ("echo", "printf", "date", "sleep")
_PREPARE = (
    *("cd", "export", "source", ".", "mkdir", "set", "ulimit", "module", "ml", "conda", "mamba", "eval", "umask"),
    *("rm", "cp", "mv", "ln", "touch", "echo", "printf", "test", "[", "declare", "unset", "shopt", "date", "pwd"),
    *("nvidia-smi", "pip", "uv", "git", "tar", "unzip", "which", "command", "type", "trap", "sleep", "true", ":", ""),
)
_WHERE = 'write "$@" into the command where they belong'
_HIDDEN = lazy_regex.pattern(
    r"\b(?:export|local|declare|readonly|typeset)[ \t]+(?:-\w+[ \t]+)*(\w+)=\"?(?:\$\((?!\()|`)"
)


def lint_main(step: Step) -> Iterator[ValidationIssue]:
    """Yield errors and warnings about the commands of MAIN and TEST, by path inside the step."""
    main = step.main
    if main is None:
        return
    if main.command:
        yield from _flaws_of(COMMAND, main.command, severity="error")
        yield from _args_flaws(main)
    if main.sample.command:
        yield from _flaws_of(TEST, main.sample.command, severity="warning")


@lru_cache(maxsize=1024)
def _flaws_of(path: Path, command: str, *, severity: str) -> tuple[ValidationIssue, ...]:
    return tuple(_found_in(path, command, severity=severity))


def _found_in(path: Path, command: str, *, severity: str) -> Iterator[ValidationIssue]:
    script = parse(command)
    if script is None:
        return
    left = left_behind(script)
    if left:
        yield ValidationIssue(path, left.message, severity=severity if left.certain else "warning")
    message = _cannot_fail(script) or _hidden(command)
    if message and not (left and left.certain):
        yield ValidationIssue(path, message, severity="warning")


def _cannot_fail(script: Script) -> str:
    """Return the message for a command that hides a failure, empty when it hides none."""
    if not script.parts:
        return "runs nothing: give it a command"
    if any(name_of(one) == "set" and "+e" in one.values for one in nested(script.parts)):
        return "goes on after a failure (set +e): take it out, and write || true behind a command that may fail"
    if _leaves_some(script.parts) and _only_waits(script.parts[-1].pipelines[-1]):
        return "wait ends with 0 whatever became of them: wait for each (a & one=$!; b & two=$!; wait $one; wait $two)"
    if all(map(_always_passes, script.parts)) and not all(map(_talks, script.parts)):
        return "cannot fail, so its tick says nothing: take off what hides a failure (|| true), or bind a criterion"
    return _adds_nothing(script.parts)


def _always_passes(part: AndOr) -> bool:
    """Return True for a part that exits 0 even when its commands fail."""
    final = part.pipelines[-1]
    if part.closed_by == "&" or (not part.joints and final.negated):
        return False
    return part.joints[-1:] != ("&&",) and _always_succeeds(final.commands[-1])


def _talks(part: AndOr) -> bool:
    """Return True for an echo or the like alone."""
    return not part.joints and name_of(part.pipelines[-1].commands[-1]) in _TALK


def _always_succeeds(command: ShellCommand) -> bool:
    if command.kind == "{":
        return all(map(_always_passes, command.lists[0]))
    if command.kind == "if":
        bodies = (*command.lists[1::2], *(command.lists[-1:] if len(command.lists) % 2 else ()))
        return all(_always_passes(part) for body in bodies for part in body)
    if name_of(command) == "exit":
        return command.values == ("exit", "0")
    return name_of(command) in ("true", ":", *_TALK)


def _adds_nothing(parts: tuple[AndOr, ...]) -> str:
    """Return the message for a last command that hides the failure of those before it, or seems to."""
    last = parts[-1]
    last_command = last.pipelines[-1].commands[-1]
    on_one_line = all(part.closed_by != "\n" for part in parts[:-1])
    if len(parts) == 1 or last.joints or not _always_succeeds(last_command) or parts[-2].closed_by == "&":
        return ""
    if last_command.words and last_command.words[-1].end < last_command.end:  # echo x > file: it is there for the file
        return ""
    name = "exit 0" if name_of(last_command) == "exit" else name_of(last_command)
    if not on_one_line and name in _TALK:
        return ""
    if on_one_line:
        return f"{name} at the end hides a failure of what stands before it: join them with &&, or give each a line"
    return f"{name} at the end hides no failure: an earlier line ends MAIN; write || true behind what may fail"


def _leaves_some(parts: tuple[AndOr, ...]) -> bool:
    inner = (part for command in nested(parts) for inside in command.lists for part in inside)
    return any(part.closed_by == "&" for part in (*parts, *inner))


def _only_waits(pipeline: Pipeline) -> bool:
    return len(pipeline.commands) == 1 and pipeline.commands[0].values == ("wait",)


def _hidden(command: str) -> str:
    found = _HIDDEN.search(command)
    if not found:
        return ""
    return f"hides the failure of what fills {found[1]}: give it its value first ({found[1]}=...), and export it then"


# Arguments


def _args_flaws(main: Main) -> Iterator[ValidationIssue]:
    given = main.args or (main.sample.args if main.sample.form == "args" else ())
    if not given:
        return
    path = ("main", "args") if main.args else ("main", "test", "args")
    script = parse(main.command)
    if script is not None and script.places_args:
        return
    refused = _refused(main.command, script)
    if refused:
        yield ValidationIssue(path, f"{refused}: {_WHERE}")
        return
    before = [name for name in map(name_of, _commands_before(script)) if name not in _PREPARE] if script else []
    if before:
        message = f"follow the last command alone, and {before[0]} gets none: {_WHERE}"
        yield ValidationIssue(path, message, severity="warning")


def _refused(text: str, script: Script | None) -> str:
    """Return the reason for which arguments cannot follow a command, empty when they can."""
    if script is None:
        return "may not reach the program, for this command could not be read to its end" if _signs(text) else ""
    if not script.parts:
        return "have no command to follow"
    last = script.parts[-1].pipelines[-1].commands[-1]
    piped = len(script.parts[-1].pipelines[-1].commands) > 1
    if last.kind != "simple":
        return f"cannot follow a command that ends in {_KINDS.get(last.kind, last.kind)}"
    name = name_of(last)
    if piped and name in _TAKE_A_PIPE:
        return f"would go to {name}, the last of the pipe"
    if name in _SAY_NOTHING and _commands_before(script):
        return f"would go to {name}, the last command"
    return "would go to nothing: the command only sets variables" if not name and None not in last.values else ""


def _signs(text: str) -> bool:
    return bool(re.search(r"[#;&\n]|<<", text.strip()))


def _commands_before(script: Script) -> list[ShellCommand]:
    parts = [*script.parts]
    last = parts[-1].pipelines[-1].commands[-1]
    found = [command for part in parts for line in part.pipelines for command in line.commands]
    return [command for command in found if command is not last and command.kind == "simple"]


_KINDS = {
    "(": "( ... )",
    "{": "{ ... }",
    "if": "if ... fi",
    "for": "a loop",
    "while": "a loop",
    "case": "case ... esac",
    "function": "a function",
    "test": "[[ ... ]]",
    "((": "(( ... ))",
}

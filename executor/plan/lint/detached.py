"""Commands that end at once and leave what they started to itself."""

from __future__ import annotations

import re

from executor.system.records import TYPE_CHECKING, Record
from executor.system.shell.bash_command import name_of
from executor.system.shell.syntax import parse
from executor.system.shell.tree import nested

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.system.shell.tree import AndOr, Script, ShellCommand

DETACHES = "do-tasks detaches it itself (mode: background)"
_IDLE = (
    *("echo", "printf", "true", ":", "exit", "disown", "sleep", "date", "sync", "set", "touch", "cat", "jobs", "ps"),
    *("pgrep", "tput", "logger", "notify-send", "export", ""),
)
_PREFIXES = ("sudo", "env", "nice", "ionice", "exec", "command", "time", "nohup", "stdbuf", "numactl", "taskset")
_WITH_VALUE = ("-u", "-n", "-c", "-C", "-o", "-e", "-i", "-g", "-N", "-m")
_SHELLS = ("bash", "sh", "zsh", "dash", "ksh")
_GOES_ON = ("then", "else", "do")


class Left(Record):
    """A finding: a command leaves a process behind; `certain` is False when that may be intended."""

    message: str
    certain: bool = True


def left_behind(script: Script) -> Left | None:
    """Return the finding for a command that leaves a process behind, None when it waits for all that it starts."""
    if _pending(script.parts):
        return Left(f"goes into the background and is left there: drop the &, for {DETACHES}; or end with wait")
    last = _last(script.parts)
    return _detached(last) if last else None


def _pending(parts: tuple[AndOr, ...]) -> bool:
    """Return True when something is in the background at the end of a list, and nothing waited or worked since."""
    pending = False
    for part in parts:
        if part.closed_by == "&":
            pending = True
            continue
        for pipeline in part.pipelines:
            for command in pipeline.commands:
                pending = _after(command, pending=pending)
    return pending


def _after(command: ShellCommand, *, pending: bool) -> bool:
    if command.kind == "coproc":
        return True
    if command.kind == "function":
        return pending
    if command.lists:
        if any(map(_pending, command.lists)):
            return True
        return pending and all(_after(inner, pending=True) for inner in nested(command.lists[-1]))
    inner = _inner(command)
    if inner is not None and _pending(inner.parts):
        return True
    return pending and name_of(command) in _IDLE and command.kind == "simple"


def _inner(command: ShellCommand) -> Script | None:
    """Return the text that a shell or eval is given, None for another command or one known only when it runs."""
    words = [word or "" for word in _program(command)]
    if words[:1] == ["eval"]:
        return parse(" ".join(words[1:])) if None not in command.values else None
    if not words or words[0].rpartition("/")[2] not in _SHELLS:
        return None
    for place, word in enumerate(words[1:-1], 1):
        if re.fullmatch(r"-\w*c", word):
            return parse(words[place + 1])
    return None


def _program(command: ShellCommand) -> list[str | None]:
    """Return the words of a simple command from its program on, without what only prepares its start."""
    words = [*command.values]
    while words and (words[0] is not None and (re.match(r"\w+=", words[0]) or _name(words[0]) in _PREFIXES)):
        prefix = _name(words.pop(0) or "")
        while prefix in _PREFIXES and words and (words[0] or "").startswith("-"):
            flag = words.pop(0)
            if flag in _WITH_VALUE and words:
                words.pop(0)
    return words


def _name(word: str) -> str:
    return word.rpartition("/")[2]


def _last(parts: tuple[AndOr, ...]) -> ShellCommand | None:
    """Return the simple command that a list ends with, inside groups too."""
    works = [part for part in parts if not _is_idle(part)] or [*parts[-1:]]
    if not works:
        return None
    command = works[-1].pipelines[-1].commands[-1]
    if command.kind in ("{", "(", "if", "for", "while") and command.lists:
        return _last(command.lists[-1])
    inner = _inner(command) if command.kind == "simple" else None
    return _last(inner.parts) if inner else command if command.kind == "simple" else None


def _is_idle(part: AndOr) -> bool:
    commands = [command for pipeline in part.pipelines for command in pipeline.commands]
    return all(command.kind == "simple" and name_of(command) in _IDLE for command in commands)


def _detached(command: ShellCommand) -> Left | None:
    words = [word or "" for word in _program(command)]
    name = _name(words[0]) if words else ""
    judge = _PROGRAMS.get(name)
    return judge(words[1:]) if judge else None


def _flag(words: list[str], *long: str, short: str = "") -> bool:
    """Return True for one of the long flags, or a bundle of short ones that holds a letter."""
    if any(word.partition("=")[0] in long for word in words):
        return True
    return bool(short) and any(re.fullmatch(rf"-[a-zA-Z]*{short}[a-zA-Z]*", word) for word in words)


def _own(words: list[str], with_value: str) -> list[str]:
    """Return the flags before the program that a command starts."""
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "--":
            break
        found.append(word)
        if re.fullmatch(rf"-[{with_value}]", word):
            next(rest, None)
    return found


def _left(what: str, instead: str = "start the program itself") -> Left:
    return Left(f"{what} ends at once and leaves the program to itself: {instead}, for {DETACHES}")


def _setsid(words: list[str]) -> Left | None:
    own = _own(words, "x")
    return _left("setsid --fork") if _flag(own, "--fork", short="f") and not _flag(own, "--wait", short="w") else None


def _tmux(words: list[str]) -> Left | None:
    while words and words[0].startswith("-"):
        words = words[2:] if re.fullmatch(r"-[cfLST]", words[0]) else words[1:]
    verb = words[0] if words else ""
    makes = verb in ("new", "new-session") and _flag(words[1:], short="d")
    return _left(f"tmux {verb}") if makes or verb in ("neww", "new-window", "splitw", "split-window") else None


def _screen(words: list[str]) -> Left | None:
    own = _own(words, "cehpstT")
    dashed = "".join(word[1:] for word in own if not word.startswith("--"))
    return _left("screen -dm") if "d" in dashed and "m" in dashed else None


def _start_stop(words: list[str]) -> Left | None:
    starts = _flag(words, "--start", short="S") and _flag(words, "--background", short="b")
    return _left("start-stop-daemon --background") if starts else None


def _at(_: list[str]) -> Left:
    return Left(f"at hands the program over and ends at once: start it itself, for {DETACHES}")


def _daemonize(_: list[str]) -> Left:
    return _left("daemonize")


def _systemd_run(words: list[str]) -> Left | None:
    stays = ("--wait", "--scope", "--pty", "--pipe", "--shell")
    timed = any(word.startswith(("--on-", "--timer-property", "--path-property")) for word in words)
    own = _own(words, "pEuHMG")
    if timed or _flag(words, *stays) or any(re.fullmatch(r"-[a-zA-Z]*[tPS][a-zA-Z]*", word) for word in own):
        return None
    return _left("systemd-run", "add --wait --pipe, or start the program itself")


def _containers(words: list[str]) -> Left | None:
    runs = words[:1] in (["run"], ["up"]) or words[:2] in (["compose", "up"], ["container", "run"])
    if not (runs and _flag(_own(words[1 + (words[0] in ("compose", "container")) :], "vepnuw"), "--detach", short="d")):
        return None
    return Left("starts a container and leaves it: its tick says that it was started; drop -d to wait", certain=False)


def _queue(name: str, *waits: str) -> Callable[[list[str]], Left | None]:
    def judge(words: list[str]) -> Left | None:
        if any(word.partition("=")[0] in waits for word in words):
            return None
        return Left(f"{name} ends when the job is queued, not when it is done: add {waits[0]}", certain=False)

    return judge


def _ssh(words: list[str]) -> Left | None:
    inner = parse(words[-1]) if words else None
    if (inner and _pending(inner.parts)) or (_flag(_own(words, "bcDEeFIiJLlmOopQRSWw"), short="f")):
        return Left("leaves a program on the other machine, of which nothing is known here: drop the &", certain=False)
    return None


_PROGRAMS: dict[str, Callable[[list[str]], Left | None]] = {
    "setsid": _setsid,
    "tmux": _tmux,
    "screen": _screen,
    "start-stop-daemon": _start_stop,
    "at": _at,
    "batch": _at,
    "daemonize": _daemonize,
    "systemd-run": _systemd_run,
    "docker": _containers,
    "podman": _containers,
    "docker-compose": _containers,
    "sbatch": _queue("sbatch", "--wait", "-W"),
    "qsub": _queue("qsub", "-sync", "-W"),
    "bsub": _queue("bsub", "-K"),
    "ssh": _ssh,
}

"""Whether a person types this, at a terminal of their own: told by processes, terminals and agents' marks."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time

from executor import pids
from executor.errors import UsageError
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from executor.pids import Line

# What agents put into the environment of the commands that they run.
MARKS = {
    "DO_TASKS_TASK_ID": "a task of do-tasks",
    "CLAUDECODE": "Claude Code",
    "CLAUDE_CODE_ENTRYPOINT": "Claude Code",
    "CODEX_SANDBOX": "Codex",
    "CODEX_SANDBOX_NETWORK_DISABLED": "Codex",
    "CODEX_THREAD_ID": "Codex",
    "CODEX_CI": "Codex",
    "OPENCODE": "OpenCode",
    "OPENCODE_PID": "OpenCode",
    "CURSOR_AGENT": "Cursor",
    "GEMINI_CLI": "Gemini CLI",
    "QWEN_CODE": "Qwen Code",
    "COPILOT_CLI": "Copilot CLI",
    "CLINE_ACTIVE": "Cline",
    "AUGMENT_AGENT": "Augment",
    "GOOSE_TERMINAL": "goose",
    "AI_AGENT": "an agent",
}
SHELLS = frozenset(("sh", "bash", "zsh", "fish", "dash", "ash", "ksh", "mksh", "tcsh", "csh", "nu", "xonsh", "elvish"))
WITH_VALUE = frozenset(("--init-file", "--rcfile", "-o", "+o", "-O", "+O", "--init-command", "-C"))
# What starts a person's programs and an agent's alike: sharing one of these says nothing.
SESSIONS = frozenset(
    (
        *("systemd", "init", "launchd", "sshd", "sshd-session", "login", "cron", "crond", "tmux: server", "screen"),
        *("gnome-shell", "gnome-session-b", "plasmashell", "ksmserver", "kwin_wayland", "kwin_x11", "sway", "i3"),
        *("Hyprland", "xfce4-session", "xfce4-panel", "cinnamon", "mate-session", "mate-panel", "lxqt-session"),
    )
)
SERVERS = frozenset(("tmux: server", "screen"))  # of terminals: anybody may have started them
MOST = 64  # ancestors of a process


def user() -> str:
    """Return the name of whoever runs this, as the system has it."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return os.environ.get("USER") or "a person"


def givers() -> tuple[str, ...]:
    """Return the ancestors of this process that an agent may be, as `pid start boot name`: below a person's shell.

    The first has the pid 0, and says when this was: no clock that somebody sets tells what started later.
    """
    chain = _ancestors()[1:]
    return (_moment(), *(_identity(line) for line in chain[: _below_a_person(chain)]))


def is_process(giver: str) -> bool:
    """Return False for the one of `givers` that says when they were asked for."""
    return not giver.startswith("0 ")


def refuse_other(what: str, *, root: str, given: Collection[str]) -> None:
    """Raise UsageError unless a person may type these words; `given` are the `givers` of the briefs that are out."""
    why = _other(set(given))
    if why:
        way = f"in another terminal, which no agent opened, type: cd {shlex.quote(root)} && do-tasks {what}"
        raise UsageError(f"{what} is for a person: {why}; {way}")


def _other(given: set[str]) -> str:
    """Return what speaks against a person, empty when nothing does."""
    chain = _ancestors()
    ours = {name for name in MARKS if os.environ.get(name)}
    marked = next((f"{name} is set here ({MARKS[name]})" for name in MARKS if name in ours), "")
    if marked:
        return marked
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return "standard input and standard error are no terminal"
    shared = next((line for line in chain if _identity(line) in given), None)
    if shared:
        return f"{_named(shared)} started this, and a brief of this project was given to it"
    below = chain[1 : 1 + _below_a_person(chain[1:])]
    found = next((f"{_named(line)} has {name} ({MARKS[name]})" for line in below for name in _marks(line.pid)), "")
    return found or _rootless(chain, given)


def _rootless(chain: Sequence[Line], given: set[str]) -> str:
    """Return what is wrong with a chain whose beginning came after the brief and cannot be seen.

    That is how a terminal looks that an agent has let go of itself. Nothing is wrong when nobody lives who was given
    the brief, or when what is on top is of another user, of another pid namespace, or a unit of its own.
    """
    moments = [int(words[1]) for words in map(str.split, given) if words[0] == "0" and words[2] == _boot()]
    living = [line for line in map(_living, given) if line]
    seen = [line for line in chain if _name(line.pid) not in SESSIONS - SERVERS]
    if not (living and seen and moments) or seen[-1].start <= min(moments):
        return ""
    top = seen[-1]
    if top.parent == 0 or pids.owner(top.pid) != os.geteuid() or _is_a_unit(top, living):
        return ""
    told = f"{_named(top)} began after the brief, and who started it cannot be seen"
    return f"{told} (an older terminal, a new login, or the end of {_named(living[0])} helps)"


def _living(giver: str) -> Line | None:
    """Return the process that was given a brief, None when it is dead."""
    pid = giver.partition(" ")[0]
    line = pids.line(int(pid)) if pid.isdigit() else None
    return line if line and _identity(line) == giver else None


def _is_a_unit(top: Line, living: Sequence[Line]) -> bool:
    """Return True for what systemd started as a unit: a terminal of the desktop, but nothing that systemd-run began."""
    unit = pids.cgroup(top.pid)
    if _name(top.parent) != "systemd" or re.search(r"/run-[^/]*\.(?:scope|service)", unit):
        return False
    return unit not in {pids.cgroup(line.pid) for line in living}


def _moment() -> str:
    ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")) if pids.PROC else 0
    return f"0 {ticks} {_boot()} given"


def _boot() -> str:
    return pids.boot_id()[:8] or "unknown"


def _ancestors() -> list[Line]:
    """Return this process and those above it, the nearest first, without pid 1."""
    return [*_upwards(os.getpid())]


def _upwards(pid: int) -> Iterator[Line]:
    for _ in range(MOST):
        line = pids.line(pid) if pid > 1 else None
        if line is None:
            return
        yield line
        pid = line.parent


def _below_a_person(chain: Sequence[Line]) -> int:
    """Return how many of a chain are below the outermost shell of a person, else below what starts sessions."""
    for at in range(len(chain) - 1, -1, -1):
        if _is_a_persons_shell(chain[at]):
            return at
    return next((at for at, line in enumerate(chain) if _name(line.pid) in SESSIONS), len(chain))


def _is_a_persons_shell(line: Line) -> bool:
    """Return True for an interactive shell that leads the session of a terminal, and that no agent has marked."""
    if line.session != line.pid or not line.terminal:
        return False
    first, *rest = pids.words(line.pid) or ("",)
    if os.path.basename(first).lstrip("-") not in SHELLS:
        return False
    return _is_interactive(rest) and not _marks(line.pid)


def _is_interactive(words: list[str]) -> bool:
    words = [*words]
    while words:
        word = words.pop(0)
        if word in WITH_VALUE and words:
            words.pop(0)
        elif not word.startswith(("-", "+")) or re.fullmatch(r"-[A-Za-z]*c[A-Za-z]*", word) or word == "--command":
            return False
    return True


def _marks(pid: int) -> list[str]:
    """Return the marks of agents in the environment that a process was started with."""
    names = {word.partition(b"=")[0].decode("utf-8", "replace") for word in pids.environ(pid)}
    return [name for name in MARKS if name in names]


def _identity(line: Line) -> str:
    return f"{line.pid} {line.start} {_boot()} {_name(line.pid)}"


def _named(line: Line) -> str:
    return f"{_name(line.pid) or 'a process'} (pid {line.pid})"


def _name(pid: int) -> str:
    return pids.name(pid)

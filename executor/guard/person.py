"""A test whether a person gave a command at a terminal, by processes, terminals and variables of agents."""

from __future__ import annotations

import os
import re
import shlex
import sys

from executor.errors import UsageError
from executor.system import ancestry, procfs
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from executor.system.procfs import ProcessStat

# Variables that agents set for the commands that they run.
AGENT_VARIABLES = {
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
OPTIONS_WITH_VALUE = frozenset(("--init-file", "--rcfile", "-o", "+o", "-O", "+O", "--init-command", "-C"))


def user_name() -> str:
    """Return the name of the user."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return os.environ.get("USER") or "a person"


def brief_recipients() -> tuple[str, ...]:
    """Return the ancestors below a person's shell, any of which may be an agent, as `pid start boot name`.

    The first entries have the pid 0 and describe the moment of the brief.
    """
    chain = ancestry.ancestors()
    above = chain[1:]
    moment = ancestry.describe_moment(chain, of_a_shell=any(map(_is_a_persons_shell, above)))
    return (*moment, *(_identity(line) for line in above[: _below_a_person(above)]))


def names_process(giver: str) -> bool:
    """Return True for a recipient that is a process, False for an entry with the pid 0."""
    return not giver.startswith("0 ")


def refuse_unless_person(what: str, *, root: str, given: Collection[str]) -> None:
    """Raise UsageError unless a person gave this command; `given` are the recipients of open briefs."""
    why = _reason_against(set(given))
    if why:
        way = f"in another terminal, which no agent opened, type: cd {shlex.quote(root)} && do-tasks {what}"
        raise UsageError(f"{what} is for a person: {why}; {way}")


def _reason_against(given: set[str]) -> str:
    """Return the reason against a person, empty for none."""
    chain = ancestry.ancestors()
    marked = next(
        (f"{name} is set here ({AGENT_VARIABLES[name]})" for name in AGENT_VARIABLES if os.environ.get(name)), ""
    )
    if marked:
        return marked
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return "standard input and standard error are no terminal"
    known = {*map(_without_name, given)}
    shared = next((line for line in chain if _without_name(_identity(line)) in known), None)
    if shared:
        return f"{ancestry.describe(shared)} started this, and a brief of this project was given to it"
    below = chain[1 : 1 + _below_a_person(chain[1:])]
    found = next(
        (
            f"{ancestry.describe(line)} has {name} ({AGENT_VARIABLES[name]})"
            for line in below
            for name in _agent_variables_of(line.pid)
        ),
        "",
    )
    return found or ancestry.reason_to_doubt(chain, given)


def _below_a_person(chain: Sequence[ProcessStat]) -> int:
    """Return the number of processes below the outermost shell of a person, else below the program of the session."""
    for at in range(len(chain) - 1, -1, -1):
        if _is_a_persons_shell(chain[at]):
            return at
    return next(
        (at for at, line in enumerate(chain) if procfs.process_name(line.pid) in ancestry.SESSION_PROGRAMS), len(chain)
    )


def _is_a_persons_shell(line: ProcessStat) -> bool:
    """Return True for an interactive shell that leads the session of a terminal, without marks of agents."""
    if line.session != line.pid or not line.terminal:
        return False
    first, *rest = procfs.command_line(line.pid) or ("",)
    if os.path.basename(first).lstrip("-") not in SHELLS:
        return False
    return _is_interactive(rest) and not _agent_variables_of(line.pid)


def _is_interactive(words: list[str]) -> bool:
    words = [*words]
    while words:
        word = words.pop(0)
        if word in OPTIONS_WITH_VALUE and words:
            words.pop(0)
        elif not word.startswith(("-", "+")) or re.fullmatch(r"-[A-Za-z]*c[A-Za-z]*", word) or word == "--command":
            return False
    return True


def _agent_variables_of(pid: int) -> list[str]:
    """Return the variables of agents in the initial environment of a process."""
    names = {word.partition(b"=")[0].decode("utf-8", "replace") for word in procfs.environ(pid)}
    return [name for name in AGENT_VARIABLES if name in names]


def _without_name(giver: str) -> str:
    """Return an identity without its name, which changes when the process runs another program."""
    return giver[: -len(giver.split(" ", 3)[-1])]


def _identity(line: ProcessStat) -> str:
    return f"{line.pid} {line.start} {ancestry.short_boot_id()} {procfs.process_name(line.pid)}"

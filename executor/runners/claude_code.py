"""MAIN by Claude Code without a person: what is started, in which environment."""

from __future__ import annotations

import json

from executor.system import own_program
from executor.system.records import TYPE_CHECKING
from executor.system.secret_values import NOBODY, NamedSecrets, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.plan.roles import Role

OWN = ("ANTHROPIC_", "CLAUDE_")  # how the names begin of what Claude Code reads for itself
KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
WITHHOLD = own_program.path_of("runners", "withhold.sh")

# What a session tells its own shell (2.1.330). With CLAUDECODE older versions refuse to start within one another; the
# rest would lead to the sockets and the folders of the session that called us.
SESSION = (
    *("CLAUDECODE", "CLAUDE_PID", "CLAUDE_EFFORT", "CLAUDE_ENV_FILE", "AI_AGENT"),
    *("CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT", "CLAUDE_CODE_EXECPATH", "CLAUDE_CODE_AGENT"),
    *("CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_CHILD_SESSION", "CLAUDE_CODE_SESSION_ATTENDED"),
    *("CLAUDE_CODE_CHILD_NOTES_DIR", "CLAUDE_CODE_MESSAGING_SOCKET", "CLAUDE_CODE_MESSAGING_TOKEN"),
)
# Ten retries, the default, take minutes over a wrong key. A task in its background would outlive the answer about it.
USUAL = {
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_MAX_RETRIES": "4",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
}
# Reads inside the project need no leave, writes there have that of acceptEdits, and neither has any outside it. Named
# in --allowedTools these would be allowed everywhere.
PLACED = frozenset(("Read", "Edit", "Write", "MultiEdit", "NotebookEdit", "NotebookRead", "Glob", "Grep", "LS"))
UNNAMED = ("Bash", "Skill", "Agent")  # what a role may use beside those when it names no tools
# do-tasks puts back what judges the work; the record it only keeps.
RECORD = ".task_execution.log*"
FROM_FILE = 'prompt=$1; shift; exec "$@" <"$prompt"'


def argv(  # noqa: PLR0913 - keywords, one a flag
    program: str,
    *,
    role: Role,
    prompt_file: str,
    model: str = "",
    turns: int = 0,
    usd: float = 0.0,
    resume: str = "",
    deny: tuple[str, ...] = (),
    hidden: tuple[str, ...] = (),
    settings: Mapping[str, object] | None = None,
) -> tuple[str, ...]:
    """Return what is started, in the project's folder: Claude Code in a role, its prompt read from a file.

    `resume` is the session to go on with, `deny` the globs, from the project's folder, of what it may not write,
    `hidden` absolute paths that it may not read. `settings` are of this run alone, as those of `sandboxed`.
    The role's `skills` are not loaded when it is the main agent, so the prompt brings them. `usd` is counted from
    the start of the process: a session that goes on has it anew.
    """
    return (
        *("/bin/sh", "-c", FROM_FILE, "do-tasks", prompt_file),
        *(program, "-p", "--output-format", "stream-json", "--verbose", "--agent", role.name),
        *(("--model", model) if model else ()),
        *(("--max-turns", str(turns)) if turns else ()),
        *(("--max-budget-usd", f"{usd:f}") if usd else ()),
        *(("--resume", resume) if resume else ()),
        *(("--settings", json.dumps(settings)) if settings else ()),
        *("--permission-mode", "acceptEdits"),
        *_listed("--allowedTools", _allowed(role)),
        *_listed("--disallowedTools", (*role.disallowed, *_denied(deny, hidden))),
    )


def sandboxed(*, network: bool, hidden: Iterable[str], shown: Iterable[str]) -> dict[str, object]:
    """Return the settings that hold its shell in by its own sandbox, or end it where that cannot be had.

    `hidden` are what its shell does not read, but for `shown` among it. It writes below the project's folder alone.
    """
    files = {"denyRead": [*hidden], "allowRead": [*shown]}
    reach = {"network": {"allowedDomains": ["*"]}} if network else {}
    held = {"enabled": True, "failIfUnavailable": True, "allowUnsandboxedCommands": False}
    return {"sandbox": {**held, "filesystem": files, **reach}}


def environment(
    environ: Mapping[str, str], allow: tuple[str, ...] = (), named: NamedSecrets = NOBODY
) -> dict[str, str]:
    """Return what Claude Code is given: of the secrets those it signs in with, and those in `allow`.

    Its shell gets only the latter. CLAUDE_CODE_SUBPROCESS_ENV_SCRUB would do that too, but puts empty .npmrc, .env and
    the like into the project, needs bubblewrap with socat, and forces its permission mode back to default.
    """
    kept = without_secrets(environ, (*KEYS, *allow), named)
    told = {name: value for name, value in kept.items() if name not in SESSION}
    withheld = " ".join(name for name in KEYS if name in told and name not in allow)
    return {**USUAL, **told, "CLAUDE_ENV_FILE": WITHHOLD, "DO_TASKS_WITHHELD": withheld}


def _allowed(role: Role) -> tuple[str, ...]:
    """Return the tools that need no leave; without this list each use of theirs would be denied."""
    named = UNNAMED if role.tools is None else role.tools
    return tuple(tool for tool in named if tool not in PLACED and tool not in role.disallowed)


def _denied(deny: tuple[str, ...], hidden: tuple[str, ...]) -> tuple[str, ...]:
    return (*map(_unwritable, (*deny, RECORD)), *map(_unreadable, hidden))


def _unwritable(glob: str) -> str:
    """Return the rule against writing there, by tools or by `>` in the shell; `/` is the folder it is started in.

    Only on the command line: in --settings the same rule is about the folder of the settings, and holds nothing here.
    """
    return f"Edit(/{glob.removeprefix('./')})"


def _unreadable(path: str) -> str:
    """Return the rule against reading a file; `//` is the root of the file system."""
    return f"Read(/{path})"


def _listed(flag: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a flag with its words, each an argument of its own: they may hold blanks and commas."""
    return (flag, *words) if words else ()

"""MAIN by Claude Code without a person: its command line and environment."""

from __future__ import annotations

import json

from executor.system import installation
from executor.system.records import TYPE_CHECKING
from executor.system.secret_values import NO_NAMED_SECRETS, NamedSecrets, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.plan.roles import Role

OWN = ("ANTHROPIC_", "CLAUDE_")  # prefixes of the variables of Claude Code
KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
WITHHOLD = installation.package_file("runners", "withhold.sh")

# Variables that a session sets for its shell (2.1.330). With CLAUDECODE older versions refuse to start; the others lead
# to the sockets and folders of the session that started do-tasks.
SESSION = (
    *("CLAUDECODE", "CLAUDE_PID", "CLAUDE_EFFORT", "CLAUDE_ENV_FILE", "AI_AGENT"),
    *("CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT", "CLAUDE_CODE_EXECPATH", "CLAUDE_CODE_AGENT"),
    *("CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_CHILD_SESSION", "CLAUDE_CODE_SESSION_ATTENDED"),
    *("CLAUDE_CODE_CHILD_NOTES_DIR", "CLAUDE_CODE_MESSAGING_SOCKET", "CLAUDE_CODE_MESSAGING_TOKEN"),
)
# The default of ten retries takes minutes with a wrong key. A background task would outlive the answer.
USUAL = {
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_MAX_RETRIES": "4",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
}
# These need no permission in the project: reads never, writes with acceptEdits. In --allowedTools they would be allowed
# everywhere.
PLACED = frozenset(("Read", "Edit", "Write", "MultiEdit", "NotebookEdit", "NotebookRead", "Glob", "Grep", "LS"))
UNNAMED = ("Bash", "Skill", "Agent")  # tools of a role that names none, beside those
# Changed judges are restored; a record only needs protection.
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
    """Return the command line of Claude Code in a role, with its prompt from a file, for the project's folder.

    `resume` is the session to continue, `deny` globs, from the project's folder, that it may not write, `hidden`
    absolute paths that it may not read. `settings` are those of this run, as `sandboxed` returns them. The skills of a
    main agent's role are not loaded, so the prompt has them. `usd` counts from the start of the process.
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
    """Return the settings of its own sandbox, without which it must not start.

    Its shell does not read the `hidden` paths, except `shown` in them, and writes below the project's folder only.
    """
    files = {"denyRead": [*hidden], "allowRead": [*shown]}
    reach = {"network": {"allowedDomains": ["*"]}} if network else {}
    held = {"enabled": True, "failIfUnavailable": True, "allowUnsandboxedCommands": False}
    return {"sandbox": {**held, "filesystem": files, **reach}}


def environment(
    environ: Mapping[str, str], allow: tuple[str, ...] = (), named: NamedSecrets = NO_NAMED_SECRETS
) -> dict[str, str]:
    """Return the environment of Claude Code: its secrets are its credentials and those in `allow`.

    Its shell gets the latter only. CLAUDE_CODE_SUBPROCESS_ENV_SCRUB would do that too, but puts empty .npmrc, .env and
    the like into the project, needs bubblewrap with socat, and forces its permission mode back to default.
    """
    kept = without_secrets(environ, (*KEYS, *allow), named)
    outer = {name: value for name, value in kept.items() if name not in SESSION}
    withheld = " ".join(name for name in KEYS if name in outer and name not in allow)
    return {**USUAL, **outer, "CLAUDE_ENV_FILE": WITHHOLD, "DO_TASKS_WITHHELD": withheld}


def _allowed(role: Role) -> tuple[str, ...]:
    """Return the tools that need no permission; each use of others would be denied."""
    named = UNNAMED if role.tools is None else role.tools
    return tuple(tool for tool in named if tool not in PLACED and tool not in role.disallowed)


def _denied(deny: tuple[str, ...], hidden: tuple[str, ...]) -> tuple[str, ...]:
    return (*map(_unwritable, (*deny, RECORD)), *map(_unreadable, hidden))


def _unwritable(glob: str) -> str:
    """Return the rule against writes, by tools or by `>` in the shell; `/` is the folder of its start.

    It works on the command line only: in --settings it is relative to the folder of the settings.
    """
    return f"Edit(/{glob.removeprefix('./')})"


def _unreadable(path: str) -> str:
    """Return the rule against reads of a file; `//` is the root of the file system."""
    return f"Read(/{path})"


def _listed(flag: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a flag with its words, each as an argument, since they may have blanks and commas."""
    return (flag, *words) if words else ()

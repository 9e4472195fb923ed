"""The commit of a host's work: what a step changed, and nothing that was changed before."""

from __future__ import annotations

import json
import os
from fnmatch import fnmatchcase

from executor.errors import MachineError
from executor.plan import env_files
from executor.plan.commit_line import commit_line
from executor.store import provenance, runs
from executor.store.interpreter import on_path
from executor.system import files, process, safe_open
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import LOG_NAME
from executor.system.text import clean_control, counted

if TYPE_CHECKING:
    from executor.plan.plan import Plan
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.store.task import Task

RECORD = "commit.json"  # in the folder of the run: the paths that had changes when the brief was given
PATHS = "commit.paths"
TOKEN = "commit/git"  # noqa: S105 - a name of the process
LIMIT_S = 120.0  # hooks run tests
MOST_SHOWN = 5
MOST_READ = 1 << 20  # bytes of a file that is searched for secrets
KEPT = ("PATH", "HOME", "LANG", "XDG_CONFIG_HOME", "GNUPGHOME", "GPG_TTY", "SSH_AUTH_SOCK", "TMPDIR", "VIRTUAL_ENV")
SECRET_FILES = (
    ".env",
    ".env.*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_rsa*",
    "id_ed25519*",
    ".netrc",
    ".pypirc",
)
STATUS = ("--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all", "--ignore-submodules=all")
FAILED = "the commit was not made"


def line_of(plan: Plan, number: StepId, title: str) -> str:
    """Return the commit line of a step: the one that its task names, else its id and title."""
    return _named(plan, number) or f"{number if plan.tasks else f'Step {number}'}: {' '.join(title.split())}"


def words_for(plan: Plan, number: StepId, title: str, *, by_us: bool) -> str:
    """Return the words of a brief about the commit, empty where the task names no line; do-tasks makes it `by_us`."""
    if not (by_us or _named(plan, number)):
        return ""
    more = " do-tasks makes this commit when the step has passed: stage and commit nothing." if by_us else ""
    return f"`{line_of(plan, number, title)}`{more}"


def _named(plan: Plan, number: StepId) -> str:
    task = plan.tasks.tasks.get(str(number)) if plan.tasks else None
    return commit_line(task.text) if task else ""


def remember(context: RunContext, task: Task, run: str) -> None:
    """Record the paths that have changes before the work; nothing without `settings.commit` or outside of git."""
    path = os.path.join(context.folder(task, run), RECORD)
    if not context.plan.settings.commit or os.path.lexists(path):
        return
    code, output = _git(context, *STATUS)
    if code == 0:
        files.replace(path, json.dumps({"changed": [name for _, name in _entries(output)]}).encode())


def commit(context: RunContext, number: StepId, task_id: str, title: str) -> str:
    """Commit what a step changed; return in one sentence what was done, or why nothing was."""
    folder = os.path.join(context.root, runs.JOBS, task_id, runs.newest_main(context.root, task_id))
    record = os.path.join(folder, RECORD)
    if not os.path.lexists(record):
        why = "its brief was given outside of a git repository, or without settings.commit"
        return f"Not committed: {why}; commit the work yourself"
    before = safe_open.read_record(record).get("changed")
    code, output = _git(context, *STATUS)
    if code or not isinstance(before, list):
        return "Not committed: git gives no status here; commit the work yourself"
    entries = _entries(output)
    staged = [name for state, name in entries if state[0] not in " ?"]
    if staged:
        then = f"commit or unstage them, then: do-tasks resume {task_id}"
        return f"Not committed: the index has changes already ({_shown(staged)}); {then}"
    new = [name for _, name in entries if name not in before and not _is_own(name)]
    secret = [name for name in new if _is_secret(context, name)]
    wanted = [name for name in new if name not in secret]
    left = f"; left out, for it may be secret: {_shown(secret)}" if secret else ""
    if not wanted:
        return f"Nothing to commit: the step changed no file that was unchanged before{left}"
    line = context.masker.mask(line_of(context.plan, number, title))
    failure = _committed(context, folder, wanted, (line, f"Task: {task_id}"))
    if failure:
        return f"Not committed: {failure}; then: do-tasks resume {task_id}"
    os.unlink(record)
    return f"Committed {counted(len(wanted), 'file')} as {provenance.revision_of(context.root)[:12]}: {line}{left}"


def _committed(context: RunContext, folder: str, paths: list[str], lines: tuple[str, str]) -> str:
    """Make the commit; return why it failed, with the index as it was before."""
    listed = os.path.join(folder, PATHS)
    files.replace(listed, "\0".join(paths).encode("utf-8", "surrogateescape"))
    among = (f"--pathspec-from-file={listed}", "--pathspec-file-nul")
    code, output = _git(context, "add", "-A", *among)
    if code == 0:
        code, output = _git(context, "commit", "-q", "-m", lines[0], "-m", lines[1])
    if code == 0:
        return ""
    _git(context, "reset", "-q", *among)
    said = [one.strip() for one in output.decode("utf-8", "replace").splitlines() if one.strip()]
    reason = clean_control(context.masker.mask(said[-1] if said else f"git ended with {code}"))
    return f"git, or one of its hooks, refused the commit: {reason}"


def _git(context: RunContext, *words: str) -> tuple[int, bytes]:
    """Run git at the top of the repository around the project; 127 without git or a repository."""
    top, program = provenance.repository_of(context.root), on_path("git", os.environ)
    if not (top and program):
        return 127, b""
    given = {
        name: one
        for name, one in os.environ.items()
        if name in KEPT or name.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_"))
    }
    env = {**given, "GIT_LITERAL_PATHSPECS": "1", "GIT_EDITOR": "true", "GIT_TERMINAL_PROMPT": "0"}
    command = process.Command(name="git", argv=(program, "-C", top, *words), env=env, token=TOKEN, limit_s=LIMIT_S)
    try:
        started = process.start(command)
    except MachineError:
        return 127, b""
    loop = context.watch()
    loop.add(started)
    ended: list[process.ProcessResult] = []
    while not ended:
        ended = loop.turn()
    result = ended[0]
    if result.verdict != Verdict.PASSED and not result.exit_code:
        return 124, f"git took more than {LIMIT_S:g} s".encode()
    return result.exit_code or 0, result.output


def _entries(output: bytes) -> list[tuple[str, str]]:
    """Return state and path, relative to the top, of each entry of `git status --porcelain -z`."""
    parts = iter(output.decode("utf-8", "surrogateescape").split("\0"))
    found = []
    for part in parts:
        if len(part) > len("XY "):
            found.append((part[:2], part[3:]))
            if part[0] in "RC":
                next(parts, "")  # its old path
    return found


def _is_own(name: str) -> bool:
    """Return True for a record of do-tasks: the log and the state folder."""
    return os.path.basename(name).startswith(LOG_NAME) or files.STATE_FOLDER in name.split("/")


def _is_secret(context: RunContext, name: str) -> bool:
    """Return True for a file with the name of one with secrets, an env file of the plan, or a known secret in it."""
    path = os.path.join(provenance.repository_of(context.root), name)
    if any(fnmatchcase(os.path.basename(name).lower(), one) for one in SECRET_FILES):
        return True
    if os.path.realpath(path) in map(os.path.realpath, env_files.hidden(context.plan, context.root)):
        return True
    try:
        text = safe_open.read_start(path, MOST_READ).decode("utf-8", "replace") if os.path.isfile(path) else ""
    except OSError:
        return False
    return context.masker.mask(text) != text


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return clean_control(", ".join(names[:MOST_SHOWN])) + more

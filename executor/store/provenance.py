"""The surroundings of a run of MAIN: the revision of the project, and the packages of its interpreter."""

from __future__ import annotations

import os

from executor.errors import MachineError
from executor.store.interpreter import on_path
from executor.system import files, process, safe_open
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING, Record
from executor.system.run_records import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.store.context import RunContext
    from executor.store.task import Task

LIMIT_S = 2.0
MOST_POINTER = 4096  # bytes of HEAD and the like
MOST_PACKED = 1 << 24
LINKS = 5
# `git status` starts no program of the project's configuration, and writes no index.
STATUS = (
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks"),
    *("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all", "--", ":/"),
)
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "XDG_CONFIG_HOME")
# Files that do-tasks writes do not count as changes of the work.
OWN = (":(exclude)SPEC.md", f":(exclude){LOG_NAME}*", ":(exclude).do-tasks")
INFOS = (".dist-info", ".egg-info")
FOLDERS = ("site-packages", "dist-packages")


class Packages(Record):
    """The installed distributions: a digest of their names and versions, and their number."""

    digest: str = ""
    count: int = 0


_packages: dict[tuple[tuple[str, int], ...], Packages] = {}


def start_git(context: RunContext, task: Task) -> process.RunningProcess | None:
    """Start the question whether tracked files differ from the revision; None outside of a repository."""
    program = on_path("git", os.environ) if _git_folder(context.root) else ""
    if not program:
        return None
    env = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    argv = (program, "-C", context.root, *STATUS, *OWN)
    command = process.Command(
        name="git", argv=argv, env=env, token=f"{task.task_id}/git", limit_s=LIMIT_S, errors=os.devnull
    )
    try:
        return process.start(command)
    except MachineError:
        return None


def surroundings(context: RunContext, asked: process.RunningProcess | None) -> dict[str, object]:
    """Return the fields of MainStarted on the revision and the packages; `asked` is the question to git."""
    found = installed(context.python)
    revision = revision_of(context.root)
    dirty = _answer(context, asked) if asked else None
    return {"revision": revision, "dirty": dirty, "environment": found.digest, "distributions": found.count}


def _answer(context: RunContext, asked: process.RunningProcess) -> bool | None:
    """Return True for changed tracked files, None when git did not answer in time."""
    loop = context.watch()
    loop.add(asked)
    ended: list[process.ProcessResult] = []
    while not ended:
        ended = loop.turn()
    return bool(ended[0].output.strip()) if ended[0].verdict == Verdict.PASSED and not ended[0].exit_code else None


def revision_of(root: str) -> str:
    """Return the commit that HEAD names, empty outside of a repository and before the first commit."""
    folder = _git_folder(root)
    if not folder:
        return ""
    shared = os.path.normpath(os.path.join(folder, _pointer(os.path.join(folder, "commondir")) or "."))
    text = _pointer(os.path.join(folder, "HEAD"))
    for _ in range(LINKS):
        name = text.removeprefix("ref: ")
        if name == text:
            return text if _is_commit(text) else ""
        text = _pointer(os.path.join(folder, name)) or _pointer(os.path.join(shared, name)) or _packed(shared, name)
    return ""


def repository_of(root: str) -> str:
    """Return the top folder of the repository around a folder, empty without one."""
    folder = os.path.abspath(root)
    while not os.path.lexists(os.path.join(folder, ".git")):
        if folder == os.path.dirname(folder):
            return ""
        folder = os.path.dirname(folder)
    return folder


def _git_folder(root: str) -> str:
    """Return the git folder of the repository around a folder, empty without one."""
    folder = os.path.abspath(root)
    while True:
        path = os.path.join(folder, ".git")
        if os.path.isdir(path):
            return path
        if os.path.isfile(path):  # a worktree or a submodule
            return os.path.normpath(os.path.join(folder, _pointer(path).removeprefix("gitdir: ")))
        parent = os.path.dirname(folder)
        if parent == folder:
            return ""
        folder = parent


def _pointer(path: str) -> str:
    return safe_open.read_start_text(path, MOST_POINTER).strip()


def _packed(folder: str, name: str) -> str:
    rows = safe_open.read_start_text(os.path.join(folder, "packed-refs"), MOST_PACKED).splitlines()
    return next((row.partition(" ")[0] for row in rows if row.endswith(f" {name}")), "")


def _is_commit(text: str) -> bool:
    return len(text) in (40, 64) and all(char in "0123456789abcdef" for char in text)


def installed(python: str) -> Packages:
    """Return the distributions in the folders of an interpreter; they are listed again when a folder has changed."""
    folders = [*dict.fromkeys(_folders(python))]
    key = tuple((folder, _changed_ns(folder)) for folder in folders)
    if key not in _packages:
        names = sorted({name for folder in folders for name in _distributions(folder)})
        digest = files.digest("\n".join((os.path.basename(os.path.realpath(python)), *names)).encode())
        _packages[key] = Packages(digest, len(names)) if folders else Packages()
    return _packages[key]


def _folders(python: str) -> Iterator[str]:
    """Yield the folders of packages: of the environment, and of its base where the environment sees that."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(python)))
    settings = safe_open.read_start_text(os.path.join(home, "pyvenv.cfg"), MOST_POINTER)
    yield from _below(home)
    if not settings or "include-system-site-packages = true" in settings.lower():
        base = os.path.dirname(os.path.dirname(os.path.realpath(python)))
        yield from _below(base)
        yield from _below(os.path.join(base, "local"))


def _below(home: str) -> Iterator[str]:
    """Yield the folders of packages below the lib folder of a prefix, with those that their .pth files add."""
    lib = os.path.join(home, "lib")
    for name in sorted(name for name in _names(lib) if name.startswith("python3")):
        for kind in FOLDERS:
            folder = os.path.join(lib, name, kind)
            if os.path.isdir(folder):
                yield folder
                yield from _added(folder)


def _added(folder: str) -> Iterator[str]:
    for name in sorted(name for name in _names(folder) if name.endswith(".pth")):
        for line in safe_open.read_start_text(os.path.join(folder, name), MOST_POINTER).splitlines():
            path = os.path.join(folder, line.strip())
            if line.strip() and not line.startswith(("import ", "#")) and os.path.isdir(path):
                yield path


def _distributions(folder: str) -> Iterator[str]:
    """Yield `name-version` of each distribution in a folder, as its info folder has it."""
    for name in _names(folder):
        stem, dot, kind = name.rpartition(".")
        if dot + kind in INFOS:
            yield stem


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _changed_ns(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0

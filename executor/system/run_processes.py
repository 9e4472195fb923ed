"""The living processes of a run, found by its token, its lock, its launcher's session, and their descendants."""

from __future__ import annotations

import os

from executor.system import files, procfs, project_identity, run_lock, safe_open
from executor.system.folders import names_in
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.system.procfs import ProcessStat

JOBS = os.path.join(files.STATE_FOLDER, "jobs")


class ProcessQuery(Record):
    """A query for the processes of a run or task.

    `token` is a run's DO_TASKS_RUN; it includes the tokens that continue it behind a slash, of the commands of an
    agent. A token that ends in / is a whole task, one that ends in a dot all of a kind: monitor.1, monitor.2.

    `root` is the folder that they belong to, empty for any. `leader` is the pid of a session's first process, with
    its `start` in kernel ticks since boot; 0 for a child of this process that was not reaped.
    """

    token: str
    root: str = ""
    leader: int = 0
    start: int = 0


def find_living(query: ProcessQuery, known: Mapping[int, int] | None = None) -> dict[int, int]:
    """Return the start of each living member by its pid; the members `known` before stay members.

    A descendant of a member is a member, unless it has the token of another task.
    """
    everybody = procfs.living_processes()
    tokens_of = {pid: procfs.tokens(pid) for pid in everybody}
    inside = {pid for pid, start in (known or {}).items() if pid in everybody and everybody[pid].start == start}
    inside |= {pid for pid, tokens in tokens_of.items() if _has_token(pid, tokens, query)}
    inside |= _of_sessions(everybody, query) | _lock_holders(everybody, query)
    others = {pid for pid, tokens in tokens_of.items() if tokens and not any(_is_of_task(one, query) for one in tokens)}
    inside = _with_descendants(everybody, inside, others)
    return {pid: everybody[pid].start for pid in inside if pid != os.getpid()}


def pids_with_token(token: str, root: str = "") -> list[int]:
    """Return the pids of this user whose environment holds DO_TASKS_RUN=token, as `ProcessQuery` describes."""
    found = procfs.pids_with_token(token)
    return [pid for pid in found if not root or project_identity.is_marked_here(procfs.environ(pid), pid, root)]


def unrecorded_runs(root: str) -> dict[str, int]:
    """Return the living MAIN runs of this folder without a record in it, as TASK/RUN, each with a pid.

    Their records may be gone with `.do-tasks/`: their environments still name them.
    """
    found: dict[str, int] = {}
    for pid in sorted(procfs.living_processes()):
        for token in procfs.tokens(pid):
            task, run, *_ = f"{token.decode(errors='replace')}//".split("/")
            name = f"{task}/{run}"
            if name not in found and _is_unrecorded(root, task, run):
                is_here = project_identity.is_marked_here(procfs.environ(pid), pid, root, unmarked=False)
                found |= {name: pid} if is_here else {}
    return found


def _is_unrecorded(root: str, task: str, run: str) -> bool:
    if not (task.startswith("task_") and run.startswith("main.")):
        return False
    return not os.path.exists(os.path.join(root, JOBS, task, run, "started.json"))


def _has_token(pid: int, tokens: list[bytes], query: ProcessQuery) -> bool:
    if not any(procfs.token_matches(query.token, token) for token in tokens):
        return False
    if not query.root:
        return True
    records = (safe_open.read_record(os.path.join(folder, "started.json")) for folder in _run_folders(query))
    began_in = frozenset(str(record.get("home")) for record in records)
    return project_identity.is_marked_here(procfs.environ(pid), pid, query.root, moved_from=began_in)


def _is_of_task(token: bytes, query: ProcessQuery) -> bool:
    return token.partition(b"/")[0] == query.token.encode().partition(b"/")[0]


def _of_sessions(everybody: Mapping[int, ProcessStat], query: ProcessQuery) -> set[int]:
    """Return the processes in the session of a launcher.

    The number of a session is in use while any process is in it. When its first process is gone, and the number may
    be a later session's, only processes that work in the project count.
    """
    leaders = dict(_launchers(query))
    leaders |= {query.leader: query.start} if query.leader else {}
    found = set()
    for line in everybody.values():
        start = leaders.get(line.session)
        first = everybody.get(line.session)
        if start is None or line.start < start or (first and start and first.start != start):
            continue
        if first or not query.root or project_identity.works_in(line.pid, query.root):
            found.add(line.pid)
    return found


def _lock_holders(everybody: Mapping[int, ProcessStat], query: ProcessQuery) -> set[int]:
    """Return the processes that hold the lock of a run, also with another environment and session."""
    locks = {inode for folder in _run_folders(query) if (inode := _inode(run_lock.path_of(folder)))}
    if not locks:
        return set()
    return {pid for pid in everybody if _inode(f"/proc/{pid}/fd/{run_lock.LOCK_FD}") in locks}


def _with_descendants(everybody: Mapping[int, ProcessStat], inside: set[int], others: set[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for line in everybody.values():
        children.setdefault(line.parent, []).append(line.pid)
    found, asked = set(inside), [*inside]
    while asked:
        new = {pid for pid in children.get(asked.pop(), ()) if pid not in found and pid not in others}
        found |= new
        asked += new
    return found


def _run_folders(query: ProcessQuery) -> list[str]:
    """Return the folders of the runs of a query."""
    task, _, run = query.token.partition("/")
    folder = os.path.join(query.root, JOBS, task)
    if not query.root or not task:
        return []
    if run:
        return [os.path.join(folder, run)]
    return [os.path.join(folder, name) for name in names_in(folder)]


def _launchers(query: ProcessQuery) -> Iterable[tuple[int, int]]:
    """Return pid and start of the launchers of the runs of a query, if they belong to this boot and namespace."""
    for folder in _run_folders(query):
        body = safe_open.read_record(os.path.join(folder, "started.json"))
        here = body.get("boot") == procfs.boot_id() and body.get("namespace", "") in ("", procfs.namespace_of("self"))
        own = project_identity.is_same_folder(str(body.get("home", "")), query.root)
        pid, start = body.get("pid"), body.get("start")
        if here and own and isinstance(pid, int) and isinstance(start, int):
            yield pid, start


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)

"""The place of a run without a recorded end: here, in another folder, host or container, or lost."""

from __future__ import annotations

import os

from executor.system import procfs, project_identity, run_lock, run_processes
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.system.run_records import Identity

ANOTHER_HOST = "on another host"
ANOTHER_CONTAINER = "in another container or pid namespace"
HIDDEN = "out of sight: of another user, host or container"


def of(root: str, token: str, identity: Identity, *, living: bool) -> tuple[str, str]:
    """Return the status of a run, as in `RunStatus`, and its place.

    A run is lost only when its launcher and all its other processes are dead. When that is not known, it is not lost.
    """
    if not procfs.is_on_this_host(identity):
        return "elsewhere", ANOTHER_HOST
    if living:
        return _of_folder(root, identity)
    is_held = run_lock.is_held(os.path.join(root, run_processes.JOBS, *token.split("/")))
    if identity.boot == procfs.boot_id() and not procfs.is_in_this_namespace(identity):
        return _of_another_namespace(root, token, identity, is_held=is_held)
    if is_held and not run_processes.find_living(run_processes.ProcessQuery(token, root)):
        return "elsewhere", HIDDEN
    return "lost", ""


def _of_folder(root: str, identity: Identity) -> tuple[str, str]:
    """Return the status of a living run by its project folder."""
    where = project_identity.working_directory(identity.pid)
    if project_identity.is_of_this_folder(identity.pid, identity.home, root):
        return "alive", ""
    if project_identity.is_in_deleted_folder(identity.pid):
        return "orphan", f"in a folder that is gone, {where.removesuffix(project_identity.DELETED)}"
    return "foreign", f"in another folder, {where}"


def _of_another_namespace(root: str, token: str, identity: Identity, *, is_held: bool) -> tuple[str, str]:
    """Return the status of a run whose pid is of another namespace, by its lock and its token.

    The runs of a removed container have ended: a lock that they held is free.
    """
    if is_held or run_processes.pids_with_token(token, root):
        return "elsewhere", ANOTHER_CONTAINER
    if not project_identity.is_same_folder(identity.home, root):
        return "foreign", f"in another folder, {ANOTHER_CONTAINER}"
    return ("lost", "") if identity.locked else ("elsewhere", ANOTHER_CONTAINER)


def launcher_of(root: str, token: str) -> Identity | None:
    """Return the living launcher of a run whose record cannot be read, None when there is none."""
    everybody = procfs.living_processes()
    found = run_processes.find_living(run_processes.ProcessQuery(token, root))
    first = [pid for pid in found if pid in everybody and everybody[pid].session == pid]
    oldest = min(first, key=lambda pid: found[pid], default=0)
    identity = procfs.identify(oldest) if oldest else None
    return identity and identity.replace(home=project_identity.folder_id(root))

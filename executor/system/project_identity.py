"""The project folder of a process or record, by device and inode of its `.do-tasks/`, never by its path."""

from __future__ import annotations

import os

from executor.system.files import STATE_FOLDER
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT_VARIABLE = "DO_TASKS_PROJECT"
DELETED = " (deleted)"  # the kernel appends this to the path of a deleted folder


def folder_id(root: str) -> str:
    """Return `device:inode` of the project's `.do-tasks/`, empty when it is missing."""
    return _inode(os.path.join(root, STATE_FOLDER))


def environment_mark(root: str) -> str:
    """Return the value of DO_TASKS_PROJECT for the processes of a project: `device:inode:path`."""
    return f"{folder_id(root)}:{root}"


def root_of(environ: Mapping[str, str]) -> str:
    """Return the project's folder from an environment, empty when it has no mark."""
    return environ.get(PROJECT_VARIABLE, "").partition(":")[2].partition(":")[2]


def is_same_folder(recorded: str, root: str) -> bool:
    """Return True for a record of this folder, and for one that names no folder.

    Only inodes are compared: the number of a device changes when a file system is mounted again.
    """
    return not recorded or recorded.rpartition(":")[2] == folder_id(root).rpartition(":")[2]


def is_marked_here(
    words: list[bytes], pid: int, root: str, *, moved_from: frozenset[str] = frozenset(), unmarked: bool = True
) -> bool:
    """Return True when a process with a task's token belongs to this folder, not to a copy or a clone.

    A process without a mark, and one whose `.do-tasks/` is gone, belong to the project that they work in;
    `unmarked` is the result for a process without a mark that works in no project. `moved_from` are the folders
    where recorded runs of this project began: a folder among them that was deleted since was moved here.
    """
    its_home, path = _mark_in(words)
    if its_home and its_home == folder_id(root):
        return True
    if its_home and path and folder_id(path) == its_home:
        return False  # its folder still exists, and is another one
    if its_home in moved_from and is_in_deleted_folder(pid):
        return True
    return works_in(pid, root, otherwise=unmarked and not its_home)


def _mark_in(words: list[bytes]) -> tuple[str, str]:
    """Return `device:inode` and path of the mark in an environment, empty without one."""
    marks = [word.partition(b"=")[2] for word in words if word.startswith(f"{PROJECT_VARIABLE}=".encode())]
    device, _, rest = (os.fsdecode(marks[0]) if marks else "").partition(":")
    inode, _, path = rest.partition(":")
    return (f"{device}:{inode}", path) if rest else ("", "")


def is_in_deleted_folder(pid: int) -> bool:
    """Return True when the working directory of a process was deleted."""
    return working_directory(pid).endswith(DELETED)


def works_in(pid: int, root: str, *, otherwise: bool = False) -> bool:
    """Return True when a process's working directory is in this project, and in no other project below it.

    `otherwise` is the result for a process that works in no project.
    """
    link = working_directory(pid)
    if not link:
        return otherwise
    if link.endswith(DELETED):
        return _is_below(link.removesuffix(DELETED), os.path.realpath(root))
    nearest = _nearest_project(f"/proc/{pid}/cwd", link)
    return (
        _inode(nearest) == _inode(root) if nearest else _is_in_or_below(f"/proc/{pid}/cwd", root, otherwise=otherwise)
    )


def working_directory(pid: int) -> str:
    """Return the working directory of a process as the kernel names it, empty when it cannot be read."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def _nearest_project(folder: str, link: str) -> str:
    """Return the nearest folder from this one up with a `.do-tasks/`, empty for none."""
    for _ in range(link.count("/") + 1):
        if os.path.isdir(os.path.join(folder, STATE_FOLDER)):
            return folder
        folder = os.path.join(folder, "..")
    return ""


def _is_in_or_below(folder: str, root: str, *, otherwise: bool) -> bool:
    """Return True for the root and a folder below it, also when the root has lost its `.do-tasks/`."""
    wanted, last = _inode(root), ""
    while (inode := _inode(folder)) and inode != last:
        if inode == wanted:
            return True
        folder, last = os.path.join(folder, ".."), inode
    return otherwise


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _inode(path: str) -> str:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def is_of_this_folder(pid: int, recorded: str, root: str) -> bool:
    """Return True when a living launcher belongs to this folder, by its record or its working directory."""
    return not recorded or recorded == folder_id(root) or works_in(pid, root)

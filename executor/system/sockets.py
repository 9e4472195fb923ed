"""Sockets of this machine that have a path: a process that connects to one can use the service behind it."""

from __future__ import annotations

import os
import stat

from executor.system.folders import entries_in, is_real_folder

KERNEL_LIST = "/proc/net/unix"
PLACES = ("/var/lib", "/var/snap", "/srv", "/opt", "/mnt", "/data")
LEVELS = 3
MOST = 4000  # entries that are tested, and sockets that are returned


def listening_sockets() -> tuple[str, ...]:
    """Return the paths of the sockets that the kernel lists for this network namespace."""
    try:
        with open(KERNEL_LIST, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()[1:]
    except OSError:
        return ()
    paths = {line[line.index(" /") + 1 :] for line in lines if " /" in line}
    return tuple(sorted(path for path in paths if is_socket(path)))[:MOST]


def service_sockets() -> tuple[str, ...]:
    """Return the sockets in folders of services outside /run, listed or not: three levels, 4,000 entries."""
    found: list[str] = []
    seen = 0
    folders = [(place, 0) for place in PLACES if is_real_folder(place)]
    for folder, level in folders:
        for entry in entries_in(folder):
            seen += 1
            if seen > MOST:
                return tuple(found)
            if entry.is_dir(follow_symlinks=False) and level < LEVELS - 1:
                folders.append((entry.path, level + 1))
            elif not (entry.is_file(follow_symlinks=False) or entry.is_symlink()) and is_socket(entry.path):
                found.append(entry.path)
    return tuple(found)


def is_socket(path: str) -> bool:
    """Return True for a socket itself, False for a link to one."""
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False

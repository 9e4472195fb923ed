"""Signals to processes and groups that may be gone."""

from __future__ import annotations

import os

from executor.system import procfs


def signal_one(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def kill_group(pid: int, number: int) -> None:
    """Send a signal to a group that may be gone."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def group_lives(pid: int) -> bool:
    """Return True when anything of a group lives that may be signalled."""
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return procfs.group_lives(pid)


def reap_group(pid: int) -> None:
    """Take the exit statuses of the children in a group."""
    try:
        while os.waitpid(-pid, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return

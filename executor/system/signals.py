"""Signals to processes and groups, which may have ended."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from executor.system import procfs

SIGNAL_OFFSET = 128  # a shell's exit code for a signal is this plus its number


def signal_process(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_group(pid: int, number: int) -> None:
    """Send a signal to a group that may have ended."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def group_lives(pid: int) -> bool:
    """Return True when a process of a group lives and may be signalled."""
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return procfs.group_lives(pid)


def reap_group(pid: int) -> None:
    """Take the exit statuses of the children in a group."""
    with suppress(ChildProcessError):
        while os.waitpid(-pid, os.WNOHANG)[0]:
            continue


def describe_exit(exit_code: int | None) -> str:
    """Return `exit 3`, `exit 137 (SIGKILL)`, `killed by SIGTERM` or `no exit code`; a negative code is a signal."""
    if exit_code is None:
        return "no exit code"
    name = signal_name(abs(exit_code) - SIGNAL_OFFSET * (exit_code > 0))
    if exit_code < 0:
        return f"killed by {name or f'signal {-exit_code}'}"
    return f"exit {exit_code} ({name})" if name else f"exit {exit_code}"


def signal_name(number: int) -> str:
    """Return SIGKILL for 9, an empty text for an unknown signal."""
    return signal.Signals(number).name if number in set(signal.Signals) else ""

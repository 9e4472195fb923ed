"""Caches of the plan and of the log's fold: thrown away when an agent may have written them."""

from __future__ import annotations

import os

from executor.system import safe_open
from executor.system.run_records import LOG_NAME

NAMES = ("state.json", os.path.join("cache", "plan.json"), os.path.join("cache", "sources.json"))
OURS = ".do-tasks"
PENDING = "guarding"  # there while an agent works, and after it until somebody looked
SIGNS = tuple(f'"runner": "{name}"'.encode() for name in ("agent", "claude-code", "host"))
MOST = 1 << 20  # bytes of the log's end that are looked at


def drop(root: str) -> None:
    """Throw away what is only there to be quick: the files themselves say the same."""
    for name in NAMES:
        try:
            os.unlink(os.path.join(root, OURS, name))
        except OSError:  # not there, or no file: then nobody believes it
            continue


def distrust(root: str) -> None:
    """Throw the caches away where an agent has worked: a forged one would skip a step, or judge it by other checks."""
    if os.path.lexists(os.path.join(root, OURS, PENDING)) or _has_worked(root):
        drop(root)


def _has_worked(root: str) -> bool:
    try:
        end = safe_open.read_end(os.path.join(root, LOG_NAME), MOST)
    except OSError:
        return False
    return any(sign in end for sign in SIGNS)

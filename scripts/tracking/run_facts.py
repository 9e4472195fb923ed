"""Facts of a run's surroundings: revision, environment, machine."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

GIT_S = 20
MOST_DIFF = 1 << 16  # characters; of a longer one the digest stays
CREDENTIALS = re.compile(r"//[^/\s@]+@")


def now() -> str:
    """Return UTC in RFC 3339 with milliseconds."""
    seconds = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


@functools.cache
def facts() -> dict[str, Any]:
    """Return the facts of this process, gathered once: git, packages, machine, seconds since the epoch."""
    return {
        "git": git(),
        "python": platform.python_version(),
        "packages": packages(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "argv": [os.path.basename(sys.argv[0]), *(CREDENTIALS.sub("//***@", word) for word in sys.argv[1:])],
        "task_id": os.environ.get("DO_TASKS_TASK_ID", ""),
    }


def git() -> dict[str, Any]:
    """Return the revision, whether files differ from it, and the diff with its digest; {} outside of git."""
    revision = _git("rev-parse", "HEAD").strip()
    if not revision:
        return {}
    diff = _git("diff", "HEAD")
    is_whole = len(diff) <= MOST_DIFF
    return {
        "revision": revision,
        "is_dirty": bool(_git("status", "--porcelain").strip()),
        "diff": diff if is_whole else "",
        "diff_sha256": hashlib.sha256(diff.encode()).hexdigest() if diff else "",
    }


def _git(*words: str) -> str:
    try:
        ended = subprocess.run(
            ["git", *words], capture_output=True, text=True, errors="replace", timeout=GIT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return ended.stdout if ended.returncode == 0 else ""


def packages() -> dict[str, str]:
    """Return the versions of all installed packages by name."""
    return {one.metadata["Name"]: one.version for one in distributions() if one.metadata["Name"]}


def load() -> dict[str, float]:
    """Return the load of the machine: system/load_1m, system/cpu_seconds of this process, system/memory_mib."""
    times = os.times()
    found = {"system/load_1m": os.getloadavg()[0], "system/cpu_seconds": times.user + times.system}
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            pages = int(statm.read().split()[1])
        found["system/memory_mib"] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError):
        pass
    return {name: round(value, 3) for name, value in found.items()}


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, empty if it cannot be read."""
    try:
        with path.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    except OSError:
        return ""

"""Files that say what checkers of style leave out: which of their lines leave out source files that are there."""

from __future__ import annotations

import fnmatch
import os
import re

from executor.guard.startup_files import PRUNED
from executor.system import safe_open
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = frozenset((".gitignore", ".ignore", ".rgignore"))
SOURCES = (
    *(".py", ".pyi", ".ipynb", ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte"),
    *(".rs", ".go", ".c", ".h", ".cc", ".cpp", ".java", ".rb", ".php", ".sh"),
)
# Reports and builds bring an ignore file of their own, and no checker looks into them.
MADE = frozenset(("htmlcov", "coverage", "build", "dist"))
MOST_FILES = 5000  # source files that are looked at
MOST_BYTES = 1 << 20


def is_one(path: str) -> bool:
    """Return True for a file that leaves out others."""
    return os.path.basename(path) in NAMES


def steers(root: str, path: str) -> bool:
    """Return True for any file but one that leaves out others, and leaves out no source file that is there."""
    if not is_one(path):
        return True
    try:
        data = safe_open.start_of(os.path.join(root, path), MOST_BYTES)
    except OSError:
        return True
    return bool(part_of(root, path, data))


def part_of(root: str, path: str, data: bytes) -> str:
    """Return the lines that match source files which are there now, empty for none."""
    lines = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()]
    asked = [line for line in lines if line and not line.startswith("#")]
    if not asked or not MADE.isdisjoint(path.split("/")):
        return ""
    found = tuple(_sources(os.path.join(root, os.path.dirname(path))))
    names = {name for one in found for name in one.split("/")}
    above = {one[:at] for one in found for at in (*(at for at, sign in enumerate(one) if sign == "/"), len(one))}
    return "\n".join(line for line in asked if _matches(line, names, above))


def _matches(line: str, names: set[str], paths: set[str]) -> bool:
    """Return True when a line matches a name, or where it has a slash a path; rather too often than not."""
    pattern = line.removeprefix("!").replace("\\", "").rstrip("/").replace("/**/", "/*").removesuffix("/**")
    is_path = "/" in pattern and not pattern.startswith("**/")
    asked = pattern.lstrip("/") if is_path else pattern.removeprefix("**/")
    matches = re.compile(fnmatch.translate(asked), re.IGNORECASE).match
    return any(map(matches, paths if is_path or "/" in asked else names))


def _sources(folder: str) -> Iterator[str]:
    """Yield the source files below a folder, as paths from it."""
    waiting, left = [""], MOST_FILES
    while waiting and left > 0:
        below = waiting.pop(0)
        for name, is_folder in _entries(os.path.join(folder, below)):
            if is_folder:
                waiting += [] if name in PRUNED or name in MADE else [f"{below}{name}/"]
            elif name.lower().endswith(SOURCES):
                left -= 1
                yield f"{below}{name}"


def _entries(folder: str) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as found:
            entries = [(one.name, one.is_dir(follow_symlinks=False)) for one in found]
    except OSError:
        return []
    return [] if ("pyvenv.cfg", False) in entries else entries

"""Ignore files of style checkers, and the lines of them that exclude existing source files."""

from __future__ import annotations

import fnmatch
import os
import re

from executor.guard.config_parts import IGNORE_FILES
from executor.guard.file_state import join
from executor.guard.startup_files import PRUNED
from executor.guard.tree_scan import VENV_MARKER
from executor.system import safe_open
from executor.system.folders import walk_breadth_first
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = (
    *(".py", ".pyi", ".ipynb", ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte"),
    *(".rs", ".go", ".c", ".h", ".cc", ".cpp", ".java", ".rb", ".php", ".sh"),
)
# Reports and builds have an ignore file of their own; checkers skip them.
BUILD_FOLDERS = frozenset(("htmlcov", "coverage", "build", "dist"))
MOST_FILES = 5000  # source files
MOST_BYTES = 1 << 20


def is_ignore_file(path: str) -> bool:
    """Return True for an ignore file."""
    return os.path.basename(path) in IGNORE_FILES


def excludes_sources(root: str, path: str) -> bool:
    """Return False for an ignore file that excludes no existing source file, True for any other file."""
    if not is_ignore_file(path):
        return True
    try:
        data = safe_open.read_start(os.path.join(root, path), MOST_BYTES)
    except OSError:
        return True
    return bool(excluding_lines(root, path, data))


def excluding_lines(root: str, path: str, data: bytes) -> str:
    """Return the lines of an ignore file that match existing source files, empty for none."""
    lines = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()]
    asked = [line for line in lines if line and not line.startswith("#")]
    if not asked or not BUILD_FOLDERS.isdisjoint(path.split("/")):
        return ""
    found = tuple(_sources(os.path.join(root, os.path.dirname(path))))
    names = {name for one in found for name in one.split("/")}
    above = {one[:at] for one in found for at in (*(at for at, sign in enumerate(one) if sign == "/"), len(one))}
    return "\n".join(line for line in asked if _matches(line, names, above))


def _matches(line: str, names: set[str], paths: set[str]) -> bool:
    """Return True when a line matches a name, or with a slash a path; in doubt True."""
    pattern = line.removeprefix("!").replace("\\", "").rstrip("/").replace("/**/", "/*").removesuffix("/**")
    is_path = "/" in pattern and not pattern.startswith("**/")
    asked = pattern.lstrip("/") if is_path else pattern.removeprefix("**/")
    matches = re.compile(fnmatch.translate(asked), re.IGNORECASE).match
    return any(map(matches, paths if is_path or "/" in asked else names))


def _sources(folder: str) -> Iterator[str]:
    """Yield the source files below a folder, as paths from it."""
    left = MOST_FILES
    if os.path.lexists(os.path.join(folder, VENV_MARKER)):
        return

    def is_entered(path: str, one: os.DirEntry[str]) -> bool:
        is_skipped = one.name in PRUNED or one.name in BUILD_FOLDERS
        return not is_skipped and not os.path.lexists(os.path.join(folder, path, VENV_MARKER))

    for below, found in walk_breadth_first(folder, is_entered):
        for path in (join(below, one.name) for one in found if not one.is_dir(follow_symlinks=False)):
            if path.lower().endswith(SOURCES):
                left -= 1
                yield path
        if left <= 0:
            return

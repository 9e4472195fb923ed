"""Where this program lies, for what starts a part of it as a process of its own."""

from __future__ import annotations

import os

PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
IMPORT_FOLDER = os.path.dirname(PACKAGE_FOLDER)  # goes on `sys.path` of an interpreter that starts bare


def package_file(*names: str) -> str:
    """Return the path of a file of the package, its names below it one by one."""
    return os.path.join(PACKAGE_FOLDER, *names)

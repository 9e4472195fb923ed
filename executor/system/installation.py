"""The folders where this program is installed, to start parts of it as processes."""

from __future__ import annotations

import os

PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
IMPORT_FOLDER = os.path.dirname(PACKAGE_FOLDER)  # for `sys.path` of an isolated interpreter


def package_file(*names: str) -> str:
    """Return the path of a file of the package, given the names of its path one by one."""
    return os.path.join(PACKAGE_FOLDER, *names)

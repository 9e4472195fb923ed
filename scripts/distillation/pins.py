"""The versions that constraints.txt pins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from common.errors import Trouble

if TYPE_CHECKING:
    from pathlib import Path

PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*(?P<version>[^\s;#]+)")


def read(path: Path) -> dict[str, str]:
    """Return the pinned versions by package; names in lower case with dashes."""
    if not path.is_file():
        raise Trouble(f"{path} is missing: run from the folder that holds it, or set constraints=PATH")
    lines = path.read_text(encoding="utf-8").splitlines()
    found = (PIN.match(line.strip()) for line in lines)
    return {canonical(pin["name"]): pin["version"] for pin in found if pin}


def canonical(name: str) -> str:
    """Return a package's name in normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()

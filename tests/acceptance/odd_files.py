"""Each record of a project as each odd kind of thing, through each verb: no crash, no hang, no internal error."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.integration import test_odd_files as grid

LIMIT_S = 4 * 3600.0


def main():
    """Go through the whole grid; return its figures."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        template = grid.worked(Path(folder) / "p")
        cases = grid.every([*grid.READING, *grid.CHANGING])
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        found = grid.faults(grid.gone_through(template, scratch, cases, LIMIT_S))
    for fault in found:
        print(fault)
    return f"{len(cases)} cases in {time.monotonic() - began:.0f} s: {len(found)} faults"

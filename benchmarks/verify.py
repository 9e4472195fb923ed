"""Whether a tool really does the work that is timed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.measure import BenchError, timed
from benchmarks.projects import Load, expected_marks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.projects import Tool

FULL = Load(3, 3, 2, marks=True)
CHAIN = Load(5, marks=True)


def verified(tool: Tool, root: Path) -> str:
    """Return what is wrong with a tool, or nothing: each command ran once, a resume ran the last step alone."""
    try:
        return _full_run(tool, root / f"{tool.name}-run") or _resume(tool, root / f"{tool.name}-resume")
    except (BenchError, OSError) as trouble:
        return str(trouble)


def _full_run(tool: Tool, folder: Path) -> str:
    tool.write(folder, FULL)
    tool.forget(folder)
    return _marked(tool, folder, FULL, tool.run(FULL), first=1)


def _resume(tool: Tool, folder: Path) -> str:
    tool.write(folder, CHAIN)
    tool.remember(folder, CHAIN)
    tool.rewind(folder, CHAIN)
    wrong = _marked(tool, folder, CHAIN, tool.resume(CHAIN), first=CHAIN.steps)
    tool.rewind(folder, CHAIN)
    return wrong or _marked(tool, folder, CHAIN, tool.resume(CHAIN), first=CHAIN.steps)


def _marked(tool: Tool, folder: Path, load: Load, argv: Sequence[str], *, first: int) -> str:
    marks = folder / "marks"
    marks.unlink(missing_ok=True)
    timed(argv, folder)
    left = Counter(marks.read_text().split()) if marks.exists() else Counter()
    wanted = expected_marks(load, first, tests_first=tool.tests_first)
    if left == wanted:
        return ""
    return f"{argv[1:]}: not run {sorted((wanted - left).elements())}, too often {sorted((left - wanted).elements())}"

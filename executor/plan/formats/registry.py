"""The table of formats; a plan's format follows from its content."""

from __future__ import annotations

import re
from importlib import import_module

from executor.errors import SpecError
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.plan.formats.model import PlanFormat

# Module and class of each format; a module is imported when its turn comes. The first that matches is taken: a format
# with a plainer sign stands before one with a looser.
FORMATS = (
    ("flow", "Flow"),
    ("spec", "SpecMd"),
    ("task_master", "TaskMaster"),
    ("dot_tasks", "DotTasks"),
    ("backlog", "BacklogMd"),
    ("spec_runner", "SpecRunner"),
    ("epic", "Epic"),
    ("spec_kit", "SpecKit"),
    ("range_report", "RangeReport"),
    ("kiro", "Kiro"),
    ("openspec", "OpenSpec"),
)
_STEP = lazy_regex.pattern(rb"\*\*STEP[ \t]+\d", re.IGNORECASE)


def formats(data: bytes = b"") -> Iterator[PlanFormat]:
    """Yield all formats in the order in which they are tried; for a file with steps SPEC.md comes first."""
    rows = sorted(FORMATS, key=lambda row: row[0] != "spec") if _STEP.search(data) else FORMATS
    for module, name in rows:
        yield getattr(import_module(f"executor.plan.formats.{module}"), name)()


def is_of(name: str, path: str, data: bytes) -> bool:
    """Return True when the format of this name has a file."""
    return any(one.name == name and one.matches(path, data) for one in formats(data))


def format_of(path: str, data: bytes) -> PlanFormat:
    """Return the format of a plan file; SpecError when none fits."""
    found = next((one for one in formats(data) if one.matches(path, data)), None)
    if found is None:
        names = ", ".join(one.name for one in formats())
        raise SpecError(f"{path}: its content fits no format of plans; known are {names}")
    return found

"""The tasks.md of Kiro: numbered boxes, `[-]` in progress, `[ ]*` optional, `_Requirements: 1.1_` under them."""

from __future__ import annotations

import re

from executor.plan.formats.box_format import SIDE_FILE, BoxFormat
from executor.plan.formats.model import DONE, FAILED, OPEN, STARTED
from executor.plan.formats.openspec import OpenSpecPlan
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIGNS = lazy_regex.pattern(
    rb"^# +Implementation Plan\b|^[ \t]*- _Requirements:|^[ \t]*[-*][ \t]\[[ xX-]\]\*?[ \t]+\d+\.[ \t]", re.MULTILINE
)
_OPTIONAL = lazy_regex.pattern(rb"\\?\*")
_REQUIREMENTS = lazy_regex.pattern(r"_(?:Requirements?|Requirement refs?): *([^_]+)_")


class KiroPlan(OpenSpecPlan):
    """A tasks.md of Kiro."""

    format = "kiro"
    made = "k-"
    states: Mapping[bytes, str] = {b" ": OPEN, b"x": DONE, b"X": DONE, b"-": STARTED}
    boxes: Mapping[str, bytes] = {DONE: b"x", FAILED: b" ", STARTED: b"-"}

    def tags(self, place: int) -> tuple[str, ...]:
        """Return `optional` for a star behind the box, and the requirements that the task serves."""
        row = self.rows[place]
        behind = row.end(2) + 1
        optional = ("optional",) if row[2] is not None and _OPTIONAL.match(self.data, behind) else ()
        found = _REQUIREMENTS.findall(self.text(place))
        return (*optional, *(f"requirement {one.strip()}" for many in found for one in many.split(",") if one.strip()))

    def notes(self, place: int) -> tuple[str, ...]:
        return tuple(one for one in super().notes(place) if not _REQUIREMENTS.fullmatch(one))


class Kiro(BoxFormat):
    """Specs of Kiro: `.kiro/specs/NAME/tasks.md`."""

    name = "kiro"
    source = KiroPlan
    marks: Mapping[str, str] = {
        DONE: f"`[x]` in the box; {SIDE_FILE}",
        FAILED: f"`[ ]` in the box; {SIDE_FILE}",
        STARTED: f"`[-]` in the box; {SIDE_FILE}",
    }

    def matches(self, path: str, data: bytes) -> bool:
        """Return True for a file with titles, requirements or numbers as of Kiro, or in its folder."""
        return ".kiro/" in path.replace("\\", "/") or bool(_SIGNS.search(data))

"""The tasks.md of OpenSpec: numbered boxes under numbered headings."""

from __future__ import annotations

import re

from executor.plan.formats.box_format import SIDE_FILE, BoxFormat
from executor.plan.formats.box_plan import BoxPlan
from executor.plan.formats.model import DONE, FAILED
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = rb"\d+(?:\.\d+)+\.?(?=[ \t\r:]|$)"
_NUMBERED = lazy_regex.pattern(rb"^[ \t>]*(?:[-*+]|\d+[.)])[ \t]*\[[^\]\n]{0,3}\][ \t]*\*{0,2}\d+\.\d", re.MULTILINE)
_ANY_BOX = lazy_regex.pattern(rb"^[ \t>]*(?:[-*+]|\d+[.)])[ \t]*\[[ xX~-]\][ \t]", re.MULTILINE)
_SECTION = lazy_regex.pattern(rb"^##[ \t]+\d+\.[ \t]", re.MULTILINE)


class OpenSpecPlan(BoxPlan):
    """A tasks.md of OpenSpec."""

    format = "openspec"
    head = rb"\*{0,2}(?:" + _NUMBER + rb"|\d+\.(?=[ \t])|\d+(?:\.\d+)+\*\*)\*{0,2}"
    bare = _NUMBER
    id_pattern = r"\d+(?:\.\d+)+"
    made = "o-"

    def find_ids(self) -> list[str]:
        """Return the numbers of the tasks without their last point."""
        return [one.rstrip(".") for one in super().find_ids()]

    def title(self, place: int) -> str:
        return super().title(place).lstrip(":").strip("* ")

    def parent(self, place: int) -> str:
        """Return the task that holds this one, else the one whose number is its first part."""
        return super().parent(place) or self._by_number(self.ids[place])

    def _by_number(self, one: str) -> str:
        above = one.rpartition(".")[0]
        return above if above and above in self._numbers else ""

    @property
    def _numbers(self) -> frozenset[str]:
        found = self.__dict__.get("known")
        if found is None:
            found = self.__dict__["known"] = frozenset(self.ids)
        return found


class OpenSpec(BoxFormat):
    """Changes of OpenSpec: `openspec/changes/NAME/tasks.md`."""

    name = "openspec"
    source = OpenSpecPlan
    marks: Mapping[str, str] = {DONE: f"`[x]` in the box; {SIDE_FILE}", FAILED: f"`[ ]` in the box; {SIDE_FILE}"}

    def matches(self, path: str, data: bytes) -> bool:
        """Return True for boxes with numbers, under numbered headings, or where OpenSpec keeps them."""
        if _NUMBERED.search(data):
            return True
        is_named = path.replace("\\", "/").rpartition("/")[2] == "tasks.md"
        return bool(_ANY_BOX.search(data)) and (bool(_SECTION.search(data)) or is_named)

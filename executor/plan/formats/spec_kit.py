"""The tasks.md of spec-kit, its checklists and the constitution."""

from __future__ import annotations

import re

from executor.plan.formats import gates
from executor.plan.formats.box_format import SIDE_FILE, BoxFormat
from executor.plan.formats.model import DONE, FAILED, MarkError
from executor.plan.formats.spec_kit_headings import ID
from executor.plan.formats.spec_kit_plan import SpecKitPlan
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.formats.model import Files, PlanDocument, PlanTask, TaskMark

_ID = ID.encode()
_SIGNS = lazy_regex.pattern(
    rb"^[ \t>]*(?:[-*+]|\d+[.)])[ \t\xc2\xa0]*\[[^\]\n]{0,3}\][ \t\xc2\xa0]*[*~`\[]*" + _ID
    + rb"|^\*\*ID\*\*:[ \t]*T-?\d"
    rb"|^\#{2,6}[ \t]+(?:\xe2\x9c\x85[ \t]*)?(?:Task[ \t]+)?(?:\d+\.\d+(?=[:. ])|" + _ID + rb")",
    re.MULTILINE,
)  # fmt: skip


class SpecKit(BoxFormat):
    """Features of spec-kit: `specs/NNN-NAME/tasks.md`."""

    name = "spec-kit"
    source = SpecKitPlan
    marks: Mapping[str, str] = {
        DONE: f"`[X]` in the box, or ` ✅ COMPLETE` behind a heading; {SIDE_FILE}",
        FAILED: f"`[ ]` in the box, no sign behind a heading; {SIDE_FILE}",
    }

    def matches(self, path: str, data: bytes) -> bool:
        """Return True for a box or a heading that begins with the id of a task."""
        return bool(_SIGNS.search(data))

    def companions(self, path: str, data: bytes) -> tuple[str, ...]:
        """Return the checklists of the feature and the constitution of the project: both are read only."""
        return ("checklists/*.md", "../../.specify/memory/constitution.md")

    def read(self, path: str, files: Files) -> PlanDocument:
        """Return the tasks, and as gates the boxes of checkpoints and checklists and the constitution's principles."""
        document = super().read(path, files)
        found = [one for name in files if name != path for one in gates.gates_of(name, files[name])]
        return document.replace(gates=(*document.gates, *found)) if found else document

    def write(self, path: str, files: Files, task: PlanTask, mark: TaskMark) -> Files:
        if task.file not in ("", path):
            raise MarkError(f"{task.file}: checklists are read and never marked")
        return super().write(path, files, task, mark)

"""Formats of plans with boxes: one file that a source reads and marks."""

from __future__ import annotations

from executor.plan.formats.box_plan import BoxPlan
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.formats.model import Files, PlanDocument, PlanTask, TaskMark

SIDE_FILE = "task id and time stand in the side file"


class BoxFormat:
    """A format of plans with boxes; `source` reads a file of it."""

    name = ""
    marks: Mapping[str, str] = {}
    source: type[BoxPlan] = BoxPlan
    _last: BoxPlan | None = None

    def matches(self, path: str, data: bytes) -> bool:
        """Return True for a file that is a plan of this format."""
        raise NotImplementedError

    def companions(self, path: str, data: bytes) -> tuple[str, ...]:
        """Return no patterns: the file stands alone."""
        return ()

    def read(self, path: str, files: Files) -> PlanDocument:
        """Return the tasks of a file."""
        return self._source(path, files[path]).document()

    def _source(self, path: str, data: bytes) -> BoxPlan:
        """Return the source of a file; that of the same bytes is kept, as a mark follows a reading."""
        if self._last is None or self._last.path != path or self._last.data is not data:
            self._last = self.source(path, data)
        return self._last

    def write(self, path: str, files: Files, task: PlanTask, mark: TaskMark) -> Files:
        """Return the file with one box changed, nothing when the mark stands; MarkError as the protocol says."""
        name = task.file or path
        plan = self._source(name, files[name])
        place = plan.place_of(task)
        changed = plan.marked(place, mark)
        if changed == plan.data:
            return {}
        return {name: changed}

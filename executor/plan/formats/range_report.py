"""Reports and overviews that declare tasks by ranges: read only, states stand in the side file."""

from __future__ import annotations

from executor.plan.formats.model import Finding, NoLineError, PlanDocument, PlanTask
from executor.plan.formats.report_findings import findings
from executor.plan.formats.report_ids import prefix_of
from executor.plan.formats.report_reading import Report
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.formats.model import Files, TaskMark

_SIGN = lazy_regex.pattern(
    rb"(?m)^(?:[ \t]*(?:(?:[-*+#>|]+|\d+[.)])(?![ \t]*\[[^\]\n]\])|\**Phase\b)[^\n]*?|)\b[A-Z]{1,6}-?\d{2,5}[ \t]*"
    rb"(?:-|\xe2\x80[\x90-\x94]|to|\.\.)[ \t]*(?:[A-Z]{1,6}-?)?\d{2,5}\b"
)
_TASK_BOX = lazy_regex.pattern(
    rb"(?m)^[ \t>]*(?:[-*+]|\d+[.)])[ \t]+\[[^\]\n]\][ \t]+\**(?:\[?[A-Z]{1,6}-?\d{2,5}\b|\d+(?:\.\d+)*[.)]?[ \t])"
)
_TASKS = lazy_regex.pattern(rb"(?i)\btasks?\b")


class RangeReport:
    """Reports that name tasks by ranges such as `T001-T005`."""

    name = "report"
    marks: Mapping[str, str] = {}

    def matches(self, path: str, data: bytes) -> bool:
        """Return True for Markdown whose lines begin with ranges, or phases with ranges, and no task has a box."""
        is_text = path.endswith((".md", ".markdown", ".txt"))
        return is_text and bool(_SIGN.search(data) and _TASKS.search(data)) and not _TASK_BOX.search(data)

    def companions(self, path: str, data: bytes) -> tuple[str, ...]:  # noqa: ARG002 - the protocol has them
        """Return no patterns: the file stands alone."""
        return ()

    def read(self, path: str, files: Files) -> PlanDocument:
        """Return a task for each number of a declared range; without a given title its id is its title."""
        try:
            text = files[path].decode("utf-8-sig")
        except ValueError as wrong:
            return PlanDocument(self.name, findings=(Finding(path, 1, "unreadable", f"not UTF-8: {wrong}"),))
        report = Report(text, prefix_of(text))
        return PlanDocument(
            self.name,
            _tasks(path, report),
            tuple(findings(path, report)),
            title=report.title,
            critical_path=report.path,
            critical_line=report.path_line,
        )

    def write(self, path: str, files: Files, task: PlanTask, mark: TaskMark) -> Files:  # noqa: ARG002 - as above
        """Raise NoLineError: no line is a task's own."""
        raise NoLineError(f"{path}: a report has no line for {task.id}: its state stands in the side file")


def _tasks(path: str, report: Report) -> tuple[PlanTask, ...]:
    phases = {phase.name: phase for phase in report.phases}
    found = []
    for one in sorted(report.tasks.values(), key=lambda task: (len(task.id), task.id)):
        phase = phases.get(one.phase)
        story = f"User Story {phase.story}" if phase and phase.story else ""
        found.append(
            PlanTask(
                one.id,
                one.title or one.id,
                file=path,
                declared_line=one.line,
                depends_on=tuple(report.edges.get(one.id, ())),
                phase=one.phase,
                section=one.section or story or one.phase,
                tags=(f"US{phase.story}",) if phase and phase.story else (),
                priority=phase.priority if phase else 0,
                parallel=one.parallel,
                after_phase=True,
                text=one.title or one.id,
            )
        )
    return tuple(found)

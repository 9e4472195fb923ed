"""The table of formats; a plan's format follows from its content."""

from __future__ import annotations

from executor.errors import SpecError
from executor.plan.formats.backlog import BacklogMd
from executor.plan.formats.dot_tasks import DotTasks
from executor.plan.formats.epic import Epic
from executor.plan.formats.flow import Flow
from executor.plan.formats.kiro import Kiro
from executor.plan.formats.openspec import OpenSpec
from executor.plan.formats.range_report import RangeReport
from executor.plan.formats.spec import SpecMd
from executor.plan.formats.spec_kit import SpecKit
from executor.plan.formats.spec_runner import SpecRunner
from executor.plan.formats.task_master import TaskMaster
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.formats.model import PlanFormat

# The first that matches is taken: a format with a plainer sign stands before one with a looser.
FORMATS: tuple[PlanFormat, ...] = (
    Flow(),
    SpecMd(),
    TaskMaster(),
    DotTasks(),
    BacklogMd(),
    SpecRunner(),
    Epic(),
    SpecKit(),
    RangeReport(),
    Kiro(),
    OpenSpec(),
)


def format_of(path: str, data: bytes) -> PlanFormat:
    """Return the format of a plan file; SpecError when none fits."""
    found = next((one for one in FORMATS if one.matches(path, data)), None)
    if found is None:
        names = ", ".join(one.name for one in FORMATS)
        raise SpecError(f"{path}: its content fits no format of plans; known are {names}")
    return found

"""What can be known without running anything: the plan, the boxes, the log's states, the decision."""

from __future__ import annotations

from executor.errors import SpecError
from executor.plan.spec import spec_md
from executor.store import consistent_read, project
from executor.store.changes import since_passed
from executor.store.fingerprint import made
from executor.store.sources import Sources
from executor.store.step_state import NEW, of_task, renumbered
from executor.store.ticks import moves
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.model import Step
    from executor.plan.plan import Plan
    from executor.plan.spec.spec_md import Box
    from executor.store.fingerprint import Known
    from executor.store.fingerprint_recipes import Made
    from executor.store.log_reader import LogState
    from executor.store.project import Project
    from executor.store.step_state import StepState


class ProjectView:
    """A project as it lies there: reading it changes nothing."""

    def __init__(
        self, here: Project, plan: Plan, recalled: LogState, *, strict: bool = False, asked_runner: str = ""
    ) -> None:
        """`strict` adds to what the plan says; `asked_runner` is the runner that the command line names."""
        self.project = here
        self.plan = plan
        self.recalled = recalled
        self.states = recalled.states
        self.strict = strict or plan.settings.strict
        self.asked_runner = asked_runner
        self.sources = Sources()
        self.made: dict[str, Made] = {}
        self._known: Known | None = None
        self._steps: dict[int, Step] = {}
        self.moved: dict[int, int] = {}

    @property
    def root(self) -> str:
        """Folder of SPEC.md, where commands run."""
        return self.project.root

    def boxes(self) -> dict[int, Box]:
        """Return SPEC.md's boxes by number, as of the moment that `states` then tell of."""
        return boxes_in(self.spec_bytes())

    def spec_bytes(self) -> bytes:
        """Return SPEC.md's bytes; what the log says of the same moment is taken in."""
        data, recalled = consistent_read.read(self.root, self.project.spec, self.recalled)
        self.take_in(recalled)
        return data

    def take_in(self, recalled: LogState) -> None:
        """Go by this fold of the log from now on; what `follow_numbers` found still holds."""
        self.recalled = recalled
        self.states = renumbered(recalled.states, self.moved) if self.moved else recalled.states

    def follow_numbers(self, boxes: Mapping[int, Box]) -> dict[int, int]:
        """Move the states of steps that were renumbered to their new numbers; return the old number of each."""
        moved = moves(boxes, self.states)
        self.states = renumbered(self.states, moved) if moved else self.states
        self.moved = {**self.moved, **moved}
        return moved

    def task_state(self, number: int, task_id: str) -> StepState:
        """Return the state of the step that a task belongs to, whatever number the step has by now."""
        return of_task(self.states, number, task_id)

    def near_misses(self) -> dict[int, str]:
        """Return, for steps without a line, what to say of the line that nearly is theirs."""
        return spec_md.near_misses(self.spec_bytes())

    def step(self, number: int) -> Step:
        """Return a defined step, built once."""
        if number not in self._steps:
            self._steps[number] = self.plan.step(number)
        return self._steps[number]

    def for_reading(self) -> ProjectView:
        """Take what lies there as it is now, each file looked at once, and known again by the next verb that reads."""
        self.sources = Sources(self.project.path(project.STATE_FOLDER, "cache", "sources.json"))
        self._known = {}
        return self

    def changed(self, number: int, box: Box | None) -> tuple[str, ...]:
        """Return what of a ticked step has changed since it passed."""
        return since_passed(self, number, box, self._known)

    def make(self, step: Step, runner: str) -> Made:
        """Return what MAIN does as it is now, and keep what its digest is made of."""
        now = made(self, step, runner=runner, known=self._known)
        self.made[now.digest] = now
        return now

    def read_again(self) -> None:
        """Take the plan as it lies there now."""
        self.project = project.find(self.project.root)
        self.plan, _ = project.load(self.project, for_run=True)
        self._steps = {}

    def state(self, number: int) -> StepState:
        """Return what the log says of a step."""
        return self.states.get(number, NEW)


def boxes_in(data: bytes) -> dict[int, Box]:
    """Return the boxes of SPEC.md's bytes by number."""
    return {box.number: box for box in spec_md.boxes(data)}


def box_of(desk: ProjectView, number: int) -> Box:
    """Return a step's line in SPEC.md; SpecError when it has none or two."""
    data = desk.spec_bytes()
    try:
        return spec_md.find(data, number)
    except SpecError as error:
        near = number in spec_md.near_misses(data)
        if near or number not in desk.plan.numbers or any(box.number == number for box in spec_md.boxes(data)):
            raise
        raise SpecError(f"{error}, or run: do-tasks --step {number} --append") from None

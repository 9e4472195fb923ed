"""A read-only view of a project: the plan, the boxes of SPEC.md, the states in the log."""

from __future__ import annotations

from contextlib import suppress

from executor.errors import SpecError
from executor.plan.spec import spec_md
from executor.store import log_reader, project
from executor.store.changes import since_passed
from executor.store.fingerprint import fingerprint_main
from executor.store.plan_source import former_names, source_of
from executor.store.sources import Sources
from executor.store.step_state import NEW, of_plan, of_task, renumbered
from executor.store.step_values import NOTHING_GIVEN, lookup_for
from executor.store.ticks import moves
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.model import Step
    from executor.plan.params import Value
    from executor.plan.plan import Plan
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId
    from executor.store.fingerprint import KnownFingerprints
    from executor.store.fingerprint_recipes import Fingerprint
    from executor.store.log_reader import LogState
    from executor.store.plan_source import PlanSource
    from executor.store.project import Project
    from executor.store.step_state import StepState

MOST_FINDS = 4  # steps that are searched one by one; for more the whole file is read
MOST_READS = 20  # of SPEC.md and the log, while a supervisor writes both


def read_consistently(root: str, source: PlanSource, known: LogState) -> tuple[bytes, LogState]:
    """Return SPEC.md's bytes and the fold of the log of the same moment; `known` is an earlier fold.

    A supervisor logs a verdict, writes SPEC.md, then logs the tick. One reading of each file could therefore show a
    tick without its verdict, or an open box whose tick is logged. Bytes that were read between two equal folds fit that
    fold.
    """
    before = log_reader.catch_up(root, known)
    data = b""
    for _ in range(MOST_READS):
        data = source.read()
        after = log_reader.catch_up(root, before)
        if after.states == before.states:
            return data, after
        before = after
    return data, before


class ProjectView:
    """A read-only view of a project."""

    def __init__(
        self, here: Project, plan: Plan, recalled: LogState, *, strict: bool = False, asked_runner: str = ""
    ) -> None:
        """`strict` is True for --strict; `asked_runner` is the runner that the command line names."""
        self.project = here
        self.root = here.root
        self.plan = plan
        self.recalled = recalled
        self.strict = strict or plan.settings.strict
        self.asked_runner = asked_runner
        self.source = source_of(here.root, plan)
        self._names = (*former_names(self.source), plan.settings.plan)
        self.states = self._of_plan(recalled.states)
        self.sources = Sources()
        self.made: dict[str, Fingerprint] = {}
        self._known: KnownFingerprints | None = None
        self._steps: dict[StepId, Step] = {}
        self._filled: dict[StepId, tuple[Mapping[str, object], Step]] = {}
        self.given = NOTHING_GIVEN
        self.moved: dict[StepId, StepId] = {}

    def boxes(self) -> dict[StepId, Box]:
        """Return SPEC.md's boxes by number, and read `states` anew at the same moment."""
        return self.source.boxes(self.spec_bytes())

    def spec_bytes(self) -> bytes:
        """Return SPEC.md's bytes, and read `states` anew at the same moment."""
        data, recalled = read_consistently(self.root, self.source, self.recalled)
        self.use_log(recalled)
        return data

    def survey_boxes(self, data: bytes) -> Mapping[StepId, Box] | LazyBoxes:
        """Return the boxes in the bytes of `spec_bytes`, for a caller that asks for few of them."""
        return self.source.boxes(data) if self.plan.settings.plan else LazyBoxes(data)

    def use_log(self, recalled: LogState) -> None:
        """Replace the fold of the log; states that `follow_numbers` moved are moved again."""
        self.recalled = recalled
        states = self._of_plan(recalled.states)
        self.states = renumbered(states, self.moved) if self.moved else states

    def _of_plan(self, states: Mapping[StepId, StepState]) -> dict[StepId, StepState]:
        """Return the states of this plan by id, also those of the names that it had before."""
        return {number: state for name in self._names for number, state in of_plan(states, name).items()}

    def follow_numbers(self, boxes: Mapping[StepId, Box]) -> dict[StepId, StepId]:
        """Move the states of steps that were renumbered to their new numbers; return the old number of each."""
        moved = moves(boxes, self.states)
        self.states = renumbered(self.states, moved) if moved else self.states
        self.moved = {**self.moved, **moved}
        return moved

    def task_state(self, number: StepId, task_id: str) -> StepState:
        """Return the state of the step that a task belongs to, also when the step was renumbered."""
        return of_task(self.states, number, task_id)

    def near_misses(self) -> Mapping[StepId, str]:
        """Return hints by step: for a step without a line, a line that looks nearly like one."""
        return self.source.near_misses(self.spec_bytes())

    def step(self, number: StepId) -> Step:
        """Return a defined step, built once; one with references is built for the values that hold now."""
        if number in self.plan.referring:
            return self._with_values(number)
        if number not in self._steps:
            self._steps[number] = self.plan.step(number)
        return self._steps[number]

    def _with_values(self, number: StepId) -> Step:
        asked: dict[str, object] = {}
        look = lookup_for(self, number)
        if number in self._filled:
            known, step = self._filled[number]
            if all(look(name) == value for name, value in known.items()):
                return step

        def noted(name: str) -> Value | None:
            asked[name] = value = look(name)
            return value

        step = self.plan.step(number, noted)
        self._filled[number] = (asked, step)
        return step

    def fixed_values(self, number: StepId) -> dict[str, object]:
        """Return the values of the references in a step, by reference."""
        if number not in self.plan.referring:
            return {}
        self.step(number)
        return {name: value for name, value in self._filled[number][0].items() if value is not None}

    def for_reading(self) -> ProjectView:
        """Read each file only once from now on, and keep a cache for the next command that reads."""
        self.sources = Sources(self.project.path(project.STATE_FOLDER, "cache", "sources.json"))
        self._known = {}
        return self

    def known_fingerprints(self) -> KnownFingerprints:
        """Return the known fingerprints: none at each decision of a run, one shared table for commands that read."""
        return {} if self._known is None else self._known

    def changed(self, number: StepId, box: Box | None, known: KnownFingerprints | None = None) -> tuple[str, ...]:
        """Return the changes of a ticked step since it passed."""
        return since_passed(self, number, box, self._known if known is None else known)

    def make(self, step: Step, runner: str, known: KnownFingerprints | None = None) -> Fingerprint:
        """Return the fingerprint of MAIN as it is now, and keep it with its parts."""
        now = fingerprint_main(self, step, runner=runner, known=self._known if known is None else known)
        self.made[now.digest] = now
        return now

    def follow_request(self, *, asked_runner: str, strict: bool = False) -> None:
        """Decide from now on for a command line that names this runner, and perhaps strict."""
        self.asked_runner = asked_runner
        self.strict = self.strict or strict

    def read_again(self) -> None:
        """Read the plan again."""
        named, by_text = self.project.named, self.project.agent_from_text
        self.project = project.find(self.project.root).replace(named=named, agent_from_text=by_text)
        self.plan, _ = project.load(self.project, for_run=True)
        self._steps, self._filled = {}, {}

    def state(self, number: StepId) -> StepState:
        """Return the state of a step in the log."""
        return self.states.get(number, NEW)


class LazyBoxes:
    """The boxes in the bytes of SPEC.md; the first few are searched one by one, when they are asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._known: dict[StepId, Box] = {}
        self._every: dict[StepId, Box] | None = None

    def get(self, number: StepId) -> Box | None:
        """Return the box of a step as `boxes_in` has it, None for a step without a line."""
        if self._every is None and number not in self._known:
            self._find(number)
        return self._known[number] if self._every is None else self._every.get(number)

    def _find(self, number: StepId) -> None:
        """Search one line; read all lines after the first few searches, and when the step has no line or two."""
        if len(self._known) < MOST_FINDS:
            with suppress(SpecError):
                self._known[number] = spec_md.find(self._data, number)
                return
        self._every = boxes_in(self._data)


def boxes_in(data: bytes) -> dict[StepId, Box]:
    """Return the boxes of SPEC.md's bytes by number."""
    return {box.number: box for box in spec_md.boxes(data)}


def box_of(view: ProjectView, number: StepId) -> Box:
    """Return a step's line in SPEC.md; SpecError when it has none or two."""
    data = view.spec_bytes()
    try:
        return view.source.find(data, number)
    except SpecError as error:
        is_there = number in view.source.near_misses(data) or number in view.source.boxes(data)
        if view.plan.tasks is not None or is_there or not view.plan.defines(number):
            raise
        raise SpecError(f"{error}, or run: do-tasks --step {number} --append") from None

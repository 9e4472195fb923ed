"""What can be known without running anything: the plan, the boxes, the log's states, the decision."""

from __future__ import annotations

from executor import files, jobs, spec_file
from executor.errors import DefinitionError, Problem, SpecError
from executor.formats import spec_md
from executor.project import script_path
from executor.recall import Decision, begun_again, decide_box, decide_open, digest_parts
from executor.records import Seen
from executor.state import NEW
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.formats.spec_md import Box
    from executor.plan import Plan
    from executor.project import Project
    from executor.state import StepState
    from executor.steps import Step

READY = ("command",)


class Desk:
    """A project as it lies there: reading it changes nothing."""

    def __init__(self, project: Project, plan: Plan, states: dict[int, StepState]) -> None:
        self.project = project
        self.plan = plan
        self.states = states
        self._steps: dict[int, Step] = {}

    @property
    def root(self) -> str:
        """Folder of SPEC.md, where commands run."""
        return self.project.root

    def boxes(self) -> dict[int, Box]:
        """Return SPEC.md's boxes by number."""
        return {box.number: box for box in spec_md.boxes(spec_file.read(self.project.spec))}

    def step(self, number: int) -> Step:
        """Return a defined step, built once."""
        if number not in self._steps:
            self._steps[number] = self.plan.step(number)
        return self._steps[number]

    def state(self, number: int) -> StepState:
        """Return what the log says of a step."""
        return self.states.get(number, NEW)


def decide(
    desk: Desk, number: int, *, rerun: bool = False, heed_stale: bool = False, box: Box | None = None
) -> Decision:
    """Return what would run for a defined step and why; starts nothing, writes nothing."""
    state = desk.state(number)
    box = box or box_of(desk, number)
    stale = outrun(desk, number) if heed_stale and not begun_again(box, state) else 0
    settled = decide_box(box, state, rerun=rerun)
    if settled and not (stale and settled.action == "done" and state.passed_at):
        return settled
    step = desk.step(number)
    refuse_unrunnable(desk, step)
    seen = jobs.look(desk.root, state.task_id) if state.task_id else Seen()
    digest = main_digest(desk, step)
    decision = decide_open(
        state,
        seen,
        digest=digest,
        on_lost=step.main.on_lost if step.main else "rerun",
        dependency_at=max((desk.state(edge.step).main_at for edge in step.depends_on), default=""),
        rerun=rerun or bool(stale),
    )
    if seen.status == "alive" and decision.main != "adopt":
        decision = decision.replace(stop_run=seen.run)
    why = f"step {stale}, which it depends on, passed after it" if stale else decision.why
    return decision.replace(why=why, digest=digest)


def refuse_unrunnable(desk: Desk, step: Step) -> None:
    """Refuse a step that this version has nothing to run for."""
    main = step.main
    where = f"step_{step.number}_{step.slug}.main"
    if main is None or not (main.script or main.command):
        what = (
            "only an agent, and the agent runner is not part of this version"
            if main and main.agent
            else "nothing to run"
        )
        raise DefinitionError(Problem(desk.project.definitions, f"{what}: give it a script or a command", path=where))
    if main.mode != "normal":
        message = f"mode {main.mode} is not part of this version; run it as mode: normal, or leave the box open"
        raise DefinitionError(Problem(desk.project.definitions, message, path=where))
    runner = main.runner or desk.plan.settings.runner or "command"
    if runner not in READY:
        message = f"runner {runner!r} is not part of this version; leave it out, and its script runs as a command"
        raise DefinitionError(Problem(desk.project.definitions, message, path=where))


def main_digest(desk: Desk, step: Step) -> str:
    """Return the digest of what the step's MAIN does, its written dependencies' included."""
    main = step.main
    if main is None:
        return ""
    path = script_path(desk.project, main.script) if main.script else ""
    below = {edge.step: main_digest(desk, desk.step(edge.step)) for edge in step.depends_on}
    parts = digest_parts(
        step, script=files.read(path) if path else b"", env=desk.plan.settings.env or (), dependencies=below
    )
    return files.digest(repr(parts).encode())[:32]


def outrun(desk: Desk, number: int) -> int:
    """Return a written dependency that passed after this step did, 0 when there is none."""
    mine = desk.state(number).passed_at if desk.plan.gated(number) else ""
    edges = desk.step(number).depends_on if mine else ()
    later = (edge.step for edge in edges if desk.state(edge.step).passed_at > mine)
    return next(later, 0)


def box_of(desk: Desk, number: int) -> Box:
    """Return a step's line in SPEC.md; SpecError when it has none or two."""
    data = spec_file.read(desk.project.spec)
    try:
        return spec_md.find(data, number)
    except SpecError as error:
        if number not in desk.plan.numbers or any(box.number == number for box in spec_md.boxes(data)):
            raise
        raise SpecError(f"{error}, or run: do-tasks --step {number} --append") from None

"""Conflicts between steps that may not run at the same time: over resources, or over files of evidence."""

from __future__ import annotations

import posixpath
from fnmatch import fnmatchcase

from executor.checks import evidence
from executor.plan.references import REFERENCE, metric_of
from executor.store import runs
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.plan.model import Step
    from executor.plan.plan import Plan
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext

GPUS = "gpus"


class Claim(Record):
    """The resources that a step needs or holds.

    `amounts` are its shares of `settings.capacity`, `names` the resources that it needs for itself alone, `devices` its
    GPUs. `globs` find its files of evidence.
    """

    amounts: Mapping[str, int] = {}
    names: frozenset[str] = frozenset()
    globs: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()


class Conflict(Record):
    """The reason why a step cannot start: `holder` has the resource `what`.

    `holder` is the step itself when this machine does not have the resource.
    """

    holder: StepId
    what: str


def claim_of(step: Step) -> Claim:
    """Return the resources that a step needs while it runs: those in its definition, and its files of evidence."""
    main = step.main
    if main is None:
        return Claim()
    globs = dict.fromkeys(posixpath.normpath(glob) for glob in (*evidence.globs(step), *main.outputs))
    return Claim(main.resources, frozenset(main.exclusive), tuple(globs))


def living_claims(context: RunContext) -> dict[StepId, Claim]:
    """Return the claims of the steps whose MAIN is alive: of jobs, of this executor, of an earlier executor."""
    found = {}
    for number in context.plan.numbers:
        state = context.state(number)
        may_live = state.task_id and state.verdict in ("", "started")
        if may_live and runs.newest_status(context.root, state.task_id).status == "alive":
            devices = runs.read_devices(context.root, state.task_id)
            found[number] = claim_of(context.step(number)).replace(devices=devices)
    return found


def conflict_of(claim: Claim, held: Mapping[StepId, Claim], capacity: Mapping[str, int]) -> Conflict | None:
    """Return the first conflict of a claim with the claims that are held now, None when there is none."""
    for number, other in held.items():
        if common := claim.names & other.names:
            return Conflict(number, f"exclusive {min(common)}")
        shared = next((one for one in claim.globs for glob in other.globs if _may_meet(one, glob)), "")
        if shared:
            return Conflict(number, f"the evidence {shared}")
    for name, amount in claim.amounts.items():
        holders = [number for number, other in held.items() if other.amounts.get(name)]
        used = sum(held[number].amounts[name] for number in holders)
        if holders and used + amount > capacity.get(name, 0):
            return Conflict(holders[0], name)
    return None


def _may_meet(one: str, other: str) -> bool:
    """Return True when both globs may find the same file: they are equal, one matches or contains the other."""
    below = one.startswith(f"{other}/") or other.startswith(f"{one}/")
    return one == other or below or fnmatchcase(one, other) or fnmatchcase(other, one)


def visible_devices(context: RunContext) -> tuple[str, ...]:
    """Return the GPUs for the steps of this run: the first of CUDA_VISIBLE_DEVICES, as many as the capacity allows."""
    count = context.plan.settings.capacity.get(GPUS, 0)
    given = context.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in given.split(",")] if given.strip() else map(str, range(count))
    return tuple(names)[:count]


def steps_read(plan: Plan, number: StepId) -> frozenset[str]:
    """Return the ids of the steps whose metrics the condition or the references of a step name."""
    _, body = plan.raw[number]
    condition = body.get("if")
    asked = [str(condition.get("step"))] if isinstance(condition, dict) else []
    found = REFERENCE.findall(repr(body)) if number in plan.referring else ()
    return frozenset((*asked, *(metric[0] for metric in map(metric_of, found) if metric)))


def unmeetable(context: RunContext, number: StepId, claim: Claim) -> Conflict | None:
    """Return the conflict of a step that needs more GPUs than this machine has, None for any other step."""
    wanted = claim.amounts.get(GPUS, 0)
    there = len(visible_devices(context)) if wanted else 0
    what = f"it needs {wanted} GPUs, and there are {there}: see CUDA_VISIBLE_DEVICES and settings.capacity"
    return Conflict(number, what) if wanted > there else None


def choose_devices(context: RunContext, number: StepId, claim: Claim, held: Mapping[StepId, Claim]) -> tuple[str, ...]:
    """Return free GPUs for a step; the GPUs that its task had before, where they are free."""
    count = claim.amounts.get(GPUS, 0)
    if not count:
        return ()
    taken = {device for other in held.values() for device in other.devices}
    free = [device for device in visible_devices(context) if device not in taken]
    before = runs.read_devices(context.root, context.state(number).task_id) if context.state(number).task_id else ()
    return before if len(before) == count and {*before} <= {*free} else tuple(free[:count])

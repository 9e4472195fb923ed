"""The file that holds the boxes of a plan: SPEC.md, or the plan of another tool."""

from __future__ import annotations

import os

from executor.errors import DefinitionError, DoTasksError, Problem, UsageError
from executor.store.spec_file import Change, SpecFile
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from executor.plan.formats.model import PlanTask
    from executor.plan.plan import Plan
    from executor.plan.spec.spec_md import Box, Mark
    from executor.plan.step_ids import StepId
    from executor.store.project import Project

    class PlanSource(Protocol):
        """The boxes of a plan in a file: read, found and marked."""

        name: str
        plan: str  # as the lines of the log name it, empty for SPEC.md
        path: str

        def read(self) -> bytes:
            """Return the bytes that the boxes are read from."""

        def boxes(self, data: bytes) -> dict[StepId, Box]:
            """Return the boxes in bytes of `read`, by step."""

        def find(self, data: bytes, number: StepId) -> Box:
            """Return the box of a step; SpecError when there is none, or when it may not be marked."""

        def near_misses(self, data: bytes) -> Mapping[StepId, str]:
            """Return hints by step: for a step without a line, a line that looks nearly like one."""

        def text_digest(self, number: StepId) -> str:
            """Return the digest of what a task asks for now, empty where the plan says no more than its definitions."""

        def formerly(self) -> tuple[str, ...]:
            """Return the names that the plan had before."""

        def refuse_read_only(self) -> None:
            """Raise MachineError for a file that could not be marked."""

        def mark(self, lock: str, *, number: StepId, state: str, mark: Mark | None, task_id: str = "") -> Change:
            """Write the state of a step, and its mark where there is one."""


SPEC = "SPEC.md"


def source_of(root: str, plan: Plan) -> PlanSource:
    """Return the file of a plan's boxes."""
    if not plan.settings.plan:
        return SpecFile(os.path.join(root, SPEC))
    from executor.store.foreign_plan import ForeignPlan

    return ForeignPlan(root, plan.settings.plan)


def former_names(source: PlanSource) -> tuple[str, ...]:
    """Return the names that a plan of another tool had before; none where it cannot be read."""
    if not source.plan:
        return ()
    try:
        return source.formerly()
    except DoTasksError:  # the command itself reports it
        return ()


def source_here(here: Project) -> PlanSource:
    """Return the file of the boxes of a project; SPEC.md where the definitions cannot be read."""
    from executor.store import project

    try:
        return source_of(here.root, project.load(here)[0])
    except DefinitionError:
        return SpecFile(here.spec)


def with_tasks(root: str, plan: Plan, named: str = "") -> Plan:
    """Return the plan with the tasks of the file that holds its boxes.

    The file is `named`, else `settings.plan`, else SPEC.md, else the only plan file in the folder.

    UsageError for a file outside the project, and for several where none is named.
    """
    name = named or plan.settings.plan
    _refuse_other(root, plan, named)
    if not name and os.path.lexists(os.path.join(root, SPEC)):
        return _numbered(plan)
    if not name:
        from executor.store import plan_files

        found = plan_files.only_at(root)
        if not found:
            return _numbered(plan)
        name = os.path.relpath(found, root)
    name = os.path.normpath(name)
    if os.path.isabs(name):
        name = os.path.relpath(os.path.realpath(name), os.path.realpath(root))
    if name == SPEC:
        return _numbered(plan.replace(settings=plan.settings.replace(plan="")))
    if os.path.isabs(name) or name.split(os.sep)[0] == os.pardir:
        raise UsageError(f"the plan {name} is outside of {root}, the folder of {plan.file}")
    return _arranged(root, plan, name)


def _refuse_other(root: str, plan: Plan, named: str) -> None:
    """Refuse a plan that the command line names where the definitions are for another."""
    if not is_for(root, plan, named):
        theirs = plan.settings.plan or SPEC
        own = os.path.join(os.path.dirname(named), os.path.basename(plan.file))
        move = "" if os.path.normpath(own) != plan.file else "move it to a folder of its own, and "
        command = (
            f"do-tasks import {named if not move else 'FILE'} --scaffold -o {own if not move else 'FOLDER/' + own}"
        )
        raise UsageError(f"{plan.file} is for {theirs}, not for {named}; {move}give that its own: {command}")


def is_for(root: str, plan: Plan, named: str) -> bool:
    """Return True unless the definitions are for another plan than the named one; no name is any plan."""
    has_ids = any(isinstance(number, str) for number in plan.raw)
    theirs = plan.settings.plan or (SPEC if not has_ids and os.path.lexists(os.path.join(root, SPEC)) else "")
    return not (named and theirs) or os.path.normpath(named) == os.path.normpath(theirs)


def _numbered(plan: Plan) -> Plan:
    """Return the plan; DefinitionError for an id that is no number: the steps of SPEC.md have numbers."""
    texts = [number for number in plan.raw if isinstance(number, str)]
    if texts:
        way_out = "name the plan that has it: settings: {plan: FILE}"
        raise DefinitionError(Problem(plan.file, f"id {texts[0]!r}: the steps of SPEC.md have numbers; {way_out}"))
    return plan


def _arranged(root: str, plan: Plan, name: str) -> Plan:
    """Return the plan with the tasks of a document, and its steps in the order of the document."""
    from executor.plan import from_text
    from executor.plan.task_graph import graph_of
    from executor.store import plan_files
    from executor.store.claude_files import USUAL_ROLE

    file = plan_files.load(os.path.join(root, name))
    graph = graph_of(file.document)
    given = {str(number): (key if isinstance(number, str) else f"step_{number}_{key}", body)
             for number, (key, body) in plan.raw.items()}  # fmt: skip
    if plan.settings.agent_from_text:
        given = {**from_text.definitions(graph, USUAL_ROLE), **given}
    last = len(graph.place)
    raw = {
        number: (key, {**body, **_of_task(graph.tasks.get(number), body, key)})
        for number, (key, body) in sorted(given.items(), key=lambda one: graph.place.get(one[0], last))
    }
    referring = frozenset(map(str, plan.referring))
    companions = file.format.companions(file.name, file.files[file.name])
    base = os.path.relpath(file.folder, os.path.realpath(root) if os.path.islink(root) else root)
    globs = tuple(os.path.normpath(os.path.join(base, one)) for one in companions)
    settings = plan.settings.replace(plan=name, protect=(*plan.settings.protect, name, *globs))
    return plan.replace(raw=raw, tasks=graph, referring=referring, settings=settings)


def _of_task(task: PlanTask | None, body: Mapping[str, object], key: str) -> dict[str, str]:
    """Return the title of a task, where the definitions have none, and the digest of its text."""
    from executor.plan.formats.model import text_digest

    title = str(body.get("title") or (task.title if task else "") or key.replace("_", " "))
    return {"title": title, "text": text_digest(task.text) if task else ""}

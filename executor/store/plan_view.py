"""A plan as do-tasks sees it: its file, the dependencies of its definitions, the states of its side file."""

from __future__ import annotations

import os

from executor.errors import UsageError
from executor.plan.formats import side_file, spec
from executor.store import plan_files, plan_source, project, side_files
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.plan.formats.model import PlanDocument
    from executor.plan.plan import Plan
    from executor.store.plan_files import PlanFile


def document_at(path: str) -> PlanDocument:
    """Return the tasks of the plan in a file, with what do-tasks knows of them."""
    return document_of(plan_files.load(path))


def document_of(file: PlanFile) -> PlanDocument:
    """Return the tasks of a plan that was read, with what do-tasks knows of them."""
    if file.document.format == spec.NAME:
        return file.document  # all of it stands in SPEC.md, and `plan_files.load` reads its definitions
    try:
        here = project.find_for(file.path, ".")
    except UsageError:  # no definitions
        root = plan_files.home_of(file.path)
        return _with_states(file.document, root, os.path.relpath(os.path.abspath(file.path), root))
    document = _with_states(file.document, here.root, here.named)
    plan, _ = project.load_definitions(here)
    return _with_edges(document, plan) if plan_source.is_for(here.root, plan, here.named) else document


def _with_states(document: PlanDocument, root: str, name: str) -> PlanDocument:
    """Return the plan with the states of its side file, where there is one."""
    name = os.path.normpath(name)
    stored = side_files.find(root, name, document)
    return side_file.with_states(document, side_files.read(stored, name)) if stored.data else document


def _with_edges(document: PlanDocument, plan: Plan) -> PlanDocument:
    """Return the plan with the dependencies that definitions write: they go before those of the plan and its order."""
    edges = {
        str(number): tuple(str(edge.step) for edge in plan.step(number).depends_on)
        for number, (_, body) in plan.raw.items()
        if body.get("depends_on") is not None
    }
    tasks = (
        task.replace(depends_on=edges[task.id], free=True, after_phase=False) if task.id in edges else task
        for task in document.tasks
    )
    return document.replace(tasks=tuple(tasks)) if edges else document

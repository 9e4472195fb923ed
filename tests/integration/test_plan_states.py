"""Each state of a task is read again as it was marked, by the format's own mark or by the side file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from executor.plan.formats import registry, side_file
from executor.plan.formats.model import DONE, FAILED, STARTED, MarkError, TaskMark
from executor.plan.formats.side_file import SideFile
from executor.store import plan_files, plan_writer

CASES = sorted((Path(__file__).resolve().parents[1] / "golden" / "formats").glob("*/case.json"))
SPEC = "- [ ] **STEP 1**: One\n- [ ] **STEP 2**: Two\n"
RUN = "task_1_0123abcd"


@pytest.fixture(params=[None, *CASES], ids=lambda path: path.parent.name if path else "spec")
def plan(request, tmp_path):
    """A copy of a plan of each format."""
    if request.param is None:
        (tmp_path / "SPEC.md").write_text(SPEC, encoding="utf-8")
        return tmp_path / "SPEC.md"
    shutil.copytree(request.param.parent / "before", tmp_path / "plan")
    return tmp_path / "plan" / json.loads(request.param.read_text(encoding="utf-8"))["plan"]


def marked(plan, side, name, state):
    """Return the side file behind a mark, as a run writes both."""
    mark = TaskMark(state, RUN, "2026-12-01 10:00", time_utc="2026-12-01T09:00:00.000Z")
    try:
        task = plan_writer.write_mark(str(plan), str(plan.parent / "lock"), name, mark)
    except MarkError:
        task = plan_writer.find(plan_files.load(str(plan)), name)
    return side_file.decoded(side_file.encoded(side_file.with_mark(side, task, mark)), side.plan)


def state_of(plan, side, name):
    document = side_file.with_states(plan_files.load(str(plan)).document, side)
    return next(task.state for task in document.tasks if task.id == name)


def open_task(plan):
    tasks = plan_files.load(str(plan)).document.tasks
    return next(task.id for task in tasks if task.state == "open" and not task.ambiguous)


@pytest.mark.parametrize("states", [(STARTED, FAILED, DONE, STARTED), (FAILED, DONE, FAILED)])
def test_a_state_is_read_as_it_was_marked(plan, states):
    name, side = open_task(plan), SideFile(plan.name)
    for state in states:
        side = marked(plan, side, name, state)
        assert state_of(plan, side, name) == state


def test_each_format_is_tried():
    tried = {plan_files.load(str(one.parent / "before" / json.loads(one.read_text())["plan"])).format for one in CASES}
    assert {one.name for one in registry.formats()} == {one.name for one in tried} | {"spec.md"}

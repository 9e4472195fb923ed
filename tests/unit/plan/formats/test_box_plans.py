"""Hold plans with boxes to one rule: a mark changes its line alone, in the bytes and in the rendered document."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.plan.formats.epic import Epic
from executor.plan.formats.flow import Flow
from executor.plan.formats.kiro import Kiro
from executor.plan.formats.model import DONE, FAILED, OPEN, STARTED, MarkError, TaskMark
from executor.plan.formats.openspec import OpenSpec
from executor.plan.formats.registry import format_of
from executor.plan.formats.spec_kit import SpecKit
from tests.unit.plan.formats import oracle
from tests.unit.plan.formats.test_markdown_lines import documents

FORMATS = [SpecKit(), OpenSpec(), Kiro(), Epic(), Flow()]


def tasks_of(form, data, path="tasks.md"):
    return form.read(path, {path: data}).tasks


def marked(form, data, task, state):
    return form.write("tasks.md", {"tasks.md": data}, task, TaskMark(state, "task_1_0a1b2c3d", "2026-11-22 10:30"))


def changes_one_line(data, form, state, choice):
    tasks = tasks_of(form, data)
    if not tasks:
        return
    task = choice.draw(st.sampled_from(tasks))
    try:
        after = marked(form, data, task, state).get("tasks.md", data)
    except MarkError:
        return
    assert not task.ambiguous
    changed = [
        at for at, (old, new) in enumerate(zip(data.split(b"\n"), after.split(b"\n"), strict=True)) if old != new
    ]
    if form.name == "flow":  # a sign stands at the end of an item's last line
        assert len(changed) <= 2
        assert set(changed) <= {*range(task.line - 1, task.line + 11)}
    else:
        assert changed in ([], [task.line - 1])
    seen = zip(oracle.rendered(data), oracle.rendered(after), strict=True)
    assert sum(old != new for old, new in seen) <= len(changed)
    again = tasks_of(form, after)
    assert [one.state for one in again if one.line != task.line] == [
        one.state for one in tasks if one.line != task.line
    ]
    now = next(one for one in again if one.line == task.line)
    assert now.state == (OPEN if state == FAILED else state)
    assert (now.id, now.text, now.digest) == (task.id, task.text, task.digest)
    assert marked(form, after, now, state) == {}


@given(documents(), st.sampled_from(FORMATS), st.sampled_from([DONE, FAILED, STARTED]), st.data())
def test_a_mark_changes_one_line_and_a_second_one_nothing(data, form, state, choice):
    changes_one_line(data, form, state, choice)


@pytest.mark.deep
@given(documents(), st.sampled_from(FORMATS), st.sampled_from([DONE, FAILED, STARTED]), st.data())
def test_marks_in_many_documents_change_one_line(data, form, state, choice):
    changes_one_line(data, form, state, choice)


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("plan.md", "- [ ] T001 a\n", "spec-kit"),
        ("plan.md", "### T001: a\n", "spec-kit"),
        ("plan.md", "#### Task 1.1: a\n**ID**: T-001\n", "spec-kit"),
        ("plan.md", "- [ ] Task #1: a (Issue #71)\n", "epic"),
        ("plan.md", "- [ ] #71\n", "epic"),
        ("plan.md", "- [ ] https://github.com/o/r/issues/71\n", "epic"),
        ("plan.md", "#### Issue #71: a\n- **State:** OPEN\n", "epic"),
        ("plan.md", "## Active Tasks\n\n### 🔴 a ⏳\n", "flow"),
        ("plan.md", "## Upcoming Tasks\n- [ ] Step 1\n", "flow"),
        ("plan.md", "## 1. Work\n- [ ] 1.1 a\n", "openspec"),
        ("tasks.md", "- [ ] a\n", "openspec"),
        ("plan.md", "# Implementation Plan\n- [ ] 1. a\n", "kiro"),
        (".kiro/specs/x/tasks.md", "- [ ] 1.1 a\n", "kiro"),
        ("plan.md", "- [ ] 1. a\n  - [ ] 1.1 b\n", "kiro"),
    ],
)
def test_a_format_is_found_by_its_content(path, text, name):
    assert format_of(path, text.encode()).name == name


def test_a_line_that_was_changed_meanwhile_is_refused():
    data = b"- [ ] T001 a\n- [ ] T002 b\n"
    task = tasks_of(SpecKit(), data)[0]
    with pytest.raises(MarkError, match="has changed"):
        marked(SpecKit(), data.replace(b"a", b"c"), task, DONE)
    with pytest.raises(MarkError, match="no longer there"):
        marked(SpecKit(), b"- [ ] T002 b\n", task, DONE)


def test_a_line_that_moved_meanwhile_is_marked_where_it_is():
    data = b"- [ ] T001 a\n- [ ] T002 b\n"
    task = tasks_of(SpecKit(), data)[1]
    assert marked(SpecKit(), b"# New\n\n" + data, task, DONE) == {"tasks.md": b"# New\n\n- [ ] T001 a\n- [X] T002 b\n"}


@pytest.mark.parametrize(
    ("line", "edges"),
    [
        ("(depends on T002, T003)", ("T002", "T003")),
        ("After T002 and T004", ("T002", "T004")),
        ("after T002-T004", ("T002", "T003", "T004")),
        ("blocked by **T002** & T003", ("T002", "T003")),
        ("requires tasks T002, T003, and T004", ("T002", "T003", "T004")),
        ("depends on\n  T002,\n  T003", ("T002", "T003")),
        ("mentions T002", ()),
        ("thereafter T002", ()),
        ("depends on T001", ()),
    ],
)
def test_edges_stand_in_sentences(line, edges):
    data = f"- [ ] T001 a {line}\n- [ ] T002 b\n- [ ] T003 c\n- [ ] T004 d\n".encode()
    assert tasks_of(SpecKit(), data)[0].depends_on == edges


def test_a_range_in_one_line_is_what_others_depend_on():
    data = "- [ ] T066a–T066c many\n- [ ] T067 one (depends on T066b)\n".encode()
    assert [task.id for task in tasks_of(SpecKit(), data)] == ["T066a–T066c", "T067"]
    assert tasks_of(SpecKit(), data)[1].depends_on == ("T066a–T066c",)


def test_a_task_that_is_read_late_equals_the_one_read_at_once():
    task, other = tasks_of(SpecKit(), b"- [ ] T001 a\n"), tasks_of(SpecKit(), b"- [ ] T001 a\n")
    assert task == other
    assert hash(task) == hash(other)
    assert task[0].replace(state=DONE).state == DONE
    assert repr(task[0]).startswith("PlanTask(id='T001'")
    assert task[0].asdict()["title"] == "a"


def test_checklists_and_the_constitution_are_gates_that_are_never_marked():
    files = {
        "tasks.md": b"- [ ] T001 a\n",
        "checklists/ux.md": b"- [x] CHK001 one\n- [ ] CHK002 two\n",
        "../../.specify/memory/constitution.md": b"## Core\n\n### I. Tests first\n",
    }
    document = SpecKit().read("tasks.md", files)
    assert [(one.title, one.state) for one in document.gates] == [
        ("CHK001 one", DONE),
        ("CHK002 two", OPEN),
        ("I. Tests first", OPEN),
    ]
    with pytest.raises(MarkError, match="never marked"):
        SpecKit().write("tasks.md", files, document.gates[1], TaskMark(DONE))


@pytest.mark.parametrize(
    ("sign", "state"), [("✅", DONE), ("✅ COMPLETE", DONE), ("✅ COMPLETE (partial tests)", STARTED)]
)
def test_a_heading_shows_a_state(sign, state):
    (task,) = tasks_of(SpecKit(), f"### T001: a {sign}\n".encode())
    assert (task.title, task.state) == ("a", state)


@given(documents(), st.sampled_from(FORMATS))
def test_fields_that_are_derived_at_once_are_those_derived_one_by_one(data, form):
    plan = form.source("tasks.md", data)
    for name, values in plan.fields_of_all().items():
        assert [*values] == [getattr(plan, name)(place) for place in range(len(plan.rows))], name


def test_what_a_section_says_of_dependencies_holds_for_tasks_whose_own_lines_name_none():
    text = "- [ ] T001 One\n- [ ] T002 [P] Two\n\n## Dependencies\n\n- T002 depends on T001\n"
    document = SpecKit().read("tasks.md", {"tasks.md": text.encode()})
    assert [task.depends_on for task in document.tasks] == [(), ("T001",)]


@pytest.mark.parametrize("status", ["- - **Status**: 🟡 To Do", "1. - **Status**: 🟡 To Do", "- **Status**: 🟡 To Do"])
def test_the_text_of_a_flow_task_holds_no_state_however_deep_its_status_stands(status):
    data = f"## Active Tasks\n\n### 🔴 Title ⏳\n{status}\n- - [ ] Part\n".encode()
    form = Flow()
    task = tasks_of(form, data)[0]
    after = marked(form, data, task, DONE)["tasks.md"].replace(b"[ ]", b"[x]")
    now = tasks_of(form, after)[0]
    assert (now.state, now.text, now.digest) == (DONE, task.text, task.digest)

"""Hold plans of Flow to their states by words, boxes and signs, in both spellings of emoji."""

from __future__ import annotations

import pytest

from executor.plan.formats import flow_signs
from executor.plan.formats.flow import Flow
from executor.plan.formats.model import BLOCKED, CANCELLED, DONE, OPEN, STARTED, MarkError, TaskMark


def read(text):
    return Flow().read("tasks.md", {"tasks.md": text.encode()})


def marked(text, state=DONE, at=0):
    files = {"tasks.md": text.encode()}
    task = Flow().read("tasks.md", files).tasks[at]
    return (
        Flow()
        .write("tasks.md", files, task, TaskMark(state, "task_F_1_0a1b2c3d", "2026-11-22 10:30"))["tasks.md"]
        .decode()
    )


@pytest.mark.parametrize(
    ("value", "state"),
    [
        *((value, OPEN) for value in ("TODO", "Open", "Planning", "Conceptual", "Not started", "Upcoming", "🟡 To Do")),
        *((value, OPEN) for value in ("Future", "Not done", "not complete yet", "Incomplete: open")),
        *((value, STARTED) for value in ("In Progress", "🟡 Active", "🟢 Active <# resumed 2025-04-06 #>", "80% done")),
        *((value, STARTED) for value in ("Partially done", "🔄 Review")),
        *((value, DONE) for value in ("✅ Done", "DONE 2025-04-04", "Completed", "✅")),
        ("🚩 Blocked", BLOCKED),
        ("Cancelled", CANCELLED),
    ],
)
@pytest.mark.parametrize("spelling", [str, flow_signs.mangled], ids=["as written", "mangled"])
def test_a_status_is_read(value, state, spelling):
    (task,) = read(f"## Active Tasks\n\n### A task\n- **Status**: {spelling(value)}\n").tasks
    assert (task.title, task.state, task.line) == ("A task", state, 4)


@pytest.mark.parametrize(
    ("line", "title", "state"),
    [
        ("- **Title**: 🟡 ⏳", "Title", STARTED),
        ("- #### Title", "Title", OPEN),
        ("- ### 🟠 Title", "Title", OPEN),
        ("- ⏳ Title (`a/b.py`)", "Title (`a/b.py`)", OPEN),
        ("- ⏳ **Title**: 🟡 Active", "Title", STARTED),
        ("- [ ] Title", "Title", OPEN),
        ("- [x] Title ✅ <# Done 2025-04-03 #>", "Title", DONE),
        ("- [✅] Title", "Title", DONE),
        ("### Title ✅ 2025-04-03", "Title", DONE),
        ("- 🚩 Title", "Title", BLOCKED),
        ("- [x] Title ✅ <# Done\n  2025-04-03 #>", "Title", DONE),
        ("- [?] Title", "Title", OPEN),
    ],
)
@pytest.mark.parametrize("spelling", [str, flow_signs.mangled], ids=["as written", "mangled"])
def test_an_item_of_any_shape_is_read(line, title, state, spelling):
    (task,) = read(f"## Upcoming Tasks\n\n{spelling(line)}\n").tasks
    assert (task.title, task.state) == (title, state)


@pytest.mark.parametrize(
    "text",
    [
        "## Guidelines\n- ⏳ In progress\n- ✅ Completed\n\n## Active Tasks\n",
        "## Task Template (copy)\n### ⚪ Short\n* **Status:** TODO\n  * [ ] Step 1\n\n## Active Tasks\n",
        "## Active Tasks\n\n### 🔴 High Priority\n",
        "## Active Tasks\n\n```\n- [ ] an example\n```\n",
    ],
)
def test_legends_templates_and_groups_are_no_tasks(text):
    assert read(text).tasks == ()


def test_an_id_stays_when_a_task_moves_or_is_done():
    before = read("## Upcoming Tasks\n\n### 🟠 Train it ⏳\n- [ ] A part\n").tasks
    after = read("## Completed Tasks\n\n### 🟠 Train it ✅ 2026-01-01\n- [x] A part ✅ <# Done #>\n").tasks
    assert [task.id for task in before] == [task.id for task in after]
    assert before[1].parent == before[0].id


@pytest.mark.parametrize(
    ("before", "state", "after"),
    [
        ("- [ ] A", DONE, "- [x] A ✅ <# Done 2026-11-22 task_F_1_0a1b2c3d #>"),
        ("- [ ] A\n  b", DONE, "- [x] A\n  b ✅ <# Done 2026-11-22 task_F_1_0a1b2c3d #>"),
        ("- [x] A ✅ <# Done 2025-01-01 task_F_1_11111111 #>", "failed", "- [ ] A"),
        ("- [x] A ✅ 2025-01-01", "failed", "- [ ] A"),
        ("### A", DONE, "### A ✅ 2026-11-22 <# task_F_1_0a1b2c3d #>"),
        ("### A ⏳", DONE, "### A ✅ 2026-11-22 <# task_F_1_0a1b2c3d #>"),
        ("- ⏳ A", DONE, "- ✅ A <# Done 2026-11-22 task_F_1_0a1b2c3d #>"),
        ("- **A**", STARTED, "- **A** ⏳"),
        ("### A ✅ 2025-01-01", "failed", "### A"),
        ("### A\n- **Status**: TODO", DONE, "### A\n- **Status**: ✅ Done <# 2026-11-22 task_F_1_0a1b2c3d #>"),
        ("### A\n* **Status:** TODO <# x #>", STARTED, "### A\n* **Status:** In Progress <# x #>"),
        ("### A\n- **Status**: ✅ Done <# 2025-01-01 task_1_1 #>", "failed", "### A\n- **Status**: 🟡 To Do"),
    ],
)
@pytest.mark.parametrize("eol", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_mark_is_written_in_the_shape_of_the_task(before, state, after, eol):
    head = "## Active Tasks\n\n"
    assert marked((head + before + "\n").replace("\n", eol), state) == (head + after + "\n").replace("\n", eol)


def test_a_box_has_no_mark_for_a_start():
    with pytest.raises(MarkError, match="no mark for started"):
        marked("## Active Tasks\n- [ ] A\n", STARTED)


def test_a_mark_is_written_in_the_spelling_of_the_file():
    text = flow_signs.mangled("## Active Tasks\n\n### 🔴 A\n")
    assert marked(text) == flow_signs.mangled("## Active Tasks\n\n### 🔴 A ✅ 2026-11-22 <# task_F_1_0a1b2c3d #>\n")


def test_states_that_conflict_are_reported_and_the_status_counts():
    document = read(
        "## Active Tasks\n\n- [x] A\n  - **Status**: In Progress\n- ⏳ B ✅ 2025-04-03\n  - **Status**: ✅ Done\n"
    )
    assert [task.state for task in document.tasks] == [STARTED, DONE]
    assert [(one.line, one.kind) for one in document.findings] == [(3, "states-differ"), (5, "states-differ")]


def test_edges_are_titles_and_a_title_of_no_task_is_reported():
    text = "## Active Tasks\n\n### Train, then measure\n### Serve\n- **Depends on**: Nothing here\n"
    document = read(text + "### Log\n- *Prerequisite for: Serve*\n")
    _, serve, log = document.tasks
    assert set(serve.depends_on) == {log.id}
    assert {one.kind for one in document.findings} == {"unknown-dependency"}
    exact = read("## Active Tasks\n\n### Train, then measure\n### Serve\n- **Depends on**: Train, then measure\n").tasks
    assert exact[1].depends_on == (exact[0].id,)

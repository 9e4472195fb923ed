"""Tasks of Backlog.md: values of the front matter change, the file's name and id never."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.plan.formats.backlog import BacklogMd
from executor.plan.formats.model import MarkError, TaskMark

FORMAT = BacklogMd()
ONE = b"""---
id: BACK-7
title: Toy
status: To Do
assignee: []
created_date: '2026-01-01'
x_unknown: {a: [1, 'To Do']}
dependencies: [back-3]
---
## Acceptance Criteria
<!-- AC:BEGIN -->
- [ ] #1 It moves
- [ ] #2 It stops
<!-- AC:END -->
"""
OTHER = ONE.replace(b"BACK-7", b"BACK-3").replace(b"[back-3]", b"[]").replace(b"Toy", b"Parts")
FILES = {"back-7 - Toy.md": ONE, "back-3 - Parts.md": OTHER, "notes.md": b"# Notes\n"}


def task_of(files=FILES, name="BACK-7"):
    return next(one for one in FORMAT.read("back-7 - Toy.md", files).tasks if one.id == name)


def write(files, state="done", task=None, **more):
    return FORMAT.write("back-7 - Toy.md", files, task or task_of(files), TaskMark(state, **more))


def test_all_tasks_of_the_folder_are_read_in_order():
    found = FORMAT.read("back-7 - Toy.md", FILES).tasks
    assert [(one.id, one.file, one.depends_on) for one in found] == [
        ("BACK-3", "back-3 - Parts.md", ()),
        ("BACK-7", "back-7 - Toy.md", ("BACK-3",)),
    ]


def test_the_status_and_the_proven_criterion_change_and_nothing_else():
    assert write(FILES, proven=(2,)) == {
        "back-7 - Toy.md": ONE.replace(b"status: To Do", b"status: Done").replace(b"[ ] #2", b"[x] #2")
    }


def test_a_second_mark_changes_nothing():
    assert write(FILES | write(FILES)) == {}


def test_the_spelling_of_the_other_tasks_is_kept():
    files = FILES | {"back-3 - Parts.md": OTHER.replace(b"To Do", b"DONE")}
    assert b"status: DONE\n" in write(files)["back-7 - Toy.md"]


PIECES = st.sampled_from(
    [
        "## Acceptance Criteria",
        "<!-- AC:BEGIN -->",
        "- [ ] #1 a",
        "- [x] #2 b",
        "  more",
        "```",
        "<!--",
        "-->",
        "status: To Do",
        "---",
        "",
        "## Implementation Notes",
        "1. [ ] c",
    ]
)
KEYS = st.lists(
    st.sampled_from(["updated_date: '2026-01-05'", "priority: high", "x: {status: To Do}", "# status: To Do"]),
    unique=True,
)


@given(
    keys=KEYS,
    status=st.sampled_from(["To Do", "'To Do'", '"In Progress"', "to do  # by hand"]),
    body=st.lists(PIECES, max_size=10),
    end=st.sampled_from(["\n", "\r\n"]),
    proven=st.sets(st.integers(1, 3)),
)
def test_a_mark_is_minimal_and_the_second_changes_nothing(keys, status, body, end, proven):
    text = end.join(["---", "id: BACK-7", "title: Toy", f"status: {status}", "assignee: []", *keys, "---", *body])
    files = {"back-7 - Toy.md": text.encode(), "back-3 - Parts.md": OTHER}
    task = task_of(files)
    mark = {"time": "2026-11-22 10:30", "proven": tuple(proven)}
    after = write(files, task=task, **mark)["back-7 - Toy.md"]
    pairs = zip(text.encode().split(b"\n"), after.split(b"\n"), strict=True)
    changed = [(old, new) for old, new in pairs if old != new]
    assert b"Done" in changed[0][1]
    for old, new in changed[1:]:
        assert new in (old.replace(b"[ ]", b"[x]", 1), b"updated_date: '2026-11-22'" + b"\r" * (end == "\r\n"))
    again = task_of({**files, "back-7 - Toy.md": after})
    assert again == task.replace(state="done")
    assert write({**files, "back-7 - Toy.md": after}, task=again, **mark) == {}


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (ONE.replace(b"It moves", b"It flies"), "has changed since it was read"),
        (ONE.replace(b"BACK-7", b"BACK-8"), "no longer there"),
        (ONE.replace(b"title: Toy\n", b"title: Toy\nstatus: Done\n"), "no longer there"),
        (ONE.replace(b"status: To Do", b"status: |\n  To Do"), "of another form"),
    ],
)
def test_a_file_that_changed_is_refused(now, reason):
    with pytest.raises(MarkError, match=reason):
        write({**FILES, "back-7 - Toy.md": now}, task=task_of())


def test_a_failure_has_no_status():
    with pytest.raises(MarkError, match="no status for failed"):
        write(FILES, "failed")


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("back-7 - Toy.md", ONE, True),
        ("back-7 - Toy.md", ONE.replace(b"\n", b"\r\n"), True),
        ("T001-start.md", ONE.replace(b"BACK-7", b"T001"), False),
        ("page.md", b"---\nid: a-1\ntitle: x\nstatus: y\n---\n", False),
        ("tasks.md", b"- [ ] T001 x\n", False),
        ("back.md", b"\xff\xfe---\n", False),
    ],
)
def test_the_format_is_told_by_content(path, data, expected):
    assert FORMAT.matches(path, data) is expected

"""A `.tasks` folder: the manifest is the truth, and a crash between two writes loses nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.plan.formats.dot_tasks import DotTasks
from executor.plan.formats.dot_tasks_figures import figures
from executor.plan.formats.metadata import metadata_of, with_value
from executor.plan.formats.model import MarkError, TaskMark
from executor.plan.formats.task_files import task_file

FORMAT = DotTasks()
NOW = "2026-11-22T09:30:00.000Z"
FILE = b"""---
id: T002
title: Middle
status: pending   # by hand
dependencies: [T001]
---

## Acceptance Criteria
1. [ ] The middle is there
2. [ ] It is tested
"""


def folder(**more):
    entries = [
        {"id": "T001", "title": "Start", "status": "completed", "file": "tasks/T001.md", "depends_on": []},
        {"id": "T002", "title": "Middle", "status": "pending", "file": "tasks/T002.md", "depends_on": ["T001"]},
    ]
    manifest = {"tasks": entries, "stats": {"total_tasks": 2, "completed": 1, "pending": 1}}
    return {
        "manifest.json": json.dumps(manifest, indent=2).encode(),
        "tasks/T002.md": FILE,
        "metrics.json": b'{"project_metrics": {"completed_tasks": 1}, "task_completion_history": []}',
        **more,
    }


def task_of(files, name="T002"):
    return next(one for one in FORMAT.read("manifest.json", files).tasks if one.id == name)


def write(files, state, run="task_T002_0000000a", task=None, **more):
    task = task or task_of(files)
    return FORMAT.write("manifest.json", files, task, TaskMark(state, task_id=run, time_utc=NOW, **more))


def test_the_order_of_writes_is_update_task_file_metrics_manifest():
    names = [*write(folder(), "done", proven=(1,))]
    assert names[0].startswith("updates/agent_do-tasks_20261122T093000000Z_T002_")
    assert names[1:] == ["tasks/T002.md", "metrics.json", "manifest.json"]


def test_only_proven_criteria_are_ticked():
    after = write(folder(), "done", proven=(2,))["tasks/T002.md"]
    assert after == FILE.replace(b"pending", b"completed").replace(b"2. [ ]", b"2. [x]")


def test_of_two_runs_that_start_one_task_the_second_is_refused():
    before = folder()
    seen_by_both = task_of(before)
    after = before | write(before, "started", task=seen_by_both)
    with pytest.raises(MarkError, match=r"T002 is claimed by do-tasks since 2026-11-22T09:30:00\.000Z"):
        write(after, "started", run="task_T002_0000000b", task=seen_by_both)
    with pytest.raises(MarkError, match="claimed"):
        write(after, "done", run="task_T002_0000000b", task=seen_by_both)
    assert write(after, "started") == {}
    assert task_of(after | write(after, "done")).state == "done"


def test_what_a_person_reopened_stays_open():
    after = folder() | write(folder(), "done")
    manifest = after["manifest.json"]
    at = manifest.rfind(b'"status": "completed"')
    after["manifest.json"] = manifest[:at] + b'"status": "pending"' + manifest[at + 21 :]
    assert task_of(after).state == "open"
    assert unapplied_in(after) == []


def unapplied_in(files):
    return [one.message for one in FORMAT.read("manifest.json", files).findings if one.kind == "unapplied-update"]


@pytest.mark.parametrize(
    ("update", "found"),
    [
        ({"new_status": "completed", "timestamp": "2026-02-03T00:00:00Z"}, 1),
        ({"new_status": "in_progress", "timestamp": "2026-02-03T00:00:00Z"}, 1),
        ({"new_status": "finished?", "timestamp": "2026-02-03T00:00:00Z"}, 0),
        ({"new_status": "pending", "timestamp": "2026-02-03T00:00:00Z"}, 0),
        ({"new_status": "completed", "timestamp": "2026-02-03T00:00:00Z", "task_id": "T077"}, 0),
    ],
)
def test_an_update_of_another_tool_is_named_and_never_applied(update, found):
    value = {"agent_id": "y", "action": "complete", "task_id": "T002", **update}
    files = folder(
        **{"updates/agent_y_1.json": json.dumps(value).encode(), "updates/x.json": b"{", "updates/y.json": b"3"}
    )
    assert task_of(files).state == "open"
    assert len(unapplied_in(files)) == found


def test_an_older_update_takes_nothing_back():
    update = {"task_id": "T001", "new_status": "in_progress", "timestamp": "2026-01-01", "action": "claim"}
    files = folder(**{"updates/a.json": json.dumps(update).encode()})
    assert unapplied_in(files) == []


SLUGS = b'{\n  "tasks": [\n    {\n      "id": 1,\n      "slug": "doctor",\n      "status": "todo"\n    }\n  ]\n}\n'


def test_the_dialect_with_slugs_changes_its_one_value():
    (task,) = FORMAT.read("manifest.json", {"manifest.json": SLUGS}).tasks
    assert (task.id, task.title, task.state) == ("1", "doctor", "open")
    changed = write({"manifest.json": SLUGS}, "done", task=task)
    assert changed["manifest.json"] == SLUGS.replace(b"todo", b"done")


@pytest.mark.parametrize("metrics", [b"{", b"[]", b'{"project_metrics": 3, "project_metrics": {}}', b"\xff"])
def test_figures_that_cannot_be_read_stay_and_hold_no_mark_up(metrics):
    files = folder(**{"metrics.json": metrics})
    assert "metrics.json" not in write(files, "done") or json.loads(write(files, "done")["metrics.json"])
    assert task_of(files | write(files, "done")).state == "done"


@pytest.mark.parametrize("manifest", [b"{", b"[]", b'{"tasks": 3}', b'{"tasks": [3, {"id": null}]}', b"\xff"])
def test_a_manifest_that_is_none_has_no_tasks(manifest):
    assert not [task for task in FORMAT.read("manifest.json", folder(**{"manifest.json": manifest})).tasks if task.id]


def test_the_spelling_of_the_manifest_is_kept():
    files = folder()
    files["manifest.json"] = files["manifest.json"].replace(b"completed", b"complete")
    assert b'"status": "complete",\n      "completed_at"' in write(files, "done")["manifest.json"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [(SLUGS, True), (folder()["manifest.json"], True), (b'{"tasks": []}', True), (b'{"name": "web app"}', False)],
)
def test_the_format_is_told_by_content(data, expected):
    assert FORMAT.matches("manifest.json", data) is expected


@pytest.mark.parametrize(
    ("entry", "in_file", "expected"),
    [
        ({"depends_on": ["T001"]}, b"dependencies: [T009]", ("T001",)),
        ({"depends_on": []}, b"dependencies: [T009]", ()),
        ({}, b"dependencies: [T009]", ("T009",)),
        ({}, b"tags: []", ("T008",)),
    ],
)
def test_dependencies_come_from_the_manifest_then_the_file_then_the_graph(entry, in_file, expected):
    value = {"id": "T002", "title": "Middle", "status": "pending", "file": "tasks/T002.md", **entry}
    manifest = {"tasks": [value], "dependency_graph": {"T002": {"depends_on": ["T008"]}}}
    data = FILE.replace(b"dependencies: [T001]", in_file)
    files = {"manifest.json": json.dumps(manifest).encode(), "tasks/T002.md": data}
    assert task_of(files).depends_on == expected


def test_the_figures_are_sums_over_completed_tasks():
    values = [
        {
            "id": 1,
            "status": "completed",
            "estimated_hours": 2,
            "actual_hours": 3,
            "estimated_tokens": 100,
            "actual_tokens": 150,
        },
        {"id": 2, "status": "done", "started_at": "2026-01-01T08:00:00Z", "completed_at": "2026-01-01T09:00:00Z"},
        {"id": 3, "status": "pending", "estimated_hours": 9, "estimated_tokens": 9},
        {"id": 4, "status": "in_progress", "started_at": "yesterday"},
    ]
    file = task_file("T.md", FILE.replace(b"1. [ ]", b"1. [x]"))
    found = figures(values, [file], 1)
    assert (found["completed_tasks"], found["progress_percentage"]) == (2, 50.0)
    assert (found["estimated_hours"], found["actual_hours"]) == (2, 3)
    assert (found["actual_tokens"], found["token_percentage"]) == (150, 150.0)
    assert found["average_duration_hours"] == 2.0
    assert (found["rework_percentage"], found["criteria_coverage_percentage"]) == (50.0, 50.0)


WORDS = st.text(st.sampled_from("status:#'\" []xé\n-`"), max_size=20)
BODIES = st.lists(
    st.sampled_from(
        ["## Acceptance Criteria", "1. [ ] a", "- [x] b", "   wrapped", "```", "status: pending", "---", "", "2. c"]
    )
    | WORDS,
    max_size=12,
).map("\n".join)


@given(
    body=BODIES,
    status=st.sampled_from(["pending", "'pending'", '"pending"', "pending # why"]),
    crlf=st.booleans(),
    proven=st.sets(st.integers(1, 4)),
)
def test_a_tick_of_a_task_file_is_minimal(body, status, crlf, proven):
    text = f"---\nid: T002\nstatus: {status}\nother: 'a: b'\n---\n{body}"
    before = (text.replace("\r", "").replace("\n", "\r\n") if crlf else text).encode()
    files = folder(**{"tasks/T002.md": before})
    after = write(files, "done", proven=tuple(proven))
    changed = [
        pair
        for pair in zip(before.split(b"\n"), after["tasks/T002.md"].split(b"\n"), strict=True)
        if pair[0] != pair[1]
    ]
    assert changed[0][1] == changed[0][0].replace(b"pending", b"completed")
    assert all(new == old.replace(b"[ ]", b"[x]", 1) for old, new in changed[1:])
    assert len(changed) <= 1 + len(proven)
    task = task_of(files | after)
    assert task.state == "done"
    assert task.text == task_of(files).text
    assert write(files | after, "done", task=task) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("---\nstatus: >\n  x\n---\n", "of another form"),
        ("---\nstatus: [a]\n---\n", "of another form"),
        ("---\nother: 1\n---\n", "is not there"),
        ("---\na:\n  status: x\n---\nstatus: x\n", "is not there"),
    ],
)
def test_a_value_without_a_plain_place_is_refused(text, reason):
    with pytest.raises(MarkError, match=reason):
        with_value(text, metadata_of("a.md", text), "status", "done")

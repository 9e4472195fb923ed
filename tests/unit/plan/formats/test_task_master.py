"""tasks.json of task-master: every tag is read, one value is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.plan.formats.model import MarkError, TaskMark
from executor.plan.formats.registry import format_of
from executor.plan.formats.task_master import TaskMaster

FORMAT = TaskMaster()
NOW = "2026-11-22T09:30:00.000Z"
TEXTS = st.text(st.sampled_from('status"\\:{}[], \npendigé🎯'), max_size=24) | st.sampled_from(
    ['"status": "pending"', 'status"', "status", "\\"]
)
STATUSES = st.sampled_from(
    ["pending", "in-progress", "done", "review", "deferred", "cancelled", "blocked", "completed"]
)


def tasks(ids, **more):
    body = {
        "title": TEXTS,
        "description": TEXTS,
        "status": STATUSES,
        "dependencies": st.lists(st.integers(1, 5) | st.sampled_from(["1", "2.1"]), max_size=2),
        **more,
    }
    extra = {"updatedAt": st.just("2026-01-01T00:00:00.000Z"), "x": st.dictionaries(TEXTS, TEXTS, max_size=2)}
    extra["status_of"] = st.just({"status": "pending"})
    made = st.fixed_dictionaries(body, optional=extra).flatmap(lambda one: st.permutations([*one.items()]).map(dict))
    return st.lists(made, max_size=4).map(lambda found: [{"id": ids(at), **one} for at, one in enumerate(found, 1)])


SUBTASKS = tasks(lambda at: at)
TAGS = st.dictionaries(
    st.sampled_from(["master", "default", "feature-é", "x y"]),
    st.builds(
        lambda found, stated: {"tasks": found, "metadata": stated},
        tasks(lambda at: at if at % 2 else str(at), subtasks=SUBTASKS),
        st.dictionaries(st.sampled_from(["created", "status"]), TEXTS),
    ),
    min_size=1,
    max_size=3,
)
LEGACY = tasks(lambda at: at, subtasks=SUBTASKS).map(lambda found: {"tasks": found})
STYLES = st.sampled_from([{"indent": 2}, {"indent": 4, "ensure_ascii": False}, {}, {"separators": (",", ":")}])


def read(data):
    return FORMAT.read("tasks.json", {"tasks.json": data})


def write(data, task, state, **more):
    return FORMAT.write("tasks.json", {"tasks.json": data}, task, TaskMark(state, **more))


def value_of(document, task):
    """The object of a task, found by its ids."""
    holder = document[task.section] if task.section else document
    parent, name = task.parent.rpartition(":")[2], task.id.rpartition(":")[2]
    found = next(one for one in holder["tasks"] if str(one["id"]) == (parent or name))
    return next(one for one in found["subtasks"] if f"{parent}.{one['id']}" == name) if parent else found


@given(
    document=TAGS | LEGACY,
    style=STYLES,
    before=st.sampled_from([b"", b"\n"]),
    state=st.sampled_from(["done", "failed"]),
)
def test_one_value_changes_and_the_second_mark_changes_nothing(document, style, before, state):
    data = before + json.dumps(document, **style).encode()
    found = read(data).tasks
    assert len(found) == sum(
        1 + len(one["subtasks"])
        for part in (*document.values(), document)
        for one in (part["tasks"] if isinstance(part, dict) and "tasks" in part else ())
    )
    for task in found[:6]:
        changed = write(data, task, state, time_utc=NOW)
        expected = json.loads(data)
        if not changed:
            assert read(data).tasks == found
            continue
        after = changed["tasks.json"]
        value = value_of(expected, task)
        value["status"] = "done" if state == "done" else "blocked"
        if "updatedAt" in value:
            value["updatedAt"] = NOW
        assert json.loads(after) == expected
        assert [*json.loads(after)] == [*expected]
        again = next(one for one in read(after).tasks if one.id == task.id)
        assert again.state == ("done" if state == "done" else "blocked")
        assert again.text == task.text
        assert write(after, again, state, time_utc=NOW) == {}
        lines = [pair for pair in zip(data.split(b"\n"), after.split(b"\n"), strict=True) if pair[0] != pair[1]]
        assert len(lines) <= 1 + ("updatedAt" in value)
        assert data.split(b"\n")[task.line - 1].count(b"status")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"tasks": [{"id": 1, "title": "t", "status": "pending"}]}', True),
        (b'\n{"master": {"metadata": {}, "tasks": [{"id": "1", "title": "t"}]}}', True),
        (b'{"tasks": [{"id": 1, "slug": "x", "status": "todo"}]}', False),
        (b'{"tasks": [{"id": "T001", "file": "tasks/T001.md"}]}', False),
        (b'{"tasks": []}', True),
        (b'{"scripts": {"tasks": "x"}}', False),
        (b"# Tasks\n- [ ] T001 x\n", False),
        (b"", False),
        (b"{", False),
    ],
)
def test_the_format_is_told_by_content(data, expected):
    assert FORMAT.matches(".taskmaster/tasks/tasks.json", data) is expected


def test_the_table_has_it():
    data = b'{"tasks": [{"id": 1, "title": "t", "status": "pending"}]}'
    assert format_of("tasks.json", data).name == "task-master"


@pytest.mark.parametrize("data", [b'{"tasks": [{"id": 1,}]}', b'{"tasks": ["\xff"]}', b'{"tasks":' + b"[" * 100_000])
def test_what_is_not_json_is_a_finding(data):
    document = read(data)
    assert document.tasks == ()
    assert [one.kind for one in document.findings] == ["unreadable"]


@pytest.mark.parametrize("data", [b'"status"', b"[]", b"3", b'{"a": {"tasks": 3}}', b'{"tasks": [1, "status"]}'])
def test_json_without_tasks_has_none(data):
    assert read(data).tasks == read(data).findings == ()


def test_lines_are_found_where_keys_are_doubled_or_escaped():
    data = (
        b'{"tasks": [{"id": 1, "subtasks": [\n {"id": 1, "title": "a", "title": "b",\n'
        b' "status": "done", "status": "done"}],'
        b'\n "status": "x",\n "\\u0073tatus": "pending"}]}'
    )
    parent, part = read(data).tasks
    assert (parent.line, parent.state, part.line, part.title) == (5, "open", 3, "b")
    with pytest.raises(MarkError, match="the key status stands twice"):
        write(data, parent, "done")


def test_ids_of_the_main_tag_are_short_and_of_others_have_the_tag():
    one = {"tasks": [{"id": 1, "title": "t", "status": "pending", "dependencies": ["2"]}]}
    assert [(task.id, task.depends_on) for task in read(json.dumps({"x": one, "master": one}).encode()).tasks] == [
        ("x:1", ("x:2",)),
        ("1", ("2",)),
    ]


def test_a_subtask_waits_for_what_its_task_waits_for():
    value = {"id": 2, "title": "t", "status": "pending", "dependencies": [1, "2.1"]}
    value["subtasks"] = [{"id": 1, "title": "a", "status": "pending"}]
    value["subtasks"] += [{"id": 2, "title": "b", "status": "pending", "dependencies": [1, "1"]}]
    found = {task.id: task.depends_on for task in read(json.dumps({"tasks": [value]}).encode()).tasks}
    assert found == {"2": ("1", "2.1"), "2.1": ("1",), "2.2": ("2.1", "2.1", "1")}


CHANGED = b'{"tasks": [{"id": 1, "title": "old", "status": "pending"}]}'


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (CHANGED.replace(b"old", b"new"), "has changed since it was read: 'new'"),
        (CHANGED.replace(b": 1", b": 2"), "is no longer there"),
        (CHANGED.replace(b"}]", b'}, {"id": "1", "title": "old", "status": "pending"}]'), "more than once"),
        (CHANGED.replace(b"}]}", b"}]"), "delimiter"),
    ],
)
def test_a_task_that_changed_since_it_was_read_is_refused(now, reason):
    (task,) = read(CHANGED).tasks
    with pytest.raises(MarkError, match=reason):
        write(now, task, "done")


def test_a_file_that_changed_elsewhere_is_patched_as_it_is_now():
    (task,) = read(CHANGED).tasks
    now = CHANGED.replace(b"[{", b'[{"id": 7, "title": "more", "status": "done"},\n {')
    assert write(now, task, "done")["tasks.json"] == now.replace(b"pending", b"done")

"""Tasks of spec-runner: one word of one line changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.plan.formats.model import MarkError, TaskMark
from executor.plan.formats.spec_runner import SpecRunner

FORMAT = SpecRunner()
PIECES = [
    "### TASK-1: One\n🔴 P0 | ⬜ TODO | Est: 2h\n- [ ] box\n- [ ] other\n**Depends on:** —\n",
    "### TASK-2: Two\n\nP1 | IN_PROGRESS\n**Depends on:** [TASK-1], [LIB-3]\n",
    "### LIB-3: Three\r\n🟢 P3 | ⏸️ BLOCKED\r\n- [ ] box\r\n",
    "### TASK-4: Four\n🟡 P2 | ✅ DONE\n- [x] box\n",
    "### TASK-5: Five\n🟡 P2 | ⏸ BLOCKED  | later\n",
    "### TASK-9: Nine\nP1 | TODO\n~~~\n- [ ] no box\n",
    "## Milestone\n",
    "```\n### TASK-6: Six\nP1 | TODO\n```\n",
    "<!--\n### TASK-7: Seven\nP1 | TODO\n-->\n",
    "```\n",
    "~~~\n",
    "text A --> B\n",
    "### Notes\nP1 | TODO\n- [ ] no box of a task\n",
    "    ### TASK-8: Eight\n",
]


@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=8),
    state=st.sampled_from(["done", "failed", "started"]),
)
def test_one_word_changes_and_the_second_mark_changes_nothing(pieces, state):
    data = "\n".join(pieces).encode()
    for task in FORMAT.read("tasks.md", {"tasks.md": data}).tasks:
        try:
            changed = FORMAT.write("tasks.md", {"tasks.md": data}, task, TaskMark(state, proven=(1,)))
        except MarkError:
            assert task.ambiguous
            continue
        after = changed.get("tasks.md", data)
        pairs = zip(data.split(b"\n"), after.split(b"\n"), strict=True)
        lines = [at for at, (old, new) in enumerate(pairs, 1) if old != new]
        assert not lines or (lines[0] == task.line and len(lines) <= 2)
        document = FORMAT.read("tasks.md", {"tasks.md": after})
        again = next(one for one in document.tasks if one.id == task.id and one.nth == task.nth)
        assert again.state == (state if state != "failed" else "blocked")
        assert again.replace(state="") == task.replace(state="")
        assert FORMAT.write("tasks.md", {"tasks.md": after}, again, TaskMark(state, proven=(1,))) == {}


def read(text):
    return FORMAT.read("tasks.md", {"tasks.md": text.encode()})


def test_dependencies_estimate_priority_and_criteria_are_read():
    first, second = read(PIECES[0] + PIECES[1]).tasks
    assert (first.priority, first.estimate_h, first.criteria, first.depends_on) == (1, 2.0, ("box", "other"), ())
    assert (second.state, second.depends_on) == ("started", ("TASK-1", "LIB-3"))


@pytest.mark.parametrize("hiding", ["```\n{}```\n", "<!--\n{}-->\n", "~~~md\n```\n{}~~~\n"])
def test_what_a_fence_or_comment_holds_is_no_task(hiding):
    assert [one.id for one in read(hiding.format(PIECES[0]) + PIECES[1]).tasks] == ["TASK-2"]


def test_a_box_in_a_fence_is_no_criterion():
    (task,) = read("### TASK-9: Nine\nP1 | TODO\n~~~\n- [ ] no box\n").tasks
    assert task.criteria == ()


def test_what_stands_in_an_unclosed_fence_is_never_marked():
    _, hidden = read(f"{PIECES[0]}```\n{PIECES[1]}").tasks
    assert hidden.ambiguous == "the fence of line 6 is not closed above it"


@pytest.mark.parametrize(
    ("text", "expected"), [(PIECES[0], True), (PIECES[1], True), ("### A: b\n- [ ] x\n", False), ("", False)]
)
def test_the_format_is_told_by_content(text, expected):
    assert FORMAT.matches("tasks.md", text.encode()) is expected


def test_a_changed_task_is_refused():
    (task,) = read(PIECES[0]).tasks
    with pytest.raises(MarkError, match="has changed since it was read"):
        FORMAT.write("tasks.md", {"tasks.md": PIECES[0].replace("other", "another").encode()}, task, TaskMark("done"))

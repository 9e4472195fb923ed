"""Hold plans of epics: three views of the same tasks, their edges as a union, and what the views disagree on."""

from __future__ import annotations

import pytest

from executor.plan.formats.epic import Epic
from executor.plan.formats.epic_graph import edges


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("71 -> 73 -> 76", "71>73 73>76"),
        ("#71 → #73", "71>73"),
        ("71 ──> 73 ──> 76\n  └──> 72 ───┘", "71>73 73>76 71>72 72>76"),
        ("71 ─┬─> 73 ─┬─> 76\n    └─> 72 ─┘", "71>73 73>76 71>72 72>76"),
        ("71 ──┬──> 73 ──┐\n     │         ├──> 76\n     └──> 72 ──┘", "71>73 73>76 71>72 72>76"),
        ("71\n├── 73\n│\n└── 72", "71>73 71>72"),
        ("71 and 73 in words", ""),
    ],
)
def test_a_drawn_graph_is_read(text, expected):
    assert {f"{before}>{after}" for before, after in edges(text)} == set(expected.split())


def plan(dependencies, graph="71 -> 72\n"):
    sections = "".join(
        f"#### Task {number}: t{number} (Issue #{issue})\n- **Dependencies:** {said}\n"
        for number, issue, said in zip((1, 2, 3), (71, 73, 72), ("None", "Task #1", dependencies), strict=True)
    )
    boxes = "- [ ] Task #1: a (Issue #71)\n- [ ] Task #2: b (Issue #73)\n- [ ] Task #3: c (Issue #72)\n"
    text = f"```\n{graph}```\n{sections}## Implementation Checklist\n{boxes}"
    return Epic().read("EPIC.md", {"EPIC.md": text.encode()})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("None", {"71"}),
        ("Task #2", {"71", "73"}),
        ("Tasks #1 and #2", {"71", "73"}),
        ("Tasks #1, and #2", {"71", "73"}),
        ("Tasks 1-2", {"71", "73"}),
        ("Issue #73", {"71", "73"}),
        ("#73", {"71", "73"}),
        ("All previous tasks", {"71", "73"}),
        ("Task registry needs to be available", {"71"}),
    ],
)
def test_the_edges_of_a_task_are_those_in_words_and_in_the_graph(said, expected):
    task = next(one for one in plan(said).tasks if one.id == "72")
    assert set(task.depends_on) == expected
    assert task.notes == (("needs: Task registry needs to be available",) if "registry" in said else ())


def test_edges_that_differ_are_reported_and_those_that_follow_are_not():
    assert [one.kind for one in plan("Tasks #1 and #2", "71 -> 72\n71 -> 73\n").findings] == ["edges-differ"]
    assert plan("Tasks #1 and #2", "71 -> 73 -> 72\n").findings == ()


def test_an_issue_that_is_open_under_a_ticked_box_is_reported():
    text = "#### Issue #71: a\n- **State:** OPEN\n\n## Checklist\n- [x] #71\n"
    (finding,) = Epic().read("E.md", {"E.md": text.encode()}).findings
    assert (finding.line, finding.kind) == (5, "states-differ")
    assert "gh issue close 71" in finding.message

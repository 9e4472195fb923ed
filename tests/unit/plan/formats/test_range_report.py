"""Reports by ranges: what is declared is a task, and no title is invented."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.plan.formats.model import MarkError, TaskMark
from executor.plan.formats.range_report import RangeReport
from executor.plan.formats.report_ids import ids_in, shortened

FORMAT = RangeReport()
HEAD = "# Report of tasks\n- Phase 1: Setup (T001-T004)\n- Phase 2: Work (T005-T009)\n"


def read(text):
    return FORMAT.read("report.md", {"report.md": text.encode()})


def edges(text):
    return {task.id: task.depends_on for task in read(HEAD + text).tasks if task.depends_on}


def kinds(text):
    return [(one.line, one.kind) for one in read(text).findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T001-T003", ("T001", "T002", "T003")),
        ("T001–T003, T009", ("T001", "T002", "T003", "T009")),
        ("T001 to T003", ("T001", "T002", "T003")),
        ("T001..003", ("T001", "T002", "T003")),
        ("**T007** and T008", ("T007", "T008")),
        ("T005-T005", ("T005",)),
        ("T9999-T0001", ("T9999", "T0001")),
        ("FR-001, US12, XT001", ()),
        ("T0010", ("T0010",)),
        ("", ()),
    ],
)
def test_lists_and_ranges_of_ids(text, expected):
    assert ids_in(text, "T") == expected


def test_runs_are_shortened_as_ranges():
    assert shortened(["T001", "T002", "T003", "T005", "T006"]) == "T001-T003, T005, T006"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("- T007 (Join) depends on T005, T006 and T001", {"T007": ("T005", "T006", "T001")}),
        ("- T006, T007 depend on: T005", {"T006": ("T005",), "T007": ("T005",)}),
        ("First T001 -> T002, then T004 depends on T003.", {"T002": ("T001",), "T004": ("T003",)}),
        ("T001 (Setup) → T002, T003 → T004 (Name)", {"T002": ("T001",), "T003": ("T001",), "T004": ("T002", "T003")}),
        ("T006-T008 can run in parallel after T005", dict.fromkeys(("T006", "T007", "T008"), ("T005",))),
        ("After T001: T002, T003", {"T002": ("T001",), "T003": ("T001",)}),
        (
            "- T002: A [P]\n- T003: B [P]\n\n2 tasks can run in parallel after T001",
            {"T002": ("T001",), "T003": ("T001",)},
        ),
        (
            "```\nT001\n  ↓\n├─ T002\n└─ T003\n  ↓\nT004\n```",
            {"T002": ("T001",), "T003": ("T001",), "T004": ("T002", "T003")},
        ),
        ("T001 and T002 come after lunch", {}),
        ("- [ ] T003 depends on T001", {}),
        ("## Next Steps\nT003 depends on T001", {}),
        ("## Critical Path\nT001 → T005", {}),
        ("T001 starts. T004 follows after T003", {"T004": ("T003",)}),
    ],
)
def test_edges_come_from_depends_on_chains_after_and_arrows(line, expected):
    assert edges(line) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- T003: Logging [P]\n", "Logging"),
        ("1. **T003**: Train — the model\n", "Train — the model"),
        ("- T003 (Join) depends on T001\n", "Join"),
        ("- T001 → T003 (the end)\n", "T003"),
        ("- T002-T004: Logging\n", "T003"),
        ("T003 can run in parallel\n", "T003"),
        ("- [ ] T003: Gate\n", "T003"),
        ("```\n- T003: Example\n```\n", "T003"),
    ],
)
def test_a_title_is_taken_where_one_is_given(text, expected):
    assert next(one for one in read(HEAD + text).tasks if one.id == "T003").title == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD, []),
        (f"**Total Tasks**: 9\n{HEAD}", []),
        (f"**Total Tasks**: 8\n{HEAD}", [(1, "total")]),
        ("- Phase 1: A (T001-T004) - 3 tasks\n", [(1, "count")]),
        ("**Total**: 4 tasks\n- Phase 1: A (T001-T004) - 3 tasks\n", [(1, "total"), (2, "count")]),
        ("- Phase 1: A (T001-T004)\n- Phase 2: B (T004-T006)\n", [(2, "range")]),
        ("- Phase 1: A (T001-T004)\n- Phase 2: B (T007-T009)\n", [(2, "range")]),
        (f"{HEAD}T005, T006 can run in parallel\n**Total**: 3 tasks can run in parallel\n", [(5, "parallel-count")]),
        (f"{HEAD}T005, T006 can run in parallel\nT006 depends on T005\n", [(4, "edge-in-parallel-group")]),
        (f"{HEAD}T011 → T005\n", [(4, "unknown-task")]),
        (f"{HEAD}- T003: A\n- **T003**: B\n", [(5, "two-titles")]),
        ("Total Time: 5 hours\n### Phase 1: A (2 tasks, 2-3 hours)\n- T001-T002: x\n", [(1, "hours")]),
        ("Total Time: 2-3 hours\n### Phase 1: A (2 tasks, 2-3 hours)\n- T001-T002: x\n", []),
        (f"{HEAD}- **P1**: 4 tasks\n- **P2**: 4 tasks\n", [(4, "total")]),
        ("- Phase 1: User Story 1 (T001-T004) - 4 tasks\n- User Story 1: 5 tasks\n", [(2, "story")]),
    ],
)
def test_each_contradiction_is_found_where_it_stands(text, expected):
    assert kinds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("| Phase 1: Setup | T001-T003 | 3 |\n| Phase 2 | T004-T005 | 2 |\n", {"Phase 1: Setup": 3, "Phase 2": 2}),
        ("## Phase 1 — Setup: T001–T003 (3 tasks)\n", {"Phase 1: Setup": 3}),
        ("**Phase 1** (T001-T003): Setup\n", {"Phase 1": 3}),
        ("1. Phase 1: Setup - 3 tasks (T001-T003)\n", {"Phase 1: Setup": 3}),
        ("## Setup (T001-T003)\n- User Story 1: T004-T005 (2 tasks)\n", {"Setup": 3, "User Story 1": 2}),
        ("- Story one (T001-T003)\n- Phase 1: Setup (T001-T003)\n", {"Phase 1: Setup": 3}),
    ],
)
def test_phases_are_declared_in_lists_headings_and_tables(text, expected):
    document = read(f"# Report of tasks\n{text}")
    assert FORMAT.matches("report.md", f"# Report of tasks\n{text}".encode())
    assert Counter(task.phase for task in document.tasks) == expected
    assert document.findings == ()


NOISE = st.text(st.sampled_from("T0159-–→↓├ ,:()[]*#`\n"), max_size=30)
PIECES = st.lists(
    st.sampled_from(
        [
            "- Phase 1: A (T001-T004) - 4 tasks",
            "### Phase 2",
            "T003 depends on T001",
            "- T002: B [P]",
            "T001 → T002",
            "```",
            "<!--",
            "**Total**: 4 tasks",
            "- T005-T007: C",
            "  ↓",
            "├─ T004",
            "## Critical Path",
            "4 tasks can run in parallel after T001",
        ]
    )
    | NOISE,
    max_size=14,
)


@given(pieces=PIECES)
def test_a_report_is_read_without_invention(pieces):
    text = "\n".join(pieces)
    document = read(text)
    ids = [one.id for one in document.tasks]
    assert len(set(ids)) == len(ids)
    for task in document.tasks:
        assert task.title == task.id or task.title in text.replace("**", "").replace(" [P]", "")
        assert (task.line, task.state) == (0, "open")
        assert task.id not in task.depends_on
        with pytest.raises(MarkError, match="its state stands in the side file"):
            FORMAT.write("report.md", {"report.md": text.encode()}, task, TaskMark("done"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD, True),
        ("- T001-T004: Tracker of tasks\n", True),
        (f"{HEAD}- [ ] T001 Create it\n", False),
        ("## 1. Work\n- [ ] 1.1 Do the tasks of FR-001-FR-005\n", False),
        ("# Tasks\n- FR-001-FR-005 are met\n- [ ] 2. Write it\n", False),
        ("# Notes\nIn 2001-2004 we had tasks.\n", False),
        ("The tasks are A1-A4\n", False),
        ("", False),
    ],
)
def test_the_format_is_told_by_content(text, expected):
    assert FORMAT.matches("report.md", text.encode()) is expected

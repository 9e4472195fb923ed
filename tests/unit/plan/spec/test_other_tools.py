"""What formatters and editors do to SPEC.md without changing its meaning changes nothing for do-tasks.

`fixtures/formatted/original.md` has each kind of mark. The files beside it are what the formatters they are named after
made of it, some wrapped at the width in their name.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from executor.plan.spec.spec_md import Box, Mark, boxes, fail, find, line_text, patch, tick

FOLDER = Path(__file__).resolve().parents[3] / "fixtures" / "formatted"
ORIGINAL = (FOLDER / "original.md").read_bytes()
NAMES = sorted(path.name for path in FOLDER.glob("*.md"))
PASSED = Mark("passed", "task_7_00000001", "2026-12-22 11:00", "1 proven")
FAILED = Mark("failed", "task_7_00000001", "2026-12-22 11:00", "exit 3: no disk")
OF_A_MARK = re.compile(r"✓|✗|⏳|task_|2026|proven|claimed|dashboard|SIGINT|criteria|lay|knows")
EDITORS = {
    "as it is": lambda text: text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "a byte order mark": lambda text: "\ufeff" + text,
    "capital ticks": lambda text: text.replace("[x]", "[X]"),
    "underlines for stars": lambda text: text.replace("**", "__"),
    "no final newline": lambda text: text.rstrip("\n"),
    "escaped underscores": lambda text: text.replace("task_", "task\\_"),
    "variation selectors": lambda text: text.replace("✓", "✓\ufe0f"),
}

formatted = pytest.mark.parametrize("name", NAMES)
edited = pytest.mark.parametrize("edit", EDITORS)


def text_of(name: str, edit: str) -> bytes:
    return EDITORS[edit]((FOLDER / name).read_text(encoding="utf-8")).encode()


def said(data: bytes) -> dict[int, tuple[str, str, Mark | None]]:
    return {box.number: (box.state, box.title, box.mark) for box in boxes(data)}


def marks(data: bytes, but: int) -> dict[int, tuple[str, Mark | None]]:
    return {box.number: (box.state, box.mark) for box in boxes(data) if box.number != but}


def left_behind(data: bytes, box: Box) -> list[str]:
    """What is left of a mark in the item whose mark was taken away, in its line and those it went on in."""
    text = data[box.start : box.start + 400].decode(errors="ignore")
    return OF_A_MARK.findall(re.split(r"\r?\n[ \t]*(?:[-*+] |\r?\n)", text)[0])


@formatted
@edited
def test_a_tool_changes_no_state_no_title_and_no_mark(name: str, edit: str) -> None:
    assert said(text_of(name, edit)) == said(ORIGINAL)


@formatted
@edited
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 9, 11])
def test_a_mark_that_a_tool_moved_is_replaced_whole(name: str, edit: str, number: int) -> None:
    data = text_of(name, edit)
    for marked in (tick(data, number, PASSED), fail(data, number, FAILED)):
        opened = patch(marked, find(marked, number), state=" ", mark=None)
        assert (marked.count(b"00000001"), left_behind(opened, find(opened, number))) == (1, [])
        assert marks(marked, but=number) == marks(ORIGINAL, but=number)


@formatted
def test_a_line_has_all_of_its_mark(name: str) -> None:
    data = text_of(name, "as it is")
    ids = {box.number: line_text(data, box).replace(b"\\", b"").count(b"_a1b2c3d4") for box in boxes(data)}
    assert ids == {1: 1, 2: 1, 3: 1, 4: 1, 5: 0, 6: 0, 7: 0, 9: 1, 10: 0, 11: 1, 12: 0}


@pytest.mark.parametrize(
    "name", ["prettier-80.md", "prettier-60-tabs.md", "mdformat-72.md", "pandoc-72.md", "pandoc-40.md"]
)
def test_steps_that_are_ticked_one_by_one_leave_no_mark_behind(name: str) -> None:
    data = text_of(name, "as it is")
    for box in boxes(data):
        data = tick(data, box.number, PASSED)
    for box in boxes(data):
        data = patch(data, find(data, box.number), state=" ", mark=None)
    assert OF_A_MARK.findall(data.decode()) == []


# What stands under a line is a person's, unless a wrap explains it


@pytest.mark.parametrize(
    "mark",
    [
        "✓ [task_id: task_1_a1b2c3d4] [2026-11-22 10:30] (2 proven, 1 claimed)",
        "✗ Failed [task_id: task_1_a1b2c3d4] [2026-11-22 10:30]: exit 3",
        "✗ Failed [task_id: task_1_a1b2c3d4] [2026-11-22 10:30]: exit 3: the disk is full, and so is the other one",
        "⏳ started [task_id: task_1_a1b2c3d4] [2026-11-22 10:30]",
        "✓ by hand [2026-11-22 10:30]: Ann: seen",
    ],
)
@pytest.mark.parametrize("note", ["  A person's own words.", "A lazy line of a person.", "  (in parentheses)"])
def test_the_words_under_a_line_stay(mark: str, note: str) -> None:
    data = f"# Plan\n\n- [ ] **STEP 1**: Build it {mark}\n{note}\n- [ ] **STEP 2**: Next\n".encode()
    assert tick(data, 1, PASSED).decode().splitlines()[3] == note


def test_a_mark_in_the_middle_of_joined_lines_is_found_and_the_words_behind_it_stay() -> None:
    data = (
        "- [x] **STEP 7**: Build it ✓ [task_id: task_7_a1b2c3d4] [2026-11-22 10:30] (2 proven) and the rest\n".encode()
    )
    (box,) = boxes(data)
    assert (box.title, box.mark and box.mark.task_id) == ("Build it and the rest", "task_7_a1b2c3d4")
    assert fail(data, 7, FAILED).startswith("- [ ] **STEP 7**: Build it and the rest ✗ Failed".encode())


def test_a_mark_of_another_step_in_a_title_is_a_title() -> None:
    (box,) = boxes("- [x] **STEP 8**: Undo ✓ [task_id: task_7_a1b2c3d4] [2026-11-22 10:30] of step 7\n".encode())
    assert box.mark is None

"""SPEC.md: one line is read, one line is patched, every other byte stays."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from executor.errors import SpecError
from executor.plan.spec import spec_md
from executor.plan.spec.spec_md import Mark, append_line, boxes, clean, fail, find, patch, tick

PASSED = Mark("passed", "task_8_a1b2c3d4", "2026-11-22 10:30", "2 proven, 1 claimed")
FAILED = Mark("failed", "task_8_a1b2c3d4", "2026-11-22 10:30", "eval: exit 3: no model")
STARTED = Mark("started", "task_8_a1b2c3d4", "2026-11-22 10:30")
BY_HAND = Mark("by_hand", "", "2026-11-22 10:30", "Ann: seen on the dashboard")
TICK = " ✓ [task_id: task_8_a1b2c3d4] [2026-11-22 10:30] (2 proven, 1 claimed)".encode()
CROSS = " ✗ Failed [task_id: task_8_a1b2c3d4] [2026-11-22 10:30]: eval: exit 3: no model".encode()


def numbers(data: bytes) -> list[int]:
    return [box.number for box in boxes(data)]


def only(text: str) -> spec_md.Box:
    (box,) = boxes(text.encode())
    return box


# What a line says


def test_a_line_is_read_with_its_place() -> None:
    box = boxes(b"# Plan\n\n- [X] **STEP 8**: Build it\n")[0]
    assert box == spec_md.Box(8, "x", "Build it", None, 8, 34, 3)


def test_the_text_of_a_line_has_no_end_of_line() -> None:
    data = "\ufeff- [x] **STEP 8**: Bäume  \r\n- [ ] **STEP 9**: b".encode()
    assert [spec_md.line_text(data, box) for box in boxes(data)] == [data[: data.index(b"\r")], b"- [ ] **STEP 9**: b"]


@pytest.mark.parametrize("state", [" ", "x", "~", "-", "!"])
def test_every_state_is_read(state: str) -> None:
    assert only(f"- [{state}] **STEP 1**: a").state == state


@pytest.mark.parametrize(
    "line",
    [
        "* [ ] **STEP 7**: a",
        "+ [ ] **STEP 7**: a",
        "12. [ ] **STEP 7**: a",
        "3) [ ] **step 7:** a",
        "-\t[ ]\t**Step 7** : a",
    ],
)
def test_markers_and_bold_forms_are_read(line: str) -> None:
    assert (only(line).number, only(line).title) == (7, "a")


@pytest.mark.parametrize(
    "line",
    [
        "## STEP 7: a",
        "- [?] **STEP 7**: a",
        "- [ ] **STEP 7a**: a",
        "- [ ] **STEP 7.1**: a",
        "- [ ] **STEP 7-9**: a",
        "- [ ] **STEP 7–9**: a",
        "- [ ] **STEP 7 - 9**: a",
        "- [ ] **STEP 7/9**: a",
        "- [ ] STEP 7, 8: a",
        "- [ ] STEP 7 of the guide",
        "- [ ] The STEP 7: a",
        "- [ ] FOOTSTEP 7: a",
        "- [] **STEP 7**: a",
        "- [ ]**STEP 7**: a",
        "- **STEP 7**: a",
        "| - [ ] **STEP 7**: a |",
        "text - [ ] **STEP 7**: a",
        "- [ ] **STEP " + "9" * 5000 + "**: a",
    ],
)
def test_other_lines_are_no_boxes(line: str) -> None:
    assert boxes(line.encode()) == ()


def test_the_four_suffixes_are_read() -> None:
    suffixes = [
        (" ✓ [task_id: task_8_a1b2c3d4] [2026-11-22 10:30] (2 proven, 1 claimed)", PASSED),
        (" ✗ Failed [task_id: task_8_a1b2c3d4] [2026-11-22 10:30]: eval: exit 3: no model", FAILED),
        (" ⏳ started [task_id: task_8_a1b2c3d4] [2026-11-22 10:30]", STARTED),
        (" ✓ by hand [2026-11-22 10:30]: Ann: seen on the dashboard", BY_HAND),
    ]
    read = [
        (only("- [x] **STEP 8**: Build it" + text).title, only("- [x] **STEP 8**: Build it" + text).mark)
        for text, _ in suffixes
    ]
    assert read == [("Build it", mark) for _, mark in suffixes]


@pytest.mark.parametrize(
    ("rest", "title", "mark"),
    [
        (" Build ✓ [2026-11-22 10:30]", "Build", Mark("by_hand", "", "2026-11-22 10:30")),
        (" ✓ [2024-11-13 10:30:05.123456]", "", Mark("by_hand", "", "2024-11-13 10:30:05.123456")),
        ("✓ [task_id: t1] [2026-11-22]", "", Mark("passed", "t1", "2026-11-22")),
        (" Build ✗ Failed [2026-11-22 10:30]", "Build", Mark("failed", "", "2026-11-22 10:30")),
        (" Build ✓\ufe0f [task_id: t1] [2026-11-22T10:30Z]  ", "Build", Mark("passed", "t1", "2026-11-22T10:30Z")),
    ],
)
def test_looser_suffixes_in_the_wild_are_read(rest: str, title: str, mark: Mark) -> None:
    box = only(f"- [x] **STEP 8**:{rest}")
    assert (box.title, box.mark) == (title, mark)


@pytest.mark.parametrize(
    "title",
    [
        "Handle ✓ and [task_id: x] marks",
        "Parse `✓ [task_id: t] [2026-11-22 10:30]` lines",
        "All done ✓",
        "Check the list ✓ [optional]",
        "Compare ✓ [2026-11-22 10:30] with ✗",
        "Seen ✓ [2026-11-22 10:30]: by me",
        "Seen ✓ [2026-11-22 10:30] (by me)",
        "Title [with] brackets [2026-11-22 10:30]",
    ],
)
def test_a_title_with_marks_in_it_is_no_suffix(title: str) -> None:
    data = f"- [ ] **STEP 8**: {title}\n".encode()
    ticked = tick(data, 8, PASSED)
    assert (boxes(data)[0].mark, ticked) == (None, f"- [x] **STEP 8**: {title}".encode() + TICK + b"\n")


def test_a_unicode_title_is_decoded() -> None:
    assert only("- [ ] **STEP 1**: Ünïcode 模型 🎭 – «fin»").title == "Ünïcode 模型 🎭 – «fin»"


# What is hidden


@pytest.mark.parametrize(
    "block",
    [
        "```\n{}\n```\n",
        "   ~~~ yaml\n{}\n~~~~~\n",
        "````md\n```\n{}\n```\n{}\n````\n",
        "```\n{}\n    ```\n{}\n~~~\n{}\n``` no\n{}\n```\n",
        "- item\n\n  ```sh\n  {}\n  ```\n",
        "- ```sh\n  {}\n  ```\n",
        "10. item\n\n    ~~~\n    {}\n    ~~~\n",
        "- [ ] **STEP 1**: a\n      ```\n      {}\n      ```\n",
        "<!-- {} -->\n",
        "<!--\n{}\n\n{}\n-->\n",
        "- <!-- old\n  {}\n  -->\n",
        "<!-- ```\n{}\n-->\n",
        "```\n<!--\n{}\n```\n",
        "\ufeff```\n{}\n```\n",
    ],
)
def test_fences_and_comments_hide_their_boxes(block: str) -> None:
    text = block.replace("{}", "- [ ] **STEP 3**: hidden") + "- [ ] **STEP 4**: seen\n"
    assert [number for number in numbers(text.encode()) if number != 1] == [4]


@pytest.mark.parametrize(
    "before",
    [
        "``\n",
        "``` not a `fence`\n",
        "text ``` in a line\n",
        "    ```\n",
        "- item\n  ```\n  code\n",
        "- item\n  <!-- note\n",
        "<!-- one line -->\n",
        "<!-->\n",
        "text <!-- in a line\n",
        "> ```\n",
    ],
)
def test_what_is_no_open_block_hides_nothing(before: str) -> None:
    assert numbers(before.encode() + b"- [ ] **STEP 4**: seen\n") == [4]


@pytest.mark.parametrize("opener", ["```\n", "<!--\n", "~~~\n\n"])
def test_an_open_block_hides_the_rest_of_the_file(opener: str) -> None:
    assert numbers(b"- [ ] **STEP 1**: a\n" + opener.encode() + b"- [ ] **STEP 2**: b\n") == [1]


def test_boxes_nest_by_blanks_or_tabs() -> None:
    data = b"- [ ] **STEP 1**: a\n    - [ ] **STEP 2**: b\n\t\t- [ ] **STEP 3**: c\n"
    ticked = tick(data, 3, PASSED)
    assert (numbers(data), ticked) == ([1, 2, 3], data.replace(b"[ ] **STEP 3**: c", b"[x] **STEP 3**: c" + TICK))


# Which line is meant


def test_step_1_is_not_step_10() -> None:
    data = b"- [ ] **STEP 10**: ten\n- [ ] **STEP 1**: one\n- [ ] **STEP 11**: eleven\n"
    assert tick(data, 1, PASSED) == data.replace(b"[ ] **STEP 1**: one", b"[x] **STEP 1**: one" + TICK)


def test_a_missing_step_names_the_nearest_with_the_line_to_add() -> None:
    with pytest.raises(SpecError) as told:
        find(b"- [ ] **STEP 18**: a\n- [ ] **STEP 2**: b\n", 19)
    assert str(told.value) == "step 19 is not in SPEC.md; nearest: 18; add the line `- [ ] **STEP 19**: ...`"


def test_a_spec_without_steps_says_so() -> None:
    with pytest.raises(SpecError, match="has no step lines; add the line"):
        find(b"# Plan\n", 1)


def test_two_plans_in_one_file_are_ambiguous_where_they_meet() -> None:
    data = b"- [ ] **STEP 3**: a\n- [ ] **STEP 4**: b\n# Two\n- [ ] **STEP 3**: c\n"
    with pytest.raises(SpecError) as told:
        tick(data, 3, PASSED)
    assert str(told.value) == "SPEC.md has step 3 twice: lines 1 and 4; keep one"


def test_two_plans_in_one_file_leave_other_steps_usable() -> None:
    data = b"- [ ] **STEP 3**: a\n- [ ] **STEP 4**: b\n# Two\n- [ ] **STEP 3**: c\n"
    assert find(data, 4).line == 2


def test_three_lines_of_a_step_are_all_named() -> None:
    with pytest.raises(SpecError, match=r"SPEC\.md has step 1 3 times: lines 1, 2 and 3; keep one"):
        find(b"- [ ] **STEP 1**: a\n" * 3, 1)


# One line is patched


@pytest.mark.parametrize("eol", [b"\r\n", b"\n", b"\r\r\n"])
def test_the_eol_stays(eol: bytes) -> None:
    data = b"# Plan" + eol + b"- [ ] **STEP 8**: a" + eol + b"end" + eol
    assert tick(data, 8, PASSED) == b"# Plan" + eol + b"- [x] **STEP 8**: a" + TICK + eol + b"end" + eol


def test_a_lone_carriage_return_is_part_of_the_line() -> None:
    data = b"- [ ] **STEP 8**: a\rb\n"
    assert tick(data, 8, PASSED) == b"- [x] **STEP 8**: a\rb" + TICK + b"\n"


def test_a_byte_order_mark_stays() -> None:
    data = b"\xef\xbb\xbf- [ ] **STEP 8**: a\n"
    assert tick(data, 8, PASSED) == b"\xef\xbb\xbf- [x] **STEP 8**: a" + TICK + b"\n"


def test_a_missing_final_newline_stays_missing() -> None:
    assert tick(b"- [ ] **STEP 8**: a", 8, PASSED) == b"- [x] **STEP 8**: a" + TICK


def test_invalid_utf_8_stays() -> None:
    data = b"\xff\xfe\n- [ ] **STEP 8**: a\xe2\n\x80\n"
    assert tick(data, 8, PASSED) == b"\xff\xfe\n- [x] **STEP 8**: a\xe2" + TICK + b"\n\x80\n"


def test_blanks_behind_a_title_stay() -> None:
    ticked = tick(b"- [ ] **STEP 8**: a  \n", 8, PASSED)
    back = patch(ticked, boxes(ticked)[0], state=" ", mark=None)
    assert (ticked, back) == (b"- [x] **STEP 8**: a  " + TICK + b"\n", b"- [ ] **STEP 8**: a  \n")


def test_a_suffix_is_replaced_not_stacked() -> None:
    data = b"- [ ] **STEP 8**: a\n"
    assert tick(fail(data, 8, FAILED), 8, PASSED) == tick(data, 8, PASSED)


def test_suffixes_stacked_by_others_are_replaced_as_one() -> None:
    stacked = b"- [ ] **STEP 8**: a" + CROSS + b" " + TICK + b"\n"
    assert fail(stacked, 8, STARTED.replace(kind="failed")).count(b"[task_id:") == 1


def test_a_failed_step_is_open_with_its_reason() -> None:
    assert fail(b"- [x] **STEP 8**: a\n", 8, FAILED) == b"- [ ] **STEP 8**: a" + CROSS + b"\n"


def test_a_started_job_is_under_way() -> None:
    data = b"* [ ] **STEP 8**: a\n"
    started = patch(data, boxes(data)[0], state="~", mark=STARTED)
    assert started == "* [~] **STEP 8**: a ⏳ started [task_id: task_8_a1b2c3d4] [2026-11-22 10:30]\n".encode()


def test_a_capital_tick_stays_when_the_state_stays() -> None:
    assert tick(b"- [X] **STEP 8**: a\n", 8, PASSED).startswith(b"- [X]")


@pytest.mark.parametrize("mark", [PASSED, FAILED, STARTED, BY_HAND])
def test_the_same_patch_twice_is_one(mark: Mark) -> None:
    once = tick(b"- [ ] **STEP 8**: a\r\n", 8, mark)
    assert tick(once, 8, mark) == once


def test_a_line_that_changed_since_it_was_read_is_refused() -> None:
    box = boxes(b"- [ ] **STEP 8**: a\n")[0]
    with pytest.raises(SpecError, match="line 1 is no longer step 8 as it was read"):
        patch(b"- [ ] **STEP 8**: b\n", box, state="x", mark=PASSED)


def test_a_line_that_moved_since_it_was_read_is_refused() -> None:
    box = boxes(b"- [ ] **STEP 8**: a\n")[0]
    with pytest.raises(SpecError, match=r"read SPEC.md again"):
        patch(b"\n- [ ] **STEP 8**: a\n", box, state="x", mark=PASSED)


@pytest.mark.parametrize(
    "mark", [PASSED.replace(task_id="two words"), PASSED.replace(time="soon"), BY_HAND.replace(task_id="t1")]
)
def test_a_mark_that_would_not_read_back_is_refused(mark: Mark) -> None:
    with pytest.raises(SpecError, match="cannot be written so that it reads back"):
        tick(b"- [ ] **STEP 8**: a\n", 8, mark)


@pytest.mark.parametrize("state", ["", "xx", "?", "]"])
def test_an_unknown_state_is_refused(state: str) -> None:
    data = b"- [ ] **STEP 8**: a\n"
    with pytest.raises(SpecError, match="give a state"):
        patch(data, boxes(data)[0], state=state, mark=None)


# One line is added


def test_a_line_is_added_behind_the_next_lower_step() -> None:
    data = b"- [ ] **STEP 1**: a\r\n  more\r\n\r\n  and\r\n\r\n- [ ] **STEP 3**: c\r\n"
    assert append_line(data, 2, "b") == data.replace(b"and\r\n", b"and\r\n- [ ] **STEP 2**: b\r\n")


def test_an_added_line_looks_like_its_neighbour() -> None:
    data = b"x\r\n\t* [x] **STEP 1**: a\n"
    assert append_line(data, 2, "b") == data + b"\t* [ ] **STEP 2**: b\n"


def test_a_line_below_all_others_goes_to_the_end_of_the_list() -> None:
    data = b"- [ ] **STEP 5**: a\n\n# End\n"
    assert append_line(data, 1, "b") == b"- [ ] **STEP 5**: a\n- [ ] **STEP 1**: b\n\n# End\n"


@pytest.mark.parametrize(
    ("data", "after"),
    [
        (b"", b"- [ ] **STEP 1**: b\n"),
        (b"\xef\xbb\xbf", b"\xef\xbb\xbf- [ ] **STEP 1**: b\n"),
        (b"# Plan\r\n", b"# Plan\r\n- [ ] **STEP 1**: b\r\n"),
        (b"# Plan", b"# Plan\n- [ ] **STEP 1**: b"),
        (b"\xef\xbb\xbf- [ ] **STEP 0**: a", b"\xef\xbb\xbf- [ ] **STEP 0**: a\n- [ ] **STEP 1**: b"),
    ],
)
def test_a_line_is_added_at_the_end_of_any_file(data: bytes, after: bytes) -> None:
    assert append_line(data, 1, "b") == after


def test_a_line_that_is_there_is_not_added_again() -> None:
    with pytest.raises(SpecError, match="step 1 is already there, line 1"):
        append_line(b"- [ ] **STEP 1**: a\n", 1, "b")


def test_a_line_is_not_added_inside_an_open_fence() -> None:
    with pytest.raises(SpecError, match="ends inside a fence"):
        append_line(b"```\n", 1, "b")


def test_an_added_title_is_one_open_line() -> None:
    added = append_line(b"", 1, "two\nlines ✓ [2026-11-22 10:30]")
    assert (len(boxes(added)), boxes(added)[0].mark, added.count(b"\n")) == (1, None, 1)


# Notes


def test_a_note_is_made_harmless() -> None:
    assert clean(" \x1b[31mbad\x1b[0m\n\u202e[x] ✓ ✗ ⏳\t\ud800end ") == "bad (x) √ × ⌛ end"


def test_a_long_note_is_cut() -> None:
    assert clean("ab " * 100) == "ab " * 39 + "ab…"


@given(st.text())
def test_a_clean_note_stays_as_it_is(note: str) -> None:
    assert clean(clean(note)) == clean(note)


# Whatever stands around


TEXTS = st.lists(
    st.sampled_from(
        ["- [ ] **STEP 1**: a", "  * [x] **STEP 22**: b ✓", "```", "<!--", "-->", "text", "\r", " ", "\n", "\r\n", "\n"]
    )
    | st.text(max_size=8),
    max_size=12,
).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))
MARKS = st.builds(
    Mark,
    st.sampled_from(["passed", "failed", "started"]),
    st.just("task_8_a1b2c3d4"),
    st.just("2026-11-22 10:30"),
    st.text(),
)


@given(TEXTS, TEXTS, MARKS, st.sampled_from(list(spec_md.STATES)))
@example(b"", b"", FAILED.replace(note="(["), "x")
def test_a_patch_changes_one_box_and_no_other_byte(before: bytes, after: bytes, mark: Mark, state: str) -> None:
    data = before + b"\n- [ ] **STEP 8**: title" + b"\n" + after
    old = boxes(data)
    at = next((place for place, box in enumerate(old) if box.number == 8), None)
    if at is None:
        return
    new = patch(data, old[at], state=state, mark=mark)
    shift = len(new) - len(data)
    assert (new[: old[at].start], new[old[at].end + shift :]) == (data[: old[at].start], data[old[at].end :])
    moved = [box.replace(start=box.start + shift, end=box.end + shift) for box in old[at + 1 :]]
    now = boxes(new)
    assert [*now[:at], *now[at + 1 :]] == [*old[:at], *moved]
    assert old[at].title.startswith(now[at].title)  # text below it may be more of it
    assert (now[at].state, now[at].mark and now[at].mark.kind) == (state, mark.kind)

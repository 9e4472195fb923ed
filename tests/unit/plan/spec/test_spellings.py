"""Which spellings of a step's line are taken, and what is said of a line that nearly is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import SpecError
from executor.plan.spec.spec_md import Mark, append_line, boxes, fail, find, near_misses, patch, tick

PASSED = Mark("passed", "task_7_a1b2c3d4", "2026-11-22 11:00", "1 proven")
FAILED = Mark("failed", "task_7_a1b2c3d4", "2026-11-22 11:00", "exit 3")
STARTED = Mark("started", "task_7_a1b2c3d4", "2026-11-22 11:00")
BY_HAND = Mark("by_hand", "", "2026-11-22 11:00", "Ann: seen")
SPELLINGS = [
    "- [ ] **STEP 7: T**",
    "- [ ] **STEP 7 - T**",
    "- [ ] **STEP 7. T**",
    "- [ ] **STEP 7 — T**",
    "- [ ] **STEP 7.** T",
    "- [ ] **STEP 7** - T",
    "- [ ] **STEP 7** — T",
    "- [ ] **STEP 7** – T",
    "- [ ] **STEP 7** T",
    "- [ ] **STEP 7:** T",
    "- [ ] **STEP 7** : T",
    "- [ ] **STEP 7) T**",
    "- [ ] **STEP 7 -> T**",
    "- [ ] **STEP 7 | T**",
    "- [ ] __STEP 7__: T",
    "- [ ] __STEP 7: T__",
    "- [ ] *STEP 7*: T",
    "- [ ] _STEP 7_: T",
    "- [ ] ***STEP 7***: T",
    "- [ ] STEP 7: T",
    "- [ ] Step 7. T",
    "- [ ] step 7) T",
    "- [ ] STEP 7 - T",
    "- [ ] STEP 7—T",
    "- [ ] (STEP 7) T",
    "- [ ] STEP 7\uff1a T",
    "- [ ] **STEP 7**\uff1aT",
    "- [ ] 【STEP 7】T",
    "- [ ] \uff08STEP 7\uff09T",
    "- [ ] STEP 7、T",
    "- [ ] **[STEP 7](#a)**: T",
    "- [ ] [**STEP 7**](#a): T",
    "- [ ] [STEP 7](#a): T",
    "- [ ] [STEP 7: T](#a)",
    "- [ ] **[STEP 7: T](#a)**",
    "- [ ] [STEP 7] T",
    "- [ ] [STEP 7]: T",
    "- [ ] \\[STEP 7\\]: T",
    "> - [ ] **STEP 7**: T",
    "> > - [ ] STEP 7: T",
    "1. - [ ] **STEP 7**: T",
    "  * [ ] **STEP 7**: T",
    "2) [ ] STEP 7: T",
    "-\xa0[ ] **STEP 7**: T",
    "- [\xa0] **STEP 7**: T",
    "- [ ]\xa0**STEP 7**: T",
    "- [ ] **STEP\xa07**:\xa0T",
    "- [ ] **STEP #7**: T",
    "- [ ] **STEP-7**: T",
    "- [ ] **STEP_7**: T",
    "- [ ] **STEP7**: T",
    "- [ ] **STEP №7**: T",
    "- [ ] 🎭 **STEP 7**: T",
    "- [ ] ▶️ **STEP 7**: T",
    "- [ ] **🎭 STEP 7**: T",
    "- [ ] :rocket: **STEP 7**: T",
    '- [ ] <a id="s7"></a>**STEP 7**: T',
    '- [ ] <a id="s7"></a> **STEP 7**: T',
    "- [ ] <b>STEP 7</b>: T",
    "- [ ] ~~**STEP 7**: T~~",
    "- [ ] `STEP 7`: T",
    "- [ ] `STEP 7: T`",
    "- [ ] ### STEP 7: T",
    "-\t[ ]\t**STEP\t7**:\tT",
    "- \\[ \\] **STEP 7**: T",
    "- [ ] **STEP 007**: T",
    "- [ ] **STEP 7**&nbsp;- T",
    "- [ ] **STEP \\#7**: T",
]
NO_TITLE = ["- [ ] **STEP 7**", "- [ ] STEP 7", "- [ ] **STEP 7:**", "- [ ] __STEP 7__  "]
CHANGES = (
    *((PASSED, "x"), (FAILED, " "), (STARTED, "~"), (BY_HAND, "x"), (BY_HAND, " "), (STARTED, "x")),
    *((None, "-"), (PASSED, "!"), (None, " ")),
)


def round_trip(line: str, title: str) -> None:
    """Give the line each mark after the other; its number and title stay, nothing stacks, and it ends as it began."""
    data = line.encode()
    for mark, state in CHANGES:
        patched = patch(data, find(data, 7), state=state, mark=mark)
        (box,) = boxes(patched)
        assert (box.number, box.title, box.state, box.mark) == (7, title, state, mark)
        assert (patch(patched, box, state=state, mark=mark), patched.count(b"2026-11-22")) == (patched, int(bool(mark)))
        data = patched
    assert data.decode() == line.replace("\\[ \\]", "[ ]").replace("[\xa0]", "[ ]")


@pytest.mark.parametrize("line", SPELLINGS)
def test_a_spelling_is_read_and_keeps_its_title_under_every_mark(line: str) -> None:
    round_trip(line, "T")


@pytest.mark.parametrize("line", NO_TITLE)
def test_a_line_may_have_no_title(line: str) -> None:
    round_trip(line, "")


OPENERS = ["- [ ] ", "* [ ] ", "+ [ ] ", "3. [ ] ", "> - [ ] ", "-\xa0[ ] ", "-   [ ]  "]
BEFORE = ["", "🎭 ", '<a id="x"></a>', "✅ ", ":a_b: "]
AROUND = [
    ("**", "**"),
    ("__", "__"),
    ("*", "*"),
    ("", ""),
    ("[", "](#x)"),
    ("**[", "](#x)**"),
    ("`", "`"),
    ("<b>", "</b>"),
]
SEPARATORS = [": ", " - ", " — ", ". ", "\uff1a ", ") ", ":"]
TITLES = st.text(st.sampled_from("aB 7-(é模&;,/'"), max_size=12).map(str.strip)


@given(st.sampled_from(OPENERS), st.sampled_from(BEFORE), st.sampled_from(AROUND), st.sampled_from(SEPARATORS), TITLES)
def test_spellings_that_are_put_together_are_read(
    opener: str, before: str, around: tuple[str, str], separator: str, title: str
) -> None:
    line = f"{opener}{before}{around[0]}STEP 7{around[1]}{separator}T{title}"
    round_trip(line, f"T{title}")
    whole = f"{opener}{before}{around[0]}STEP 7{separator}T{title}{around[1]}"
    round_trip(whole, f"T{title}")


def test_step_1_is_never_step_10() -> None:
    data = b"- [ ] STEP 10: a\n- [ ] STEP 1: b\n- [ ] **STEP 11: c**\n- [ ] **STEP 101** d\n"
    assert [box.number for box in boxes(data)] == [10, 1, 11, 101]
    assert tick(data, 1, PASSED).splitlines()[::2] == data.splitlines()[::2]


def test_two_lines_of_a_step_in_two_spellings_are_refused() -> None:
    with pytest.raises(SpecError, match=r"SPEC\.md has step 7 twice: lines 1 and 2; keep one"):
        find(b"- [ ] **STEP 7: T**\n- [ ] **STEP 7**: T\n", 7)


def test_a_quoted_line_counts_only_when_there_is_no_other() -> None:
    data = b"> - [ ] **STEP 7**: like this\n> - [ ] **STEP 8**: b\n\n- [ ] **STEP 7**: a\n"
    assert [(box.number, box.line) for box in boxes(data)] == [(8, 2), (7, 4)]
    assert find(data, 7).line == 4


def test_a_plain_list_of_steps_below_a_step_is_its_own() -> None:
    data = b"- [ ] **STEP 1**: a\n  - [ ] Step 1: install\n  - [ ] Step 2: reboot\n- [ ] **STEP 2**: b\n"
    assert [(box.number, box.line) for box in boxes(data)] == [(1, 1), (2, 4)]
    assert (find(data, 1).line, find(data, 2).line) == (1, 4)


def test_a_plain_list_of_steps_below_something_else_is_the_plan() -> None:
    assert [box.number for box in boxes(b"- Phase one\n  - [ ] Step 1: a\n  - [ ] Step 2: b\n")] == [1, 2]


@pytest.mark.parametrize(
    "before",
    ["", "\n", "# Plan\n\n", "# Plan\r\n\r\n", "# Plan\n \t\n", "text\n\n", "- item\n\ntext\n\n", "```\ncode\n```\n\n"],
)
@pytest.mark.parametrize("indent", ["    ", "\t", "     "])
def test_a_line_as_deep_as_code_is_code(before: str, indent: str) -> None:
    data = f"{before}{indent}- [ ] **STEP 7**: T\n".encode()
    assert (boxes(data), list(near_misses(data))) == ((), [7])


@pytest.mark.parametrize("before", ["- item\n\n", "- item\n", "1. item\n\n   text\n\n", "text\n"])
def test_a_line_in_a_list_is_no_code(before: str) -> None:
    assert [box.number for box in boxes(f"{before}    - [ ] **STEP 7**: T\n".encode())] == [7]


@pytest.mark.parametrize(
    "around",
    [
        "<details>\n<summary>Plan</summary>\n\n{}\n\n</details>\n",
        "---\ntitle: A plan\n---\n{}\n",
        "---\n{}\n---\n",
        "Plan\n====\n{}\n",
        "Plan\n---\n\n{}\nEnd\n---\n",
        "- [ ] **STEP 1**: a\n  ---\n{}\n",
    ],
)
def test_what_stands_around_a_line_hides_it_not(around: str) -> None:
    data = around.replace("{}", "- [ ] **STEP 7**: T").encode()
    ticked = tick(data, 7, PASSED)
    assert (
        ticked.replace(b"[x]", b"[ ]").replace(
            b" \xe2\x9c\x93 [task_id: task_7_a1b2c3d4] [2026-11-22 11:00] (1 proven)", b""
        )
        == data
    )


# Lines that nearly are one


NEARLY = {
    "- [] **STEP 7**: T": "- [ ] **STEP 7**: T",
    "* [ ] STEPS 7: T": "- [ ] **STEP 7**: T",
    "-[ ] **STEP 7**: T": "- [ ] **STEP 7**: T",
    "- [ ]**STEP 7**: T": "- [ ] **STEP 7**: T",
    "- [ x ] **STEP 7**: T": "- [x] **STEP 7**: T",
    "- [v] **STEP 7**: T": "- [x] **STEP 7**: T",
    "- [✓] **STEP 7**: T": "- [x] **STEP 7**: T",
    "- [?] **STEP 7**: T": "- [ ] **STEP 7**: T",
    "[ ] **STEP 7**: T": "- [ ] **STEP 7**: T",
    "- **STEP 7**: T": "- [ ] **STEP 7**: T",
    "- STEP 7: T": "- [ ] **STEP 7**: T",
    "1. **STEP 7**: T": "- [ ] **STEP 7**: T",
    "**STEP 7**: T": "- [ ] **STEP 7**: T",
    "- **[ ] STEP 7**: T": "- [ ] **STEP 7**: T",
    "- ☐ **STEP 7**: T": "- [ ] **STEP 7**: T",
    "- ☑ **STEP 7**: T": "- [x] **STEP 7**: T",
    "- ( ) **STEP 7**: T": "- [ ] **STEP 7**: T",
    "- [ **STEP 7**: T": "- [ ] **STEP 7**: T",
    "• [ ] **STEP 7**: T": "- [ ] **STEP 7**: T",
    "- [ ] **STPE 7**: T": "- [ ] **STEP 7**: T",
    "- [ ] **STEP seven**: T": "- [ ] **STEP 7**: T",
    "- [ ] **STEP 7/9**: T": "- [ ] **STEP 7**: T",
    "- [ ] **STEP 7 T**": "- [ ] **STEP 7**: T",
    "- [ ] Step 7 of the guide was read": "- [ ] **STEP 7**: of the guide was read",
    "# Plan\n\n    - [ ] **STEP 7**: T": "- [ ] **STEP 7**: T",
    "- [ ] **STEP 1**: a\n  - [ ] Step 7: T": "- [ ] **STEP 7**: T",
    "- [] **STEP 7**: T ✓ [task_id: t] [2026-11-22 10:30] (2 proven)": "- [ ] **STEP 7**: T",
}


@pytest.mark.parametrize("text", NEARLY)
def test_a_line_that_nearly_is_one_is_told_with_the_form_that_is(text: str) -> None:
    line = text.count("\n") + 1
    told = f"line {line} looks like step 7 but is not: write `{NEARLY[text]}`"
    assert near_misses(text.encode()) == {7: told}
    with pytest.raises(SpecError) as refused:
        find(text.encode(), 7)
    assert str(refused.value) == f"step 7 is not in SPEC.md; {told}"


@pytest.mark.parametrize("text", NEARLY)
def test_no_second_line_is_added_beside_one_that_nearly_is_it(text: str) -> None:
    with pytest.raises(SpecError, match="step 7 gets no second line; line"):
        append_line(text.encode(), 7, "T")


@pytest.mark.parametrize("form", NEARLY.values())
def test_the_form_that_is_told_is_a_step_line(form: str) -> None:
    assert [box.number for box in boxes(form.encode())] == [7]


@pytest.mark.parametrize(
    "text",
    [
        "## STEP 7: T",
        "Step 7 is described here",
        "STEP 7: T",
        "- Step 7: reboot",
        "- step 7 is to reboot",
        "- [ ] Do STEP 7",
        "- [ ] **STEP 7.1**: T",
        "- [ ] **STEP 7-9**: T",
        "- [ ] **STEP 7a**: T",
        "- [ ] **STOP 7**: T",
        "| STEP 7 | T |",
        "```\n- [] **STEP 7**: T\n```",
        "<!-- - [] **STEP 7**: T -->",
        "- [ ] **STEP 7**: T\n- [] **STEP 7**: T",
    ],
)
def test_other_text_is_not_nearly_a_line(text: str) -> None:
    assert near_misses(text.encode()) == {}


# A file of any size


def test_work_is_linear_in_what_looks_like_steps() -> None:
    odd = b"- [ ] **STEP 1 \n" * 20_000 + b"- [] **STEP 2**: b\n" * 20_000 + b"- [ ] [STEP 3" * 5_000 + b"\n"
    assert (len(boxes(odd)), list(near_misses(odd))) == (20_001, [2])  # the last line is one of step 3


def test_a_failed_step_takes_no_words_from_a_person() -> None:
    data = b"- [ ] STEP 7: T\n  Words of a person.\n"
    assert fail(data, 7, FAILED).endswith(b": exit 3\n  Words of a person.\n")

"""Ticking survives any SPEC.md: only the ticked line's state and suffix ever change."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from executor.errors import SpecError
from executor.plan.spec.spec_md import Box, Mark, append_line, boxes, fail, find, patch, tick

SPEC = """# Spec

### Task Tracking
- [x] **STEP 1**: Check API access ✓ [task_id: task_1_a1b2c3d4] [2026-11-22 10:30] (2 proven, 1 claimed)
- [X] **STEP 2:** Install ✓ [2024-11-13 10:30:05.123456]
- [ ] **STEP 3**: Explore – «模型» ✗ Failed [task_id: task_3_a1b2c3d4] [2026-11-22 10:30]: exit 3: no model
  - note with `code`
  - [~] **STEP 4**: Nested ⏳ started [task_id: task_4_a1b2c3d4] [2026-11-22 10:30]
    ```sh
    - [ ] **STEP 4**: an example
    ```
* [ ] **STEP 10**: Ten [with] ✓ brackets
1. [-] **step 11**: Dropped

<!--
- [ ] **STEP 5**: old
-->
~~~md
````
- [ ] **STEP 6**: fenced
~~~
+ [!] **STEP 7**: By hand ✓ by hand [2026-11-22 10:30]: Ann: seen
\t- [ ] **STEP 8**:

## STEP 1: Check API access
1. Do it.
"""
TEXTS = [SPEC.encode(), b"\xef\xbb\xbf" + SPEC.replace("\n", "\r\n").encode(), SPEC.rstrip().encode(), b""]
PIECES = [
    *(b"- [ ] **STEP 3**: again\n", b"- [ ] **STEP 12**: new", b"**STEP 3**:", b"STEP 1", b"[x]", b"[ ]", b"[", b"]"),
    *(b"```", b"````\n", b"~~~", b"<!--", b"-->", b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b"    ", b"  ", b"- ", b"> "),
    *("✓ ✗ ⏳".encode(), b"\xe2", b"\xe2\x9c", b"\xff", b"\x00", b"\xef\xbb\xbf", "✓\ufe0f".encode(), b"0", b":", b"("),
    *(
        " ✓ [task_id: t] [2026-11-22]".encode(),
        " ✗ Failed [2026-11-22 10:30]: a".encode(),
        b" [2026-11-22 10:30]",
        b")",
    ),
]
# Where (of a thousand), how many bytes go, what comes instead.
CUTS = st.tuples(
    st.integers(0, 1000), st.sampled_from([0, 0, 1, 2, 5, 40, 200]), st.sampled_from(PIECES) | st.binary(max_size=3)
)
PASSED = Mark("passed", "task_8_a1b2c3d4", "2026-11-22 11:00", "1 proven (really), 1 claimed")
FAILED = Mark("failed", "task_8_a1b2c3d4", "2026-11-22 11:00", "```eval``` <!-- [exit] 3\n✗")
TICKED = " ✓ [task_id: task_8_a1b2c3d4] [2026-11-22 11:00] (1 proven really , 1 claimed)".encode()
CROSSED = " ✗ Failed [task_id: task_8_a1b2c3d4] [2026-11-22 11:00]: ```eval``` <!-- (exit) 3 ×".encode()

WHEN = b" [2026-11-22 11:00]"
# The reason of a tick would be read as one with the brackets that stand in the title.
WITHOUT_REASON = (
    b"# Spec\n\n### Task Tracking\n- [x] **STEP 1**:[ [task_id: task_3_a1b2c3d4] [2026-11-22 10:30]: exit 3: no model\n"
    b" Nested \xe2\x8f\xb3 started [task_id: task_4_a1b2c3d4] [2026-11-22 10:30]\n**STEP 3**:*\n"
)
GLYPHS = ("✓".encode(), "✗".encode(), "⏳".encode())


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = draw(st.sampled_from(TEXTS))
    for place, gone, piece in draw(st.lists(CUTS, max_size=8)):
        at = place * len(data) // 1000
        data = data[:at] + piece + data[at + gone :]
    return data


def without_place(box: Box) -> Box:
    return box.replace(start=0, end=0, line=0)  # a mark that was wrapped takes a line less


def only_the_line_changed(data: bytes, box: Box, patched: bytes, state: bytes, suffix: bytes) -> None:
    after = len(data) - box.end
    assert patched.startswith(data[: box.start])
    assert patched.endswith(data[box.end :])
    old, new = data[box.start : box.end], patched[box.start : len(patched) - after]
    bracket = old.index(b"[") + 1
    # A box that an editor has escaped is written as one that is not.
    old, new = (text[:bracket] + text[bracket:].removeprefix(b"\\") for text in (old, new))
    if suffix not in new:  # it would not read back beside this text: the reason is in the log alone
        suffix = suffix.partition(WHEN)[0] + WHEN
    kept, _, tail = new.rpartition(suffix)
    if box.mark and not old.startswith(kept[bracket + 1 :], bracket + 1):
        # A mark within a line is replaced by one at its end: all that stood around it stays.
        bare = patch(data, box, state=state.decode(), mark=None)[box.start : len(data) - after]
        assert bare.startswith(kept + tail)
        return
    gone = old[len(kept) :].removesuffix(tail)
    assert (new[:bracket], new[bracket : bracket + 1].lower()) == (old[:bracket], state)
    assert kept[bracket + 1 :] + gone + tail == old[bracket + 1 :]
    assert gone.lstrip(b" \t").startswith(GLYPHS) if box.mark else gone == tail == b""


def one_line_is_ticked(data: bytes) -> None:
    numbers = [box.number for box in boxes(data)]
    for place, box in enumerate(boxes(data)):
        if numbers.count(box.number) > 1:
            with pytest.raises(SpecError, match="keep one"):
                find(data, box.number)
            continue
        ticked, crossed = tick(data, box.number, PASSED), fail(data, box.number, FAILED)
        only_the_line_changed(data, box, ticked, b"x", TICKED)
        only_the_line_changed(data, box, crossed, b" ", CROSSED)
        assert tick(ticked, box.number, PASSED) == ticked
        assert tick(crossed, box.number, PASSED).count(TICKED) == 1
        old, new = [*map(without_place, boxes(data))], [*map(without_place, boxes(ticked))]
        assert new.pop(place).title == old.pop(place).title
        assert new == old


def one_line_is_added(data: bytes) -> None:
    try:
        added = append_line(data, 9, "Nine")
    except SpecError:
        return
    same = next((at for at in range(len(data)) if added[at] != data[at]), len(data))
    assert find(added, 9).title == "Nine"
    assert added.endswith(data[same:])
    assert [(box.number, box.title, box.mark) for box in boxes(added) if box.number != 9] == [
        (box.number, box.title, box.mark) for box in boxes(data)
    ]


@given(mutated())
@example(WITHOUT_REASON)
@example(b"- [\\ ] **STEP 3**: Explore")
@settings(max_examples=300, deadline=None)
def test_any_spec_changes_only_in_the_ticked_line(data: bytes) -> None:
    one_line_is_ticked(data)


@given(mutated())
@settings(max_examples=300, deadline=None)
def test_any_spec_takes_one_more_line(data: bytes) -> None:
    one_line_is_added(data)


@pytest.mark.deep
@pytest.mark.timeout(900)
@given(mutated())
@settings(max_examples=10_000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_ten_thousand_specs_change_only_in_the_ticked_line(data: bytes) -> None:
    one_line_is_ticked(data)
    one_line_is_added(data)

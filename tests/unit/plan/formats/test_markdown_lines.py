"""Hold the reader of Markdown lines to CommonMark's reading: it agrees, or it says that it is not certain."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.plan.formats.item_text import paragraph_end
from executor.plan.formats.markdown_items import BOX
from executor.plan.formats.markdown_lines import scan
from executor.plan.formats.spec_kit_plan import SpecKitPlan
from tests.unit.plan.formats import oracle

INDENTS = ("", "", "", "  ", "    ", " ", "   ", "      ", "\t", "        ", "> ", ">", "  > ", "- ", "1. ")
PIECES = (
    *("- [ ] T001 a", "- [x] T002 b", "* [X] c", "+ [ ] T003 plus", "1. [ ] one", "2. [x] two", "- plain", "* other"),
    *(
        "1. num",
        "3. num",
        "text",
        "more text",
        "",
        "",
        "",
        "```",
        "```bash",
        "~~~",
        "````",
        "<!-- c -->",
        "<!--",
        "-->",
    ),
    *("<div>", "</div>", "<details>", "# H", "## Phase", "---", "===", "- [ ]", "-", "-     [ ] T005 deep", "- "),
    *("-\t[ ] T006 tab", "- - [ ] nest", "- 1. [x] nest", "> - [ ] q", "> text", "<br>", "-[ ] tight", "- [~] T7"),
    *("- [-] T8", "- [ x] T9", "- [x](u)", "* * *", "<pre>", "</pre>", "- ```", "- # h", "- > q", "- <div>", "-- "),
    *("- [ ] \u00a0T1", "|a|b|", "<http://x>", "- [x][US1] T2", "  ", "\t", "- [ ] donâ€™t é", "- [P] label"),
    *("## Active Tasks", "- **Status**: 🟡 To Do", "### 🔴 Title ⏳", "- ⏳ **T**: 🟡 Active", "- **Status**: ✅ Done"),
    *("- [x] a ✅ <# Done 2025-04-03 #>", "- **Sub-tasks**:", "- #### Heading", "2. **Phase**: ✅", "- [ ] b ⏳"),
)
LINES = st.tuples(st.sampled_from(INDENTS), st.sampled_from(PIECES)).map("".join) | st.sampled_from(PIECES)


@st.composite
def documents(draw):
    eol = draw(st.sampled_from(("\n", "\n", "\r\n")))
    text = eol.join(draw(st.lists(LINES, min_size=1, max_size=12))) + draw(st.sampled_from((eol, "")))
    return (draw(st.sampled_from(("", "", "\ufeff"))) + text).encode()


def read(data, *, every=False):
    """Return mark and doubt of each box by its line."""
    lines = scan(data, SpecKitPlan.head, SpecKitPlan.bare, every=every)
    boxes = [item for item in lines.items if item[BOX] is not None]
    starts = [item.start() for item in lines.items]
    assert starts == sorted(set(starts))
    return {lines.line_of(item.start()): (item[BOX], lines.doubt(item.start())) for item in boxes}


def reads_as_commonmark(data, *, every):
    ours, theirs = read(data, every=every), oracle.boxes(data)
    assert {line for line, (_, doubt) in ours.items() if not doubt} <= theirs.keys()
    assert {line for line, mark in theirs.items() if mark in " xX~-" or mark.strip() == "x"} <= ours.keys()


@given(documents(), st.booleans())
def test_a_box_is_read_as_commonmark_reads_it_or_called_ambiguous(data, every):
    reads_as_commonmark(data, every=every)


@pytest.mark.deep
@given(documents(), st.booleans())
def test_boxes_of_many_documents_are_read_as_commonmark_reads_them(data, every):
    reads_as_commonmark(data, every=every)


def test_a_fence_that_may_be_text_of_a_paragraph_leaves_a_doubt_about_the_tags_behind_it():
    data = b"   - [-] T8\n   text\n    ~~~\n<br>\n- [ ] T001 a\n"
    assert oracle.boxes(data) == {1: "-"}
    assert read(data)[5] == (b" ", "in an HTML block")


@given(documents())
def test_the_end_of_an_item_that_wraps_is_the_end_of_its_paragraph_or_not_certain(data):
    lines, ends = scan(data, SpecKitPlan.head, SpecKitPlan.bare), oracle.paragraph_ends(data)
    for item in lines.items:
        end, is_certain = paragraph_end(lines, item.start())
        first = lines.line_of(item.start())
        if is_certain and not lines.doubt(item.start()) and first in ends:
            assert lines.line_of(end - 1) == ends[first]


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("text\n\n    - [ ] a\n", "indented like code"),
        ("text\n    - [ ] a\n", "goes on a paragraph"),
        ("-     [ ] a\n", "five or more blanks behind its marker"),
        ("text\n2. [ ] a\n", "goes on a paragraph"),
        ("<div>\n- [ ] a\n</div>\n", "in an HTML block"),
        ("<!--\n- [ ] a\n", "in a comment that never closes"),
        ("```\n- [ ] a\n", "in a fence that never closes"),
        ("- [ ]a\n", "no blank behind its box"),
        ("-\u00a0[ ] a\n", "no list item for CommonMark"),
        ("- [ ] a\rb\n", "the file has carriage returns that end no line"),
        (
            "```\n- [ ] a\n```sh\ncode\n```\n",
            "in a fence that holds the opener of another: one of them may never close",
        ),
        ("```\n- [ ] a\n```\ncode\n```\n", "in a fence, while another never closes"),
    ],
)
def test_a_line_that_may_be_read_otherwise_stays_and_says_why(text, doubt):
    assert [found for _, found in read(text.encode()).values()] == [doubt]


@pytest.mark.parametrize(
    "text", ["```\n- [ ] a\n```\n", "<!-- - [ ] a -->\n", "---\nkey: 1\n---\n", "- [P] a\n", "- [1] a\n"]
)
def test_what_is_hidden_or_a_label_is_no_item(text):
    assert read(text.encode()) == {}


def test_items_are_the_same_whichever_way_they_are_read():
    parts = ["- [ ] T1 a", "", "  - [x] T2 b", "# H", "> - [ ] T3 c", "1. [ ] T4 d"]
    for order in itertools.permutations(parts):
        data = "\n".join(order).encode()
        assert read(data) == read(data, every=True)


@given(documents())
def test_the_place_of_an_item_is_the_same_whichever_way_it_is_read(data):
    fast, slow = (scan(data, SpecKitPlan.head, SpecKitPlan.bare, every=every) for every in (False, True))
    boxes = {item.start() for item in fast.items}  # the slow way keeps items without a box too
    for item in fast.items:
        mine, theirs = fast.contexts.get(item.start()), slow.contexts.get(item.start())
        if mine and theirs:
            assert (mine.columns, mine.doubt) == (theirs.columns, theirs.doubt)
            assert mine.parent == theirs.parent or theirs.parent not in boxes


def test_a_fence_that_is_code_by_its_indent_and_no_text_of_the_item_leaves_its_end_uncertain():
    lines = scan(b"   - [ ] T001 a\n    ```\n", SpecKitPlan.head, SpecKitPlan.bare)
    assert not paragraph_end(lines, lines.items[0].start())[1]

"""Offsets in JSON text agree with the json module."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.plan.formats import json_spans

WORDS = st.text(st.sampled_from('status"\\/:{}[], \n\té🎯'), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
STYLES = st.sampled_from(
    [{}, {"indent": 2}, {"indent": "\t"}, {"separators": (" , ", " : ")}, {"ensure_ascii": False, "indent": 1}]
)


@given(value=VALUES, style=STYLES, before=st.sampled_from(["", "\n", "\ufeff", "\ufeff\r\n "]))
def test_each_span_is_the_text_of_its_value(value, style, before):
    text = before + json.dumps(value, **style) + "\n"
    for path, _, start, end, found in json_spans.spans(text, lambda path: len(path) < 3):
        there = value
        for key in path:
            there = there[key]
        assert found == there == json.loads(text[start:end])


@given(value=st.dictionaries(WORDS, VALUES, max_size=4), new=st.dictionaries(WORDS, VALUES, max_size=3), style=STYLES)
def test_members_are_replaced_or_added_and_all_else_stays(value, new, style):
    text = json.dumps(value, **style)
    edits = json_spans.placed(text, 0, {name: json.dumps(one) for name, one in new.items()})
    assert json.loads(json_spans.edited(text, edits)) == {**value, **new}


@given(values=st.lists(VALUES, max_size=3), new=VALUES, style=STYLES)
def test_an_element_is_added_behind_the_last(values, new, style):
    text = json.dumps(values, **style)
    assert json.loads(json_spans.edited(text, json_spans.appended(text, 0, new))) == [*values, new]


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a"}', '{"a": }', '{"a": 1,}', "{'a': 1}", "[1,]", "[1 2]", "[1", '{"a": 1} 2', "nul", '{"a" 1}'],
)
def test_text_that_is_not_json_is_refused_with_its_place(text):
    with pytest.raises(json.JSONDecodeError):
        [*json_spans.spans(text, lambda path: len(path) < 9)]


def test_a_doubled_key_has_no_one_value():
    with pytest.raises(ValueError, match="the key a stands twice"):
        json_spans.members('{"a": 1, "a": 2}', 0)


def test_added_members_stand_on_lines_of_their_own_where_the_others_do():
    text = '{\n  "status": "pending",\n  "tags": []\n}'
    edits = json_spans.placed(text, 0, {"started_at": '"now"'}, after="status")
    assert json_spans.edited(text, edits) == '{\n  "status": "pending",\n  "started_at": "now",\n  "tags": []\n}'


def test_the_line_of_a_value_is_found_by_its_path():
    text = '{\n "a": {\n  "b": 1,\n  "c": 2\n }\n}'
    assert json_spans.line_of(text, ("a", "c")) == 4
    assert json_spans.line_of(text, ("a", "d")) == 0

"""Holds how an agent's output is read: any cutting gives the same turns, nothing in it breaks the reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.runners.agent_events import MOST_CALL, MOST_TEXT, Closed, Stream, Turned

INIT = {"type": "system", "subtype": "init", "session_id": "5e55-10", "cwd": "/home/ann/plan", "tools": ["Bash"]}


def text(said):
    return {"type": "text", "text": said}


def call(name, key="t1", **given):
    return {"type": "tool_use", "id": key, "name": name, "input": given}


def assistant(key, *blocks, parent=None, usage=(100, 1, 0, 0), **more):
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    message = {"id": key, "role": "assistant", "content": list(blocks), "usage": dict(zip(names, usage, strict=True))}
    return {"type": "assistant", "message": {**message, **more}, "parent_tool_use_id": parent}


def result(key="t1", content="ok", *, failed=False, parent=None):
    block = {"type": "tool_result", "tool_use_id": key, "content": content, "is_error": failed}
    return {"type": "user", "message": {"content": [block]}, "parent_tool_use_id": parent}


def end(**fields):
    return {"type": "result", "subtype": "success", "is_error": False, "result": "all done", **fields}


def wire(*events):
    return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in events)


def read(*events):
    return Stream().feed(wire(*events))


WORK = wire(
    INIT,
    assistant("m1", text("let me see – naïve ✓")),
    assistant("m1", call("Bash", command="python x.py")),
    result(content="Exit code 3\nno such file", failed=True),
    assistant("m2", call("Edit", file_path="/home/ann/plan/scripts/a.py", old_string="a")),
    result(),
    {"type": "system", "subtype": "api_retry", "attempt": 1},
    assistant("m3", text("all done")),
    end(total_cost_usd=0.25, num_turns=9, usage={"input_tokens": 300, "output_tokens": 30}),
)
TURNS = [
    Turned(1, "let me see – naïve ✓", ("Bash: python x.py",), ("Exit code 3",), 101),
    Turned(2, "", ("Edit: scripts/a.py",), (), 202),
    Turned(3, "all done", (), (), 303),
    Closed(ok=True, kind="done", text="all done", turns=3, tokens=330, usd=0.25, session="5e55-10"),
]


def test_a_session_is_read_turn_by_turn() -> None:
    assert Stream().feed(WORK) == TURNS


@given(st.lists(st.integers(0, len(WORK)), max_size=40))
def test_any_cutting_gives_the_same_turns(cuts: list[int]) -> None:
    stream, found = Stream(), []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(WORK)], strict=True):
        found += stream.feed(WORK[start:stop])
    assert found + stream.close() == TURNS


@given(st.lists(st.binary(max_size=12)), st.lists(st.integers(0, 200), max_size=8))
def test_a_long_line_is_skipped_wherever_it_is_cut(junk: list[bytes], cuts: list[int]) -> None:
    data = b"\n".join([*junk, b"x" * 150, *junk, wire(end()).rstrip(), b"y" * 150])
    places = sorted(min(cut, len(data)) for cut in cuts)
    stream, found = Stream(most_line=120), []
    for start, stop in zip([0, *places], [*places, len(data)], strict=True):
        found += stream.feed(data[start:stop])
    assert [one.kind for one in found + stream.close() if isinstance(one, Closed)] == ["done"]


def test_a_line_that_never_ends_is_not_kept() -> None:
    stream = Stream(most_line=1000)
    for _ in range(100):
        stream.feed(b"x" * 500)
    assert sum(map(len, stream._held)) <= 1000


@given(st.binary())
def test_no_bytes_break_the_reader(data: bytes) -> None:
    stream = Stream()
    assert [one for one in stream.feed(data + b"\n" + wire(end())) if isinstance(one, Closed)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("subtype", "message", "session_id", "result", "errors", "usage", "total_cost_usd", "permission_denials", "cwd")
BLOCKS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "tool_use", "tool_result"])},
        optional={"text": JSON, "id": JSON, "name": JSON, "input": JSON, "tool_use_id": JSON, "content": JSON},
    ),
    max_size=3,
)
MESSAGES = st.fixed_dictionaries({}, optional={"id": JSON, "content": BLOCKS | JSON, "usage": JSON, "model": JSON})
EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["system", "assistant", "user", "result", "other"])},
    optional={**dict.fromkeys(KEYS, JSON), "message": MESSAGES | JSON, "parent_tool_use_id": JSON},
)


@given(st.lists(EVENTS, max_size=6))
def test_no_field_breaks_the_reader(events: list[dict]) -> None:
    stream = Stream()
    found = stream.feed(b"".join(json.dumps(one).encode() + b"\n" for one in events)) + stream.close()
    turns = [one.turn for one in found if isinstance(one, Turned)]
    assert turns == list(range(1, len(turns) + 1))


def test_a_turn_is_told_when_its_last_result_is_there() -> None:
    stream = Stream()
    stream.feed(wire(assistant("m1", call("Bash", "t1"), call("Bash", "t2")), result("t2")))
    assert [one.turn for one in stream.feed(wire(result("t1")))] == [1]


def test_a_turn_without_results_is_told_by_the_next() -> None:
    assert [one.turn for one in read(assistant("m1", text("a")), assistant("m2", text("b")))] == [1]


def test_a_turn_that_was_cut_off_is_told_at_the_end() -> None:
    stream = Stream()
    stream.feed(wire(assistant("m1", call("Bash", command="sleep 9"))))
    assert stream.close() == [Turned(1, "", ("Bash: sleep 9",), (), 101)]


def test_a_last_line_needs_no_end() -> None:
    stream = Stream()
    stream.feed(wire(end()).rstrip(b"\n"))
    assert [one.kind for one in stream.close()] == ["done"]


def test_nothing_is_told_twice() -> None:
    stream = Stream()
    stream.feed(WORK)
    assert [*stream.close(), *stream.close()] == []


def test_a_message_printed_in_blocks_is_counted_once() -> None:
    blocks = [assistant("m1", text(str(at)), usage=(100, 5, 20, 3)) for at in range(4)]
    (turn,) = read(*blocks, assistant("m2", text("x")))
    assert (turn.tokens, turn.text) == (128, "0\n\n1\n\n2\n\n3")


def test_what_a_subagent_says_is_no_turn_but_costs() -> None:
    inner = (assistant("s1", call("Bash", "t9"), parent="t1"), result("t9", parent="t1"))
    (turn,) = read(assistant("m1", call("Agent", description="look")), *inner, result("t1"))
    assert (turn.turn, turn.calls, turn.tokens) == (1, ("Agent: look",), 202)


def test_an_error_that_claude_code_writes_itself_is_no_turn() -> None:
    assert read(assistant("m1", text("API Error: 529"), model="<synthetic>"), assistant("m2")) == []


def test_a_late_block_of_a_turn_that_was_told_is_not_lost() -> None:
    found = read(assistant("m1", call("Bash", "t1")), result("t1"), assistant("m1", call("Read", "t2")), result("t2"))
    assert [(one.turn, one.calls, one.tokens) for one in found] == [(1, ("Bash",), 101), (2, ("Read",), 101)]


def test_the_most_that_is_told_of_tokens_counts() -> None:
    models = {"a": {"inputTokens": 700, "outputTokens": 7}, "b": {"cacheReadInputTokens": 90}}
    events = (assistant("m1", text("x")), end(usage={"input_tokens": 500}, model_usage_since_last_result=models))
    assert read(*events)[-1].tokens == 797


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"subtype": "error_max_turns"}, "turns"),
        ({"subtype": "error_max_budget_usd"}, "usd"),
        ({"subtype": "error_during_execution"}, "error"),
        ({"subtype": "error_circles"}, "circles"),
        ({"subtype": "error_not_met"}, "not_met"),
        ({"subtype": None}, "error"),
        ({"subtype": "success", "is_error": True}, "error"),
        ({"subtype": "success", "is_error": True, "api_error_status": 401}, "denied"),
        ({"subtype": "success", "is_error": True, "api_error_status": 529}, "rate_limit"),
        ({"subtype": "success", "is_error": True, "api_error_status": [1]}, "error"),
        ({"subtype": "error_during_execution", "terminal_reason": "aborted_tools"}, "interrupted"),
    ],
)
def test_an_end_that_is_no_success_has_a_kind(event: dict, kind: str) -> None:
    (closed,) = read({**end(), **event})
    assert (closed.ok, closed.kind) == (False, kind)


def test_the_reason_of_an_end_is_its_errors() -> None:
    (closed,) = read({"type": "result", "subtype": "error_max_turns", "errors": ["Reached 2", "x"]})
    assert closed.text == "Reached 2; x"


def test_a_diagnostic_of_an_abort_is_no_reason() -> None:
    (closed,) = read({"type": "result", "subtype": "error_during_execution", "errors": ["[ede_diagnostic] a=b"]})
    assert closed.text == ""


def test_what_was_denied_is_told_in_words() -> None:
    denied = [{"tool_name": "Bash", "tool_input": {"command": "rm -rf x"}}, {"tool_name": "Skill"}, "junk"]
    assert read(end(permission_denials=denied))[0].denials == ("Bash: rm -rf x", "Skill")


@pytest.mark.parametrize(
    ("block", "line"),
    [
        (call("Bash", command="echo a\n  echo b"), "Bash: echo a echo b"),
        (call("bash", command="ls"), "bash: ls"),
        (call("bash", restart=True), "bash"),
        (call("str_replace_based_edit_tool", command="create", path="a.py"), "editor: create a.py"),
        (call("Read", file_path="/etc/hostname"), "Read: /etc/hostname"),
        (call("Grep", pattern="x+"), "Grep: x+"),
        (call("done", criteria={}), "done"),
        (call("Bash", command="echo \x1b[31mred\x1b[0m\u202e"), "Bash: echo red\\u202e"),
        ({"type": "tool_use", "input": "junk"}, "a tool without a name"),
    ],
)
def test_a_call_is_one_clean_line(block: dict, line: str) -> None:
    (turn, _) = read(INIT, assistant("m1", block), end())
    assert turn.calls == (line,)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("Exit code 1\nmore", "Exit code 1"),
        ("\n\n  late", "late"),
        ("<tool_use_error>File is denied</tool_use_error>", "File is denied"),
        ([{"type": "text", "text": "in blocks\nx"}], "in blocks"),
        (None, "failed without a word"),
    ],
)
def test_a_failed_call_tells_its_first_line(content: object, line: str) -> None:
    (turn,) = read(assistant("m1", call("Bash")), result(content=content, failed=True))
    assert turn.failed == (line,)


def test_long_texts_are_cut() -> None:
    (turn, closed) = read(assistant("m1", text("a" * 9999), call("Bash", command="b" * 9999)), end(result="c" * 9999))
    assert (len(turn.text), len(turn.calls[0]), len(closed.text)) == (MOST_TEXT, MOST_CALL, MOST_TEXT)


def test_the_session_is_known_from_the_start() -> None:
    stream = Stream()
    stream.feed(wire(INIT))
    assert stream.session == "5e55-10"


@pytest.mark.parametrize("told", ["--dangerously-skip-permissions", "a b", "../x", "", 7, "x" * 200])
def test_a_session_that_is_no_plain_word_is_none(told: object) -> None:
    stream = Stream()
    stream.feed(wire({**INIT, "session_id": told}))
    assert stream.session == ""

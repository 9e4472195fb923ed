"""What the MCP server keeps of a child's output: the beginning, the end, and how much lies between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.system.output_tail import OUTPUT_TAIL

pytest.importorskip("anyio", reason="the extra mcp is not installed")
from executor.cli.mcp.calls import HeadAndTail


def gathered(*pieces, most_bytes):
    found = HeadAndTail(most_bytes)
    for piece in pieces:
        found.feed(piece)
    return found


@given(st.lists(st.integers(0, 3 * OUTPUT_TAIL), max_size=6), st.integers(0, 2 * OUTPUT_TAIL))
def test_what_is_left_out_lies_between_the_beginning_and_the_end(sizes, most_bytes):
    whole = bytes(97 + at % 26 for at in range(sum(sizes)))
    pieces = [whole[sum(sizes[:at]) : sum(sizes[: at + 1])] for at in range(len(sizes))]
    head, _, rest = gathered(*pieces, most_bytes=most_bytes).text().partition("\n[... ")
    lost, _, tail = rest.partition(" bytes left out ...]\n")
    assert whole.startswith(head.encode())
    assert whole.endswith(tail.encode())
    assert len(head) + int(lost or 0) + len(tail) == len(whole)
    assert not lost or (len(head), len(tail)) == (most_bytes, OUTPUT_TAIL)


@pytest.mark.parametrize(
    ("said", "newest"),
    [(b"", ""), (b"one\ntwo\n", "two"), (b"one\n\n  \n", "one"), (b"a\nb", "b"), (b"\xff\n", "\ufffd")],
)
def test_the_newest_line_is_the_last_that_says_something(said, newest):
    assert gathered(said, most_bytes=10).newest() == newest

"""Tests of the reader of growing files."""

from __future__ import annotations

import json
import os

import pytest

from executor.system.file_tail import LAST_BYTES, FileTail, at_end, last_bytes

BLOCK = 64
LATER_NS = 2**62


def add(path, data):
    with path.open("ab") as file:
        file.write(data)


def renamed(path, data):
    path.rename(path.with_suffix(".log.1"))
    path.write_bytes(data)


def replaced(path, data):
    beside = path.with_suffix(".new")
    beside.write_bytes(data)
    os.replace(beside, path)


def truncated(path, data):
    path.write_bytes(data)


def rewritten(path, data):
    """Change bytes in place: the inode and the size stay."""
    with path.open("r+b") as file:
        file.write(data)


def rotated_twice(path, data):
    path.rename(path.with_suffix(".log.2"))
    path.write_bytes(b"between\n")
    renamed(path, data)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train.log"


def read_all(path, state, **options):
    """Return all new lines, by as many readers as there are blocks; each knows only the stored state."""
    found = []
    while True:
        kept = json.loads(json.dumps(state))
        found += [*FileTail(str(path), kept, block_bytes=BLOCK, **options).lines()]
        state.clear()
        state.update(kept)
        if not state["behind"]:
            return found


@pytest.mark.parametrize(
    ("first", "change", "then", "lines"),
    [
        (b"one\n", add, b"two\nthree\n", [b"two", b"three"]),
        (b"one\n", add, b"", []),
        (b"one\ntw", add, b"o\n", [b"two"]),
        (b"one\n", add, b"torn", []),
        (b"one\r\n", add, b"two\r\n", [b"two"]),
        (b"one\r", add, b"\ntwo\n", [b"one", b"two"]),
        (b"one\n", add, b" 1%\r 2%\r", [b" 1%\r"]),
        (b"one\n", add, b"\0\0two\0\n", [b"\0\0two\0"]),
        (b"one\n", add, b"\xff\xfe\n", [b"\xff\xfe"]),
        (b"one\n", add, b"x" * 200 + b"\nafter\n", [b"after"]),
        (b"one\n", add, b"line\n" * 50, [b"line"] * 50),
        (b"one\n", truncated, b"", []),
        (b"one\ntwo\n", truncated, b"new\n", [b"new"]),
        (b"one\n", truncated, b"new\nlonger\n", [b"new", b"longer"]),
        (b"one\n", truncated, b"one\nlonger\n", [b"longer"]),
        (b"same start\n" * 9, truncated, b"new\n" * 40, [b"new"] * 40),
        (b"one\n", rewritten, b"two\n", [b"two"]),
        (b"one\n", replaced, b"new\n", [b"new"]),
        (b"one\n", replaced, b"one\nlonger\n", [b"longer"]),
        (b"one\n", renamed, b"new\n", [b"new"]),
        (b"one\n", renamed, b"", []),
        (b"one\nno end", renamed, b"new\n", [b"no end", b"new"]),
        (b"one\n", rotated_twice, b"new\n", [b"new"]),
    ],
)
def test_each_change_of_a_file_yields_its_new_lines_once(path, first, change, then, lines):
    path.write_bytes(first)
    state = {}
    read_all(path, state)
    change(path, then)
    assert (read_all(path, state), read_all(path, state)) == (lines, [])


def test_lines_added_before_a_rotation_come_first(path):
    path.write_bytes(b"one\n")
    state = {}
    read_all(path, state)
    add(path, b"two\n" * 40)
    renamed(path, b"three\n")
    assert (read_all(path, state), state["turned"]) == ([b"two"] * 40 + [b"three"], True)


@pytest.mark.parametrize(
    ("options", "lines", "at"),
    [
        ({}, [b"0123456"] * 7, 800),
        ({"first_bytes": 20}, [b"0123456"] * 2, 800),
        ({"first_bytes": 10_000}, [b"0123456"] * 100, 800),
        ({"began_ns": LATER_NS}, [], 800),
    ],
)
def test_the_first_read_begins_near_the_end(path, options, lines, at):
    path.write_bytes(b"0123456\n" * 100)
    state = {}
    assert (read_all(path, state, **options), state["at"]) == (lines, at)


def test_a_state_at_the_end_yields_what_comes_after(path):
    path.write_bytes(b"one\n")
    state = at_end(str(path))
    add(path, b"two\n")
    renamed(path, b"three\n")
    assert read_all(path, state) == [b"two", b"three"]


def test_of_a_missing_file_all_is_after(path):
    state = at_end(str(path))
    with pytest.raises(FileNotFoundError):
        read_all(path, state)
    path.write_bytes(b"one\n")
    assert read_all(path, state) == [b"one"]


@pytest.mark.parametrize(
    ("options", "lines"),
    [({}, []), ({"ended": True}, [b"no end"]), ({"is_whole": lambda line: line.endswith(b"end")}, [b"no end"])],
)
def test_a_last_line_without_an_end_waits_unless_it_is_whole(path, options, lines):
    path.write_bytes(b"no end")
    assert [*FileTail(str(path), {}).lines(**options)] == lines


def test_of_a_flood_the_newest_lines_are_read(path):
    path.write_bytes(b"one\n")
    tail = FileTail(str(path), {}, block_bytes=BLOCK)
    assert [*tail.newest_lines()] == [b"one"]
    with path.open("ab") as file:
        file.truncate(1 << 32)
    add(path, b"\nlast\n")
    assert [*tail.newest_lines()] == [b"last"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_regular_file_is_refused(path, make):
    make(path)
    with pytest.raises(OSError, match="not a file"):
        read_all(path, {})


def test_a_link_is_refused_where_the_flags_say_so(path):
    (path.parent / "other").write_bytes(b"one\n")
    path.symlink_to("other")
    assert read_all(path, {}) == [b"one"]
    with pytest.raises(OSError, match="symbolic"):
        read_all(path, {}, flags=os.O_NOFOLLOW)


def test_a_file_that_is_masked_in_place_goes_on(path):
    path.write_bytes(b"key 1234\n")
    state = {}
    read_all(path, state, compares=False)
    rewritten(path, b"key ****\n")
    add(path, b"two\n")
    assert read_all(path, state, compares=False) == [b"two"]


@pytest.mark.parametrize(
    ("change", "then", "gained"), [(add, b"two\n", 4), (truncated, b"a\n", 2), (renamed, b"three\n", 6), (add, b"", 0)]
)
def test_what_was_gained_is_counted_in_bytes(path, change, then, gained):
    path.write_bytes(b"first\n")
    state = {}
    read_all(path, state)
    change(path, then)
    read_all(path, state)
    assert state["gained"] == gained


def test_bytes_are_yielded_as_they_come(path):
    path.write_bytes(b"half a li")
    tail = FileTail(str(path), {}, block_bytes=BLOCK)
    first = [*tail.appended()]
    add(path, b"ne\n")
    renamed(path, b"new")
    assert (first, [*tail.appended()]) == ([b"half a li"], [b"ne\n", b"new"])


@pytest.mark.parametrize(
    ("content", "end"), [(b"short", b"short"), (b"sk-" + b"x" * LAST_BYTES + b" the end", b"the end"), (b"", b"")]
)
def test_the_last_bytes_begin_behind_a_blank(path, content, end):
    path.write_bytes(content)
    assert last_bytes(str(path)) == end

import os
import socket

import pytest

from executor.store import log_reader
from executor.system import safe_open
from executor.system.run_records import LOG_NAME

DEEP = (b"[" * 200_000, b'{"a": ' * 900 + b"1" + b"}" * 900, b'{"a": ' * 3000 + b"1" + b"}" * 3000)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "a"


def refused(path):
    with pytest.raises(OSError, match=r"not a file|symbolic links") as caught:
        safe_open.read_whole(str(path))
    return caught.value


def test_a_pipe_is_not_waited_for(place):
    os.mkfifo(place)
    assert "it is a pipe" in refused(place).strerror


def test_a_device_is_not_read(place):
    place.symlink_to("/dev/zero")
    assert "it is a device" in refused(place).strerror


def test_a_folder_is_no_file(place):
    place.mkdir()
    assert "it is a folder" in refused(place).strerror


def test_a_socket_is_no_file(place, monkeypatch):
    monkeypatch.chdir(place.parent)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place.name)
    assert "it is a socket" in refused(place).strerror


def test_a_link_that_leads_in_circles_is_refused(place):
    place.symlink_to(place.name)
    refused(place)


def test_a_file_is_read_whole_up_to_a_size(place):
    place.write_bytes(b"x" * 100_000)
    assert safe_open.read_whole(str(place)) == b"x" * 100_000
    with pytest.raises(OSError, match="more than"):
        safe_open.read_whole(str(place), most=99_999)


def test_a_sparse_file_of_a_terabyte_is_refused_unread(place):
    with place.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="more than 64 MiB"):
        safe_open.read_whole(str(place))


def test_a_file_of_the_kernel_that_says_it_is_empty_is_read():
    assert safe_open.read_whole("/proc/self/status").startswith(b"Name:")


def test_the_ends_of_a_file_are_read_alone(place):
    place.write_bytes(b"abcdef")
    assert (safe_open.read_start(str(place), 2), safe_open.read_end(str(place), 2)) == (b"ab", b"ef")
    assert (safe_open.read_start(str(place), 9), safe_open.read_end(str(place), 9)) == (b"abcdef", b"abcdef")


@pytest.mark.parametrize("text", [*DEEP, b"", b"[]", b"7", b"{", b"\xff{}"])
def test_what_is_no_record_says_nothing(place, text):
    place.write_bytes(text)
    assert safe_open.read_record(str(place)) == {}


def test_a_record_may_hold_many_values(place):
    place.write_bytes(b'{"a": [' + b"[1], " * 5000 + b"[2]]}")
    assert len(safe_open.read_record(str(place))["a"]) == 5001


def log_of(tmp_path, data):
    (tmp_path / LOG_NAME).write_bytes(data)
    return str(tmp_path / LOG_NAME)


def test_a_line_that_is_too_long_passes_for_an_empty_one(tmp_path):
    long = b"x" * (log_reader.MOST_LINE + 2 * log_reader.BLOCK)
    path = log_of(tmp_path, b"a\n" + long + b"\nb\nrest")
    assert [line for _, line in log_reader.lines(path)] == [b"a", b"", b"b"]
    assert [at for at, _ in log_reader.lines(path)] == [2, len(long) + 3, len(long) + 5]


@pytest.mark.parametrize("size", [0, 10, log_reader.BLOCK - 40, log_reader.BLOCK, 2 * log_reader.BLOCK + 7])
def test_a_line_that_crosses_blocks_is_whole_from_either_end(tmp_path, size):
    line = b'{"task_id": "task_1_aaaaaaaa", "event": "TaskStarted", "more": "' + b"y" * size + b'"}'
    path = log_of(tmp_path, b"z" * 100 + b"\n" + line + b"\n" + b"w" * 50 + b"\n")
    assert line in [found for _, found in log_reader.lines(path)]
    (found,) = log_reader.task_lines(str(tmp_path), "task_1_aaaaaaaa")
    assert len(found["more"]) == size


def test_the_lines_of_a_task_are_found_before_and_behind_a_line_that_is_too_long(tmp_path):
    first, last = (
        b'{"task_id": "task_1_aaaaaaaa", "event": "%s"}\n' % name for name in (b"TaskStarted", b"StepPassed")
    )
    log_of(tmp_path, first + b"task_1_aaaaaaaa" * (log_reader.MOST_LINE // 8) + b"\n" + last)
    found = log_reader.task_lines(str(tmp_path), "task_1_aaaaaaaa")
    assert [line["event"] for line in found] == ["TaskStarted", "StepPassed"]


def test_a_line_that_the_end_cuts_is_read_to_its_own_end(tmp_path):
    line = b'{"task_id": "task_1_aaaaaaaa", "event": "TaskStarted"}'
    log_of(tmp_path, line + b"\n")
    assert len(log_reader.task_lines(str(tmp_path), "task_1_aaaaaaaa", upto=len(line) - 5)) == 1


@pytest.mark.parametrize("line", [*DEEP, b"9" * 10_000, b"\0" * 5000])
def test_no_line_stops_the_fold(tmp_path, line):
    passed = b'{"v": 1, "timestamp": "2026-01-01T00:00:00.000Z", "task_id": "task_1_aaaaaaaa", "step": 1,'
    passed += b' "event": "StepPassed", "status": "passed"}'
    log_of(tmp_path, line + b"\n" + passed + b"\n")
    assert log_reader.recall(str(tmp_path)).states[1].verdict == "passed"

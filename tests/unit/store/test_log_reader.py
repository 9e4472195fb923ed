"""Holds the only reader of the log: the fold with its cache says what the whole log says."""

from __future__ import annotations

import json
import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.store import log_reader
from executor.store.state import fold
from executor.system.run_records import LOG_NAME

EVENTS = ("TaskStarted", "TestFinished", "MainFinished", "StepPassed", "StepFailed", "SpecTicked", "CheckFinished")


def line(event="TaskStarted", step=1, status="started", **more):
    at = {"v": 1, "timestamp": "2026-11-22T09:00:00.000Z", "task_id": f"task_{step}_0000000a", "step": step}
    return {**at, "phase": "MAIN", "event": event, "status": status, "digest": "d", "run": "main.1", **more}


def written(root, *lines, torn=b""):
    with open(os.path.join(root, LOG_NAME), "ab") as file:
        file.writelines(json.dumps(one).encode() + b"\n" for one in lines)
        file.write(torn)


def saved(root):
    log_reader.save(root, log_reader.recall(root))


def cache(root):
    return os.path.join(root, ".do-tasks", "state.json")


LINES = st.lists(
    st.builds(line, st.sampled_from(EVENTS), st.integers(1, 3), st.sampled_from(["passed", "failed", "started"])),
    max_size=12,
)


@given(LINES, LINES, st.sampled_from([b"", b'{"v": 1, "event": "Ta', b"\xff\xfe"]))
def test_a_log_recalled_in_two_halves_is_the_log_recalled_whole(first, second, torn):
    with tempfile.TemporaryDirectory() as root:
        written(root, *first, torn=torn)
        saved(root)
        written(root, *([] if not torn else [{}]), *second)
        halves = log_reader.recall(root)
        if os.path.exists(cache(root)):
            os.unlink(cache(root))
        whole = log_reader.recall(root)
        assert halves.states == whole.states == fold({}, [*first, *second])
        assert halves.offset == whole.offset == os.path.getsize(os.path.join(root, LOG_NAME))


def test_without_a_log_nothing_is_known(tmp_path):
    assert log_reader.recall(str(tmp_path)).states == {}


def test_a_cache_that_fits_is_used(tmp_path):
    root = str(tmp_path)
    written(root, line())
    saved(root)
    assert not log_reader.recall(root).rebuilt


def spoiled_inode(root):
    log = os.path.join(root, LOG_NAME)
    with open(log, "rb") as file:
        data = file.read()
    with open(f"{log}.new", "wb") as file:
        file.write(data)
    os.rename(f"{log}.new", log)


def truncated(root):
    with open(os.path.join(root, LOG_NAME), "r+b") as file:
        file.truncate(10)


def truncated_and_grown_again(root):
    log = os.path.join(root, LOG_NAME)
    size = os.path.getsize(log)
    with open(log, "r+b") as file:
        file.truncate(0)
    while os.path.getsize(log) <= size:
        written(root, line(step=2))


def rotated(root):
    log = os.path.join(root, LOG_NAME)
    os.rename(log, f"{log}.1")
    written(root, line("StepPassed", status="passed"))


def cache_of_a_log_that_was_not_rotated(root):
    with open(os.path.join(root, f"{LOG_NAME}.1"), "wb") as file:
        file.write(json.dumps(line(step=3)).encode() + b"\n")


def cache_broken(root):
    with open(cache(root), "w", encoding="utf-8") as file:
        file.write("{")


def cache_of_another_shape(root):
    with open(cache(root), "r+", encoding="utf-8") as file:
        body = json.load(file)
        body["steps"]["1"] = ["a"] * 99
        file.seek(0)
        json.dump(body, file)
        file.truncate()


def cache_of_another_version(root):
    with open(cache(root), "r+", encoding="utf-8") as file:
        body = json.load(file)
        body["version"] = "0"
        file.seek(0)
        json.dump(body, file)
        file.truncate()


def cache_gone(root):
    os.unlink(cache(root))


SPOILERS = [
    spoiled_inode,
    truncated,
    truncated_and_grown_again,
    rotated,
    cache_of_a_log_that_was_not_rotated,
    cache_broken,
    cache_of_another_shape,
    cache_of_another_version,
    cache_gone,
]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_a_cache_that_does_not_fit_is_built_anew(tmp_path, spoil):
    root = str(tmp_path)
    written(root, line(), line("MainFinished", status="passed"), line("StepFailed", status="failed", reason="r" * 300))
    saved(root)
    spoil(root)
    found = log_reader.recall(root)
    assert found.rebuilt
    assert found.states == in_order(root)


def in_order(root):
    """The fold of every line that parses, read without follow."""
    records = []
    for path in [*sorted(map(str, log_reader.rotated(root))), os.path.join(root, LOG_NAME)]:
        with open(path, "rb") as file:
            records += [log_reader.parse(one) or {} for one in file.read().split(b"\n")]
    return fold({}, records)


def test_of_a_long_log_with_a_cache_only_the_end_is_read(tmp_path):
    root = str(tmp_path)
    written(root, line(), line("MainFinished", status="passed"))
    written(root, *[line("CheckFinished", status="passed")] * 200_000)
    saved(root)
    written(root, line("StepPassed", status="passed", note="1 proven"))
    before = log_reader.recall(root)
    with open(os.path.join(root, LOG_NAME), "r+b") as file:  # what is not read may be anything
        file.write(b"\0" * (os.path.getsize(file.name) - 4096))
    after = log_reader.recall(root)
    assert not after.rebuilt
    assert after == before
    assert (after.states[1].verdict, after.states[1].main_run) == ("passed", "main.1")


def test_a_torn_last_line_is_left_until_it_is_whole(tmp_path):
    root = str(tmp_path)
    whole = json.dumps(line("StepPassed", status="passed")).encode()
    written(root, line(), torn=whole[:40])
    saved(root)
    assert log_reader.recall(root).states[1].verdict == ""
    with open(os.path.join(root, LOG_NAME), "ab") as file:
        file.write(whole[40:] + b"\n")
    assert log_reader.recall(root).states[1].verdict == "passed"


def test_rotated_logs_are_read_oldest_first(tmp_path):
    root = str(tmp_path)
    for number, verdict in ((10, "passed"), (9, "failed")):
        path = tmp_path / f"{LOG_NAME}.{number}"
        path.write_text(json.dumps(line("StepFailed", status=verdict)) + "\n")
    (tmp_path / f"{LOG_NAME}.gz").write_text("not ours")
    assert [path.rsplit(".", 1)[1] for path in log_reader.rotated(root)] == ["9", "10"]
    assert log_reader.recall(root).states[1].verdict == "passed"


def test_the_lines_of_a_task_are_its_own(tmp_path):
    root = str(tmp_path)
    mine, other = line(), line(step=2, reason="task_1_0000000a is named here")
    written(root, mine, other, torn=b'{"task_id": "task_1_0000000a", torn\n')
    written(root, line("StepPassed", status="passed"), torn=b'{"task_id": "task_1_0000000a"')
    assert [one["event"] for one in log_reader.task_lines(root, "task_1_0000000a")] == ["TaskStarted", "StepPassed"]


def test_the_lines_of_a_task_are_found_in_rotated_logs_too(tmp_path):
    root = str(tmp_path)
    written(root, line())
    os.rename(tmp_path / LOG_NAME, tmp_path / f"{LOG_NAME}.1")
    written(root, line("StepPassed", status="passed"))
    assert [one["event"] for one in log_reader.task_lines(root, "task_1_0000000a")] == ["TaskStarted", "StepPassed"]


def test_an_empty_or_missing_log_has_no_lines(tmp_path):
    assert list(log_reader.task_lines(str(tmp_path), "task_1_0000000a")) == []
    (tmp_path / LOG_NAME).touch()
    assert list(log_reader.task_lines(str(tmp_path), "task_1_0000000a")) == []


def test_a_line_longer_than_a_block_is_one_line(tmp_path):
    root = str(tmp_path)
    written(root, line(reason="x" * (log_reader.BLOCK * 2)), line("StepPassed", status="passed"))
    assert [len(one) > log_reader.BLOCK for _, one in log_reader.lines(os.path.join(root, LOG_NAME))] == [True, False]


@pytest.mark.parametrize("text", [b"", b"x", b"[1]", b"1", b'"a"', b"\xff", b"{}x"])
def test_what_is_no_object_is_a_fragment(text):
    assert log_reader.parse(text) is None

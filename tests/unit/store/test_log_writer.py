"""Holds the only writer of the log: one event, one whole line, whoever else writes and whatever the disk says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import MachineError
from executor.store.events import (
    CheckFinished,
    MainStarted,
    ResultRead,
    StepPassed,
    StraysStopped,
    WarningRaised,
)
from executor.store.log_writer import LogWriter, settled_size, timestamp

REPOSITORY = Path(__file__).resolve().parents[3]
ENVELOPE = ["v", "timestamp", "task_id", "step", "phase", "event", "status"]
WRITER = """
import sys
from executor.store.events import WarningRaised
from executor.store.log_writer import LogWriter
journal = LogWriter(sys.argv[1])
for number in range(500):
    journal.write(WarningRaised(message=f"{sys.argv[2]} {number} " + "x" * (number * 7)), step=number)
"""
LONG_LINES = """
import os, sys
from executor.store.events import WarningRaised
from executor.store.log_writer import LogWriter
journal = LogWriter(sys.argv[1])
journal.write(WarningRaised(message="first"))
print("writing", flush=True)
for _ in range(100_000):
    if os.path.exists(f"{sys.argv[1]}.enough"):
        break
    journal.write(WarningRaised(message="x" * 9_000))
"""
ON_A_FULL_DISK = """
import resource, sys
from executor.errors import MachineError
from executor.store.events import WarningRaised
from executor.store.log_writer import LogWriter
journal = LogWriter(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    while True:
        journal.write(WarningRaised(message="x" * 100))
except MachineError as error:
    print(error)
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "log")


@pytest.fixture
def journal(path):
    one = LogWriter(path, mask=lambda text: text.replace("hunter2", "***"))
    yield one
    one.close()


def started(code, *words):
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def names(path):
    return [line["event"] for line in lines(path)]


def test_an_event_is_one_line_with_the_envelope_first(journal, path):
    journal.write(CheckFinished(phase="POST", status="passed", name="a\nb"), task_id="task_1_0000000a", step=1)
    (line,) = lines(path)
    assert list(line)[: len(ENVELOPE)] == ENVELOPE
    assert [line[key] for key in ENVELOPE[2:]] == ["task_1_0000000a", 1, "POST", "CheckFinished", "passed"]
    assert list(line)[len(ENVELOPE) :] == [name for name in CheckFinished._fields if name not in ENVELOPE]


def test_the_time_is_utc_with_milliseconds(journal, path):
    journal.write(WarningRaised(message="a"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", lines(path)[0]["timestamp"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1795343401.9996, "2026-11-22T10:30:01.999Z"),
        (1.0005, "1970-01-01T00:00:01.000Z"),
    ],
)
def test_a_time_is_cut_not_rounded_into_the_next_second(seconds, text):
    assert timestamp(seconds) == text


def test_a_follower_sees_the_line_as_it_was_written(path):
    seen = []
    LogWriter(path, mask=lambda _: "masked", followers=(seen.append,)).write(WarningRaised(message="secret"))
    assert seen == lines(path)


def test_a_line_is_there_before_its_follower_hears_of_it(path):
    sizes = []
    journal = LogWriter(path, followers=(lambda _: sizes.append(os.path.getsize(path)),))
    journal.write(WarningRaised(message="a"))
    assert sizes == [os.path.getsize(path)] != [0]


def test_values_are_masked_however_deep_they_lie(journal, path):
    journal.write(ResultRead(metrics={"hunter2": [{"a": "hunter2"}, 3]}, note="is hunter2"))
    (line,) = lines(path)
    assert (line["metrics"], line["note"]) == ({"***": [{"a": "***"}, 3]}, "is ***")


def test_the_envelope_is_never_masked(path):
    LogWriter(path, mask=lambda _: "***").write(StepPassed(note="a"), task_id="task_1_0000000a", step=1)
    (line,) = lines(path)
    assert [line[key] for key in ENVELOPE[2:]] == ["task_1_0000000a", 1, "SPEC", "StepPassed", "passed"]
    assert line["note"] == "***"


@given(st.text(), st.text(alphabet=st.characters(categories=["Cc", "Cs", "Zl", "Zp"])))
def test_any_text_is_one_line_that_parses(message, odd):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log")
        journal = LogWriter(str(path))
        journal.write(WarningRaised(message=message + odd))
        journal.close()
        data = path.read_bytes()
    assert data.count(b"\n") == 1
    assert json.loads(data)["event"] == "WarningRaised"


def test_the_log_is_its_owners_alone(journal, path):
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_two_writers_never_tear_a_line(path):
    writers = [started(WRITER, path, name) for name in ("a", "b")]
    for writer in writers:
        said, _ = writer.communicate(timeout=300)
        assert (writer.returncode, said) == (0, "")
    written = lines(path)
    assert len(written) == 1000
    for name in ("a", "b"):
        own = [line["step"] for line in written if line["message"].startswith(f"{name} ")]
        assert own == list(range(500))


def test_a_line_that_another_process_is_writing_is_not_repaired(path):
    """A line of three pages appears page by page: whoever opens the log meanwhile sees half of it."""
    writer = started(LONG_LINES, path)
    assert writer.stdout.readline() == "writing\n"
    with open(path, "rb") as file:
        for _ in range(20_000):
            LogWriter(path).close()
            assert os.pread(file.fileno(), 1, settled_size(path) - 1) == b"\n"
    Path(f"{path}.enough").touch()
    said, _ = writer.communicate(timeout=300)
    assert (writer.returncode, said) == (0, "")
    assert set(names(path)) == {"WarningRaised"}


@pytest.mark.parametrize("torn", ['{"v": 1, "eve', "x" * 200_000, "\0"])
def test_a_torn_line_is_closed_by_the_next_writer(path, torn):
    first = LogWriter(path)
    first.write(WarningRaised(message="before"))
    with open(path, "a", encoding="utf-8") as file:
        file.write(torn)
    LogWriter(path).write(WarningRaised(message="after"))
    with open(path, encoding="utf-8") as file:
        before, fragment, repaired, after = file.read().splitlines()
    assert fragment == torn
    assert [json.loads(line)["event"] for line in (before, repaired, after)] == [
        "WarningRaised",
        "LogRepaired",
        "WarningRaised",
    ]
    assert json.loads(repaired)["size"] == len(torn)


def test_a_line_that_another_process_left_torn_is_closed_by_who_writes_next(path):
    living = LogWriter(path)
    living.write(WarningRaised(message="before"))
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"v": 1, "eve')  # somebody was killed within a line
    living.write(WarningRaised(message="after"))
    *_, after = Path(path).read_bytes().splitlines()
    assert json.loads(after)["message"] == "after"
    assert sum(b"LogRepaired" in line for line in Path(path).read_bytes().splitlines()) == 1


def test_a_whole_log_is_not_repaired(path):
    LogWriter(path).write(WarningRaised(message="a"))
    LogWriter(path).write(WarningRaised(message="b"))
    assert names(path) == ["WarningRaised"] * 2


def test_a_full_disk_is_said_and_the_next_writer_repairs(path):
    writer = started(ON_A_FULL_DISK, path)
    said, _ = writer.communicate(timeout=300)
    assert said.startswith("cannot ")
    assert "free some space" in said or "nothing runs without its log" in said
    assert os.path.getsize(path) <= 1000
    LogWriter(path).write(WarningRaised(message="there is room again"))
    data = Path(path).read_bytes().splitlines()
    broken = [line for line in data if not parses(line)]
    assert len(broken) <= 1
    assert json.loads(data[-1])["message"] == "there is room again"
    assert sum(b"LogRepaired" in line for line in data) == len(broken)


def parses(line):
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def test_a_log_that_cannot_be_opened_is_the_machines_trouble(tmp_path):
    with pytest.raises(MachineError, match="cannot open"):
        LogWriter(str(tmp_path / "missing" / "log"))


def test_what_json_does_not_know_becomes_text(journal, path):
    journal.write(StraysStopped(pids=(1, 2)))
    journal.write(ResultRead(metrics={"at": Path("a")}))
    assert lines(path)[0]["pids"] == [1, 2]
    assert lines(path)[1]["metrics"] == {"at": "a"}


def test_a_line_is_found_by_grep_for_its_task(journal, path):
    journal.write(MainStarted(pid=3), task_id="task_1_0000000a", step=1)
    assert '"task_id": "task_1_0000000a", "step": 1, "phase": "MAIN", "event": "MainStarted"' in Path(path).read_text()


# Threads


def test_threads_write_whole_lines_and_each_follows_its_own(tmp_path: Path) -> None:
    everything: list[int] = []
    journal = LogWriter(str(tmp_path / "log"), followers=(lambda line: everything.append(line["step"]),))
    own: dict[int, list[int]] = {number: [] for number in range(4)}

    def write(number: int) -> None:
        journal.follow_here(lambda line: own[number].append(line["step"]))
        for _ in range(100):
            journal.write(WarningRaised(message="x" * 5000), step=number)
        journal.sync()

    threads = [threading.Thread(target=write, args=(number,)) for number in own]
    for one in threads:
        one.start()
    for one in threads:
        one.join(120)
    written = [json.loads(line)["step"] for line in (tmp_path / "log").read_text().splitlines()]
    assert written == everything
    assert own == {number: [number] * 100 for number in own}
    assert sorted(written) == sorted(own[0] + own[1] + own[2] + own[3])


def test_a_follower_goes_with_its_thread_for_a_later_one_may_get_its_identifier(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    journal = LogWriter(str(tmp_path / "log"), followers=(lambda line: seen.append((-1, line["step"])),))

    def write(number: int) -> int:
        journal.follow_here(lambda line: seen.append((number, line["step"])))
        journal.write(WarningRaised(message="one"), step=number)
        return threading.get_ident()

    identifiers = []
    for number in range(20):
        one = threading.Thread(target=lambda number=number: identifiers.append(write(number)))
        one.start()
        one.join(120)
    assert len(set(identifiers)) < 20  # the system gave an identifier twice
    assert seen == [pair for number in range(20) for pair in ((-1, number), (number, number))]


def test_a_log_that_was_deleted_comes_back_with_all_its_lines(tmp_path):
    path = tmp_path / "log"
    first, second = LogWriter(str(path)), LogWriter(str(path))
    first.write(WarningRaised(message="one"))
    path.unlink()
    second.write(WarningRaised(message="two"))
    first.write(WarningRaised(message="three"))
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == ["one", "two", "three"]
    assert [one.name for one in tmp_path.iterdir()] == ["log"]


def test_a_log_that_was_renamed_is_not_doubled(tmp_path):
    path = tmp_path / "log"
    journal = LogWriter(str(path))
    journal.write(WarningRaised(message="one"))
    path.rename(tmp_path / "log.1")
    journal.write(WarningRaised(message="two"))
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == ["two"]

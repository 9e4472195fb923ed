"""Marks of threads go into SPEC.md together, and each thread has its own answer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from executor.errors import SpecError
from executor.plan.spec.spec_md import Mark, boxes
from executor.store.spec_file import WantedMark
from executor.store.spec_marks import SpecMarks
from executor.system import locks

if TYPE_CHECKING:
    from pathlib import Path


def passed(number: int) -> WantedMark:
    mark = Mark(kind="passed", task_id=f"task_{number}_0000000{number}", time="2026-12-01 10:00")
    return WantedMark(number=number, state="x", mark=mark)


def test_marks_of_threads_are_all_written_and_a_missing_line_fails_its_own_alone(tmp_path: Path) -> None:
    spec, lock = tmp_path / "SPEC.md", str(tmp_path / "spec.lock")
    text = "".join(f"- [ ] **STEP {number}**: Title {number}\n  a note\n" for number in range(1, 9) if number != 5)
    spec.write_text(text)
    marks, failed = SpecMarks(str(spec), lock), []

    def write(number: int) -> None:
        wanted = passed(number)
        try:
            change = marks.write(wanted)
        except SpecError as error:
            failed.append((number, str(error)[:27]))
        else:
            assert (change.before.state, change.after.state, change.after.number) == (" ", "x", number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    with locks.ShortLock(lock):  # so that they wait for each other
        for one in threads:
            one.start()
    for one in threads:
        one.join(120)
    assert failed == [(5, "step 5 is not in SPEC.md; n")]
    assert {box.number for box in boxes(spec.read_bytes()) if box.state == "x"} == {1, 2, 3, 4, 6, 7, 8}
    assert spec.read_text().count("  a note\n") == 7


def test_an_error_of_the_write_reaches_every_thread_that_waited(tmp_path: Path) -> None:
    marks = SpecMarks(str(tmp_path / "SPEC.md"), str(tmp_path / "spec.lock"))
    for _ in range(2):
        with pytest.raises(SpecError, match="is missing"):
            marks.write(passed(1))

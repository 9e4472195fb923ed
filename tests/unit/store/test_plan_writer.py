"""Tests of marks written into plan files: minimal, once, in a race, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from executor.plan.formats.model import MarkError, TaskMark
from executor.store import plan_change, plan_files, plan_writer

if TYPE_CHECKING:
    from pathlib import Path

PLAN = b"# Plan\r\n\r\n- [ ] **STEP 1**: One\r\n- [ ] **STEP 2**: Two\r\n- [ ] **STEP 3**: Three\r\n"
DONE = TaskMark("done", "task_2_0123abcd", "2026-12-01 10:00", "1 proven")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.md"
    path.write_bytes(PLAN)
    path.chmod(0o640)
    return path


def write(path: Path, name: str, mark: TaskMark = DONE):
    return plan_writer.write_mark(str(path), str(path.parent / "lock"), name, mark)


def test_one_line_changes_and_its_mode_stays(plan):
    assert write(plan, "2").state == "done"
    before, after = PLAN.split(b"\r\n"), plan.read_bytes().split(b"\r\n")
    assert [at for at in range(len(before)) if before[at] != after[at]] == [3]
    assert plan.stat().st_mode & 0o777 == 0o640


def test_a_second_mark_changes_nothing(plan):
    write(plan, "2")
    once, inode = plan.read_bytes(), plan.stat().st_ino
    write(plan, "2")
    assert (plan.read_bytes(), plan.stat().st_ino) == (once, inode)


def test_a_link_stays_a_link(plan, tmp_path):
    link = tmp_path / "sub" / "plan.md"
    link.parent.mkdir()
    link.symlink_to(plan)
    write(link, "1", DONE.__class__("done", "task_1_0123abcd", "2026-12-01 10:00"))
    assert link.is_symlink()
    assert b"task_1_0123abcd" in plan.read_bytes()


@pytest.mark.parametrize(("name", "said"), [("9", "has no task 9"), ("2", "has 2 2 times, in lines 4, 6")])
def test_what_may_not_be_marked_leaves_every_byte(plan, name, said):
    plan.write_bytes(PLAN + b"- [ ] **STEP 2**: Again\r\n")
    before = plan.read_bytes()
    with pytest.raises(MarkError, match=said):
        write(plan, name)
    assert plan.read_bytes() == before


def test_a_file_that_changed_since_it_was_read_is_not_replaced(plan):
    read = plan_files.load(str(plan))
    edited = PLAN + b"- [ ] **STEP 4**: Four\r\n"
    plan.write_bytes(edited)
    changes = plan_writer.file_changes(read, {"plan.md": PLAN.replace(b"[ ]", b"[x]")})
    assert not plan_change.write(str(plan.parent / "record"), changes)
    assert plan.read_bytes() == edited
    write(plan, "2")
    assert plan.read_bytes().endswith(b"STEP 4**: Four\r\n")


RACE = """
import sys
from executor.plan.formats.model import TaskMark
from executor.store import plan_writer
path, name = sys.argv[1:]
plan_writer.write_mark(path, path + ".lock", name, TaskMark("done", f"task_{name}_0123abcd", "2026-12-01 10:00"))
"""


def test_marks_of_many_processes_at_once_are_all_there(plan):
    argv = [sys.executable, "-c", RACE, str(plan)]
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    running = [subprocess.Popen([*argv, name], env=env) for name in ("1", "2", "3") for _ in range(2)]
    assert [one.wait(60) for one in running] == [0] * 6
    states = [task.state for task in plan_files.load(str(plan)).document.tasks]
    assert states == ["done"] * 3
    assert plan.read_bytes().count(b"0123abcd") == 3

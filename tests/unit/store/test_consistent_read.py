"""SPEC.md and the log read as of one moment, while a supervisor changes both."""

from __future__ import annotations

import json
import os
import threading

import pytest

from executor.store import log_reader, project_view
from executor.store.spec_file import SpecFile
from executor.system.run_records import LOG_NAME

ROUNDS = 400
TURNS = ("TaskStarted", "JobStarted", "StepPassed")


def line(event, task_id, **more):
    known = {"v": 1, "timestamp": "2026-12-01T00:00:00.000Z", "task_id": task_id, "step": 1, "phase": "SPEC"}
    return json.dumps({**known, "event": event, "status": "info", **more}).encode() + b"\n"


class Supervisor(threading.Thread):
    """Takes one task after another through log, SPEC.md, log, as a supervisor does."""

    def __init__(self, root):
        super().__init__()
        self._log = os.path.join(root, LOG_NAME)
        self._spec = os.path.join(root, "SPEC.md")
        self.show(" ")

    def write(self, event, task_id):
        with open(self._log, "ab", buffering=0) as log:
            log.write(line(event, task_id))

    def show(self, state, task_id=""):
        suffix = f" ✓ [task_id: {task_id}] [2026-12-01 00:00]" if task_id else ""
        beside = f"{self._spec}.new"
        with open(beside, "w", encoding="utf-8") as spec:
            spec.write(f"- [{state}] **STEP 1**: One{suffix}\n")
        os.replace(beside, self._spec)

    def run(self):
        for number in range(ROUNDS):
            task_id = f"task_1_{number:08x}"
            for event in TURNS:
                self.write(event, task_id)
            self.show("x", task_id)
            self.write("SpecTicked", task_id)
            self.write("StepReopened", task_id)
            self.show(" ")


def test_a_tick_is_never_seen_without_its_verdict(tmp_path):
    root, spec = str(tmp_path), SpecFile(str(tmp_path / "SPEC.md"))
    supervisor = Supervisor(root)
    known = log_reader.recall(root)
    supervisor.start()
    looks = 0
    while supervisor.is_alive():
        data, known = project_view.read_consistently(root, spec, known)
        box, state = spec.boxes(data)[1], known.states.get(1)
        looks += 1
        if box.state == "x":
            assert (box.mark.task_id, state.verdict in ("passed", "reopened")) == (state.task_id, True)
        if state and state.verdict == "passed" and state.ticked:
            assert box.state == "x", "an open box beside a logged tick would run MAIN again"
    supervisor.join()
    assert looks > 1


@pytest.mark.parametrize("cached", [True, False])
def test_a_log_that_is_rotated_while_it_is_read_is_read_whole(tmp_path, cached):
    root = str(tmp_path)
    log = tmp_path / LOG_NAME
    log.write_bytes(line("TaskStarted", "task_1_00000001") + line("StepPassed", "task_1_00000001"))
    if cached:
        log_reader.save(root, log_reader.recall(root))

    def rotate():
        for number in range(1, 200):
            os.rename(log, f"{log}.{number}")
            log.write_bytes(line("LogRotated", ""))

    known = log_reader.recall(root)
    rotating = threading.Thread(target=rotate)
    rotating.start()
    while rotating.is_alive():
        assert log_reader.recall(root).states[1].verdict == "passed"
        known = log_reader.catch_up(root, known)
        assert known.states[1].verdict == "passed"
    rotating.join()


def test_lines_behind_the_state_that_was_read_are_left_for_the_next_look(tmp_path):
    first, second = line("TaskStarted", "task_1_00000001"), line("StepPassed", "task_1_00000001")
    log = tmp_path / LOG_NAME
    log.write_bytes(first)
    known = log_reader.recall(str(tmp_path))
    log.write_bytes(first + second)  # between the look at the log and the look at its lines
    later = log_reader.catch_up(str(tmp_path), known)

    def shown(start, end):
        return [one["event"] for one in log_reader.lines_of(str(tmp_path), "task_1_00000001", start, end)]

    assert shown(0, known.offset) == ["TaskStarted"]
    assert shown(known.offset, later.offset) == ["StepPassed"]


def test_half_a_line_is_taken_in_when_it_is_whole(tmp_path):
    root, spec = str(tmp_path), SpecFile(str(tmp_path / "SPEC.md"))
    (tmp_path / "SPEC.md").write_text("- [ ] **STEP 1**: One\n")
    (tmp_path / LOG_NAME).write_bytes(line("TaskStarted", "task_1_00000001"))
    whole = line("StepPassed", "task_1_00000001")
    _, known = project_view.read_consistently(root, spec, log_reader.recall(root))
    with open(tmp_path / LOG_NAME, "ab", buffering=0) as log:
        log.write(whole[:40])
        assert project_view.read_consistently(root, spec, known)[1].states[1].verdict == ""
        log.write(whole[40:])
        assert project_view.read_consistently(root, spec, known)[1].states[1].verdict == "passed"

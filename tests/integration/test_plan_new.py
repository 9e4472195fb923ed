"""A task is added in the form of its neighbours, and finished ones go to the place that the format has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from executor.plan.formats.addition import NewTask, added
from executor.plan.formats.model import MarkError
from executor.store import plan_files

CASES = sorted((Path(__file__).resolve().parents[1] / "golden" / "formats").glob("*/case.json"))
ADDABLE = [one for one in CASES if one.parent.name not in ("epic", "report", "overview")]


def do_tasks(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "executor", *words]
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def plan_of(case):
    return plan_files.load(str(case.parent / "before" / json.loads(case.read_text(encoding="utf-8"))["plan"]))


SPEC_KIT = "# Tasks: Toy\r\n\r\n## Phase 1: Work\r\n\r\n- [x] T001 One\r\n- [ ] T009 [P] Two\r\n\r\n## Notes\r\n\r\nEnd"
OPENSPEC = "## 1. Work\n- [ ] 1.1 One\n  more of it\n- [x] 1.2 Two\n\n## 2. Later\n"
KIRO = "# Implementation Plan\n\n- [ ] 1. One\n  - [x] 1.1 Part\n    - a note\n- [ ] 2. Two\n"
FLOW = "## Active Tasks\n- [ ] One\n  - **Goal**: x\n\n## Completed Tasks (Recent)\n- [x] Old ✅\n"
RUNNER = (
    "# Plan\n\n### TASK-001: One\n🟠 P1 | ✅ DONE   | Est: 1h\n\n- [x] a box\n\n### TASK-002: Two\n🔴 P0 | ⬜ TODO\n"
)


@pytest.mark.first_rows(6)
@pytest.mark.parametrize(
    ("text", "words", "old", "new"),
    [
        (SPEC_KIT, [], "Two\r\n", "Two\r\n- [ ] T010 New\r\n"),
        (SPEC_KIT, ["--after", "T001"], "One\r\n", "One\r\n- [ ] T010 New\r\n"),
        (SPEC_KIT, ["--section", "Phase 1"], "Two\r\n", "Two\r\n- [ ] T010 New\r\n"),
        (SPEC_KIT, ["--section", "Notes"], "End", "End\r\n\r\n- [ ] T010 New"),
        (OPENSPEC, [], "Two\n", "Two\n- [ ] 1.3 New\n"),
        (OPENSPEC, ["--after", "1.1"], "of it\n", "of it\n- [ ] 1.3 New\n"),
        (OPENSPEC, ["--section", "2. Later"], "Later\n", "Later\n\n- [ ] 2.1 New\n"),
        (KIRO, [], "2. Two\n", "2. Two\n- [ ] 3. New\n"),
        (KIRO, ["--after", "1.1"], "a note\n", "a note\n  - [ ] 1.2 New\n"),
        (KIRO, ["--after", "1"], "a note\n", "a note\n- [ ] 3. New\n"),
        (FLOW, [], "x\n", "x\n- [ ] New\n"),
        (RUNNER, [], "P0 | ⬜ TODO\n", "P0 | ⬜ TODO\n\n### TASK-003: New\n🔴 P0 | ⬜ TODO\n"),
        (RUNNER, ["--after", "TASK-001"], "a box\n", "a box\n\n### TASK-003: New\n🟠 P1 | ⬜ TODO\n"),
        ("- [x] **STEP 1**: One\n", [], "One\n", "One\n- [ ] **STEP 2**: New\n"),
        ("- [ ] **T001: Whole**\n", [], "Whole**\n", "Whole**\n- [ ] T002: New\n"),
        ("- [ ] **T001** One\n", [], "One\n", "One\n- [ ] **T002** New\n"),
        ("### T001: One [P] ✅ COMPLETE\n\n- x\n", [], "- x\n", "- x\n\n### T002: New\n"),
    ],
)
def test_a_task_is_added_in_the_form_of_its_neighbours(tmp_path, text, words, old, new):
    path = tmp_path / "tasks.md"
    path.write_bytes(text.encode())
    done = do_tasks(tmp_path, "new", "New", "--plan", "tasks.md", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("added: ")
    assert path.read_bytes().decode() == text.replace(old, new, 1)


@pytest.mark.parametrize("case", ADDABLE, ids=lambda path: path.parent.name)
def test_behind_any_task_one_more_is_read_or_nothing_is_written(case):
    plan = plan_of(case)
    done = 0
    for task in [one for one in plan.document.tasks if not one.ambiguous][::4]:
        try:
            changed, one = added(plan.format, plan.name, plan.files, NewTask("Write the new one", task))
        except MarkError:
            continue
        done += 1
        assert one.title == "Write the new one"
        for name, data in changed.items():
            before = plan.files.get(name, b"").split(b"\n")
            kept = [line for line in data.split(b"\n") if line in {*before}]
            assert len(kept) >= len(before) - 4, "all but a few counts stay"
    assert done > 6


@pytest.mark.parametrize("name", ["dot-tasks", "task-master", "backlog"])
def test_what_lint_says_of_counts_stays_the_same(name):
    plan = plan_of(next(one for one in CASES if one.parent.name == name))
    changed, task = added(plan.format, plan.name, plan.files, NewTask('It\'s: "new" # one', day="2026-12-01"))
    after = plan.format.read(plan.name, {**plan.files, **changed})
    assert task.title == 'It\'s: "new" # one'
    assert len(after.findings) == len(plan.document.findings)


@pytest.mark.first_rows(3)
@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("- [ ] Task #1: One (Issue #71)\n", ["New"], "make one with `gh issue create`"),
        (SPEC_KIT, [" \t"], "must have a text"),
        (SPEC_KIT, ["a\x1b[2J"], "without control characters"),
        (SPEC_KIT, ["New", "--after", "T077"], "T077"),
        (SPEC_KIT, ["New", "--section", "Nowhere"], "must name one heading; found: none"),
        (SPEC_KIT, ["New", "--section", "Notes", "--after", "T001"], "give one of them"),
        ("```\n- [ ] T001 One\n", ["New"], "no task to take as a model"),
    ],
)
def test_what_cannot_be_added_changes_no_byte(tmp_path, text, words, said):
    path = tmp_path / "tasks.md"
    path.write_bytes(text.encode())
    done = do_tasks(tmp_path, "new", "--plan", "tasks.md", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert path.read_bytes() == text.encode()


def test_the_first_task_of_an_empty_folder_is_added_too(tmp_path):
    (tmp_path / "manifest.json").write_text('{"tasks": []}', encoding="utf-8")
    assert do_tasks(tmp_path, "list", "--plan", "manifest.json").stdout == "0 of 0 done (.tasks)\n"
    assert do_tasks(tmp_path, "new", "One", "--plan", "manifest.json").stdout == "added: T001  One (manifest.json:1)\n"
    assert (tmp_path / "tasks" / "T001-one.md").exists()


def test_a_new_step_gets_no_number_that_the_definitions_have(tmp_path):
    (tmp_path / "SPEC.md").write_text("- [ ] **STEP 1**: One\n", encoding="utf-8")
    (tmp_path / "step_definitions.yaml").write_text("step_1_a: {}\nstep_2_train: {}\n", encoding="utf-8")
    assert do_tasks(tmp_path, "new", "Write it").returncode == 0
    assert (tmp_path / "SPEC.md").read_text(encoding="utf-8").endswith("- [ ] **STEP 3**: Write it\n")


def test_a_change_of_openspec_moves_when_all_is_done(tmp_path):
    folder = tmp_path / "openspec" / "changes" / "add-login"
    folder.mkdir(parents=True)
    (folder / "tasks.md").write_text("- [x] 1.1 One\n- [ ] 1.2 Two\n", encoding="utf-8")
    refused = do_tasks(tmp_path, "archive", "--plan", "openspec/changes/add-login/tasks.md")
    assert refused.returncode == 2
    assert "1 of its tasks are open, the first is 1.2" in refused.stderr
    (folder / "tasks.md").write_text("- [x] 1.1 One\n", encoding="utf-8")
    assert do_tasks(tmp_path, "archive", "--plan", "openspec/changes/add-login/tasks.md").returncode == 0
    assert not folder.exists()
    (moved,) = (tmp_path / "openspec" / "changes" / "archive").iterdir()
    assert moved.name.endswith("-add-login")
    assert [one.name for one in moved.iterdir()] == ["tasks.md"]
    assert (moved / "tasks.md").read_text(encoding="utf-8") == "- [x] 1.1 One\n"


def test_done_tasks_of_backlog_move_and_are_read_on(tmp_path):
    folder = tmp_path / "backlog" / "tasks"
    folder.mkdir(parents=True)
    for number, status in (("1", "Done"), ("2", "To Do")):
        text = f"---\nid: BACK-{number}\ntitle: T\nstatus: {status}\nassignee: []\n---\n"
        (folder / f"back-{number} - T.md").write_text(text, encoding="utf-8")
    before = do_tasks(tmp_path, "list").stdout
    assert "back-1 - T.md" in do_tasks(tmp_path, "archive").stdout
    assert [one.name for one in (tmp_path / "backlog" / "completed").iterdir()] == ["back-1 - T.md"]
    assert do_tasks(tmp_path, "list").stdout == before
    assert do_tasks(tmp_path, "--archive").stdout.startswith("nothing to move")


def test_done_tasks_of_flow_move_below_their_heading(tmp_path):
    text = FLOW.replace("- [ ] One\n", "- [x] Ready ✅\n  - [x] Part\n- [x] Half\n  - [ ] Open part\n- [ ] One\n")
    (tmp_path / "tasks.md").write_text(text, encoding="utf-8")
    assert do_tasks(tmp_path, "archive").stdout.endswith("  Ready\n")
    ready = "- [x] Ready ✅\n  - [x] Part\n"
    wanted = text.replace(ready, "").replace("(Recent)\n", f"(Recent)\n{ready}")
    assert (tmp_path / "tasks.md").read_text(encoding="utf-8") == wanted


def test_copies_of_done_tasks_are_made_once(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "T001.md").write_text("---\nid: T001\nstatus: completed\n---\n", encoding="utf-8")
    entries = [{"id": "T001", "title": "One", "status": "completed", "file": "tasks/T001.md"}]
    (tmp_path / "manifest.json").write_text(json.dumps({"tasks": entries}), encoding="utf-8")
    assert do_tasks(tmp_path, "archive", "--plan", "manifest.json").stdout == "copied: T001 to completed/T001.md\n"
    assert (tmp_path / "completed" / "T001.md").read_bytes() == (tmp_path / "tasks" / "T001.md").read_bytes()
    assert do_tasks(tmp_path, "archive", "--plan", "manifest.json").stdout.startswith("nothing to move")


def test_a_format_without_a_place_says_so(tmp_path):
    (tmp_path / "tasks.md").write_bytes(SPEC_KIT.encode())
    done = do_tasks(tmp_path, "archive")
    assert done.returncode == 2
    assert "spec-kit has no place for finished tasks" in done.stderr
    assert (tmp_path / "tasks.md").read_bytes() == SPEC_KIT.encode()


def test_tasks_that_several_processes_add_have_an_id_each(tmp_path):
    (tmp_path / "tasks.md").write_bytes(SPEC_KIT.encode())
    argv = [sys.executable, "-m", "executor", "new", "--plan", "tasks.md"]
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    running = [subprocess.Popen([*argv, f"New {at}"], cwd=tmp_path, env=env, stdout=subprocess.PIPE) for at in range(4)]
    for one in running:
        one.communicate(timeout=60)
    assert [one.returncode for one in running] == [0] * 4
    tasks = plan_files.load(str(tmp_path / "tasks.md")).document.tasks
    assert [task.id for task in tasks] == ["T001", "T009", "T010", "T011", "T012", "T013"]

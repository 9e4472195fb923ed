"""A change of several files of a plan is whole after any death, and leaves alone what a person restored."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from executor.errors import SpecError
from executor.guard import protect
from executor.plan.formats.model import MarkError, TaskMark
from executor.store import plan_change, plan_files, plan_writer
from executor.store.plan_change import FileChange

if TYPE_CHECKING:
    from pathlib import Path

DONE = TaskMark("done", "task_T002_0123abcd", "2026-12-01 10:00", time_utc="2026-12-01T09:00:00.000Z", proven=(1,))
MOST_WRITES = 60
LOCK = "lock"
TASK = "---\nid: {0}\nstatus: pending\n---\n\n## Acceptance Criteria\n1. [ ] {0} is there\n"


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    return folder_at(tmp_path / "project")


def folder_at(project: Path) -> Path:
    folder = project / ".tasks"
    for name in ("tasks", "completed"):
        (folder / name).mkdir(parents=True)
    entries = [
        {"id": name, "title": name, "status": "pending", "file": f"tasks/{name}.md", "depends_on": []}
        for name in ("T001", "T002")
    ]
    manifest = {"tasks": entries, "stats": {"total_tasks": 2, "completed": 0, "pending": 2}}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    (folder / "metrics.json").write_text('{"project_metrics": {"completed_tasks": 0}}', encoding="utf-8")
    (folder / "completed" / "T000.md").write_text("Done\n", encoding="utf-8")
    for entry in entries:
        (folder / entry["file"]).write_text(TASK.format(entry["id"]), encoding="utf-8")
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(LOCK)
    }


def write(folder: Path, mark: TaskMark = DONE, name: str = "T002"):
    return plan_writer.write_mark(str(folder / "manifest.json"), str(folder / LOCK), name, mark)


def finish(folder: Path) -> None:
    plan_writer.finish_interrupted(str(folder / LOCK))


def killed_at(folder: Path, count: int) -> bool:
    """Return True when a child that writes the mark was killed before its renaming or deletion of this number."""
    pid = os.fork()
    if pid == 0:
        left = [count]

        def hook(event: str, _: object) -> None:
            if event in ("os.rename", "os.remove"):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        write(folder)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def deaths(tasks: Path, tmp_path: Path):
    """Yield a copy of the folder for each place at which the writer can be killed."""
    for count in range(MOST_WRITES):
        folder = tmp_path / str(count) / ".tasks"
        shutil.copytree(tasks, folder)
        if not killed_at(folder, count):
            return
        yield folder


def test_a_write_killed_anywhere_gives_the_bytes_of_an_undisturbed_one(tasks, tmp_path):
    before = files_in(tasks)
    found = list(deaths(tasks, tmp_path))
    assert len(found) > 10
    write(tasks)
    after = files_in(tasks)
    halves = 0
    for folder in found:
        halves += files_in(folder) not in (before, after)
        finish(folder)
        assert files_in(folder) in (before, after)
        write(folder)
        assert files_in(folder) == after
    assert halves > 5, "the deaths left writes half done"


def test_a_manifest_that_was_restored_after_the_mark_stays_restored(tasks):
    manifest = (tasks / "manifest.json").read_bytes()
    write(tasks)
    (tasks / "manifest.json").write_bytes(manifest)
    finish(tasks)
    assert (tasks / "manifest.json").read_bytes() == manifest
    write(tasks, DONE.replace(state="started"), "T001")
    assert [one.state for one in plan_files.load(str(tasks / "manifest.json")).document.tasks] == ["started", "open"]


@pytest.mark.parametrize("name", ["manifest.json", "tasks/T002.md"])
def test_a_file_that_was_restored_after_a_death_ends_the_change(tasks, tmp_path, name):
    for folder in deaths(tasks, tmp_path):
        if b"completed" in (folder / "tasks/T002.md").read_bytes():
            (folder / name).write_bytes((tasks / name).read_bytes())
            left = files_in(folder)
            finish(folder)
            assert files_in(folder) == left
            assert not list(folder.glob("*.pending"))


def test_what_another_program_wrote_after_a_death_stays(tasks, tmp_path):
    folder = next(one for one in deaths(tasks, tmp_path) if list(one.glob("updates/*.json")))
    edited = (folder / "manifest.json").read_bytes().replace(b'"title": "T001"', b'"title": "One"')
    (folder / "manifest.json").write_bytes(edited)
    finish(folder)
    assert (folder / "manifest.json").read_bytes() == edited
    assert write(folder).state == "done"


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"files": [1]}', b'{"files": [{"path": 1}]}', b"\xff"])
def test_a_record_that_is_none_is_removed(tasks, content):
    before = files_in(tasks)
    (tasks / "lock.pending").write_bytes(content)
    finish(tasks)
    assert files_in(tasks) == before
    assert not (tasks / "lock.pending").exists()


def test_a_change_that_is_refused_halfway_is_taken_back_with_its_new_files(tasks, tmp_path):
    before = files_in(tasks)
    paths = [str(tasks / name) for name in ("updates/new.json", "tasks/T001.md", "manifest.json")]
    first, second = FileChange(paths[0], None, b"new"), FileChange(paths[1], before["tasks/T001.md"], b"changed")
    record = str(tmp_path / "record")
    assert plan_change.write(record, [first, second])
    plan_change.take_back(record, [first, second])
    assert files_in(tasks) == before
    assert not plan_change.write(record, [first, FileChange(paths[2], b"other", b"x")])
    assert files_in(tasks) == before
    assert not (tmp_path / "record").exists()


RACE = """
import sys
from executor.errors import DoTasksError
from executor.guard import protect
from executor.plan.formats.model import MarkError, TaskMark
from executor.store import plan_writer
folder, number = sys.argv[1:]
mark = TaskMark("started", f"task_T002_0000000{number}", "2026-12-01 10:00", time_utc="2026-12-01T09:00:00.000Z")
try:
    plan_writer.write_mark(f"{folder}/manifest.json", f"{folder}/lock", "T002", mark)
except MarkError as refused:
    print(refused)
    sys.exit(1)
"""


def test_of_processes_that_race_for_a_task_exactly_one_wins(tasks):
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    running = [
        subprocess.Popen([sys.executable, "-c", RACE, str(tasks), str(number)], env=env, stdout=subprocess.PIPE)
        for number in range(4)
    ]
    outputs = [one.communicate(timeout=60)[0] for one in running]
    assert sorted(one.returncode for one in running) == [0, 1, 1, 1]
    assert sum(b"is claimed by do-tasks since" in output for output in outputs) == 3
    assert len(list(tasks.glob("updates/*.json"))) == 1
    winner = next(number for number, one in enumerate(running) if one.returncode == 0)
    with pytest.raises(MarkError, match="claimed"):
        write(tasks, DONE.replace(task_id="task_T002_0000000f"))
    assert write(tasks, DONE.replace(task_id=f"task_T002_0000000{winner}")).state == "done"


def test_a_mark_that_changes_how_other_tasks_read_is_taken_back(tasks):
    plan = plan_files.load(str(tasks / "manifest.json"))
    changed = {"updates/u.json": b"{}", "manifest.json": plan.files["manifest.json"].replace(b"pending", b"done")}
    changes = plan_writer.file_changes(plan, changed)
    record = plan_change.record_path(str(tasks / LOCK))
    before = files_in(tasks)
    assert plan_change.write(record, changes)
    with pytest.raises(SpecError, match="would change how"):
        plan_writer.verified(plan.path, record, plan, changes, plan.document.tasks[0])
    assert files_in(tasks) == before


def test_a_change_that_an_agent_has_written_is_dropped_when_its_work_is_compared(tmp_path):
    folder = tmp_path / ".do-tasks" / "jobs" / "task_1_0123abcd" / "main.1" / "baseline"
    folder.mkdir(parents=True)
    (tmp_path / "tasks.md").write_text("- [ ] T001 One\n", encoding="utf-8")
    lock = tmp_path / ".do-tasks" / "spec.lock"
    target = str(tmp_path / "tasks.md")
    forged = [FileChange(target, b"- [ ] T001 One\n", b"- [x] T001 One\n"), FileChange(f"{target}2", None, b"")]
    plan_change.remember(plan_change.record_path(str(lock)), forged)
    protect.undo(str(tmp_path), str(folder))
    plan_writer.finish_interrupted(str(lock))
    assert (tmp_path / "tasks.md").read_text(encoding="utf-8") == "- [ ] T001 One\n"

"""Golden plans of other tools, run by the command line: two steps at a time, and killed.

`formats/NAME/ran/` holds the plan's files afterwards, with task ids and times made equal. After an intended change:
`pytest tests/golden/test_foreign_runs.py --update-golden`, then read the diff.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from executor.plan.formats.model import BLOCKED, CANCELLED, DONE, OPEN
from executor.store import plan_files
from tests.integration.projects import Project, finish

HERE = Path(__file__).parent
READ_ONLY = ("overview", "report")  # they have no place for a mark
CASES = sorted(path.parent for path in HERE.glob("formats/*/case.json") if path.parent.name not in READ_ONLY)
VARYING = (
    (re.compile(rb"task_[A-Za-z0-9_]+?_[0-9a-f]{8}"), b"task_ID"),
    (re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|\+00:00)?"), b"TIME"),
    (re.compile(rb"20\d\d-\d\d-\d\d"), b"DATE"),
    (re.compile(rb'("(?:average|actual|total|elapsed)[a-z_]*": )[0-9.]+'), rb"\1N"),
    (re.compile(rb'("hours": )0\.[0-9]+'), rb"\1N"),
)


def project_of(case: Path, folder: Path) -> tuple[Project, str]:
    """A copy of the plan with a definition for each open task that lint does not call ambiguous: it writes its id down.

    Some of them the format cannot mark: they are refused before they run, and the exit code is 1.
    """
    shutil.copytree(case / "before", folder)
    plan = json.loads((case / "case.json").read_text())["plan"]
    project = Project(folder)
    runnable = [
        task for task in document(folder, plan).tasks if task.state == OPEN and task.line and not task.ambiguous
    ]
    counted = Counter(task.id for task in document(folder, plan).tasks)
    entries = {
        f"task_{at}": {"id": task.id, "main": {"command": f"printf '%s\\n' '{task.id}' >>ran.txt", "test": "none"}}
        for at, task in enumerate(runnable)
        if counted[task.id] == 1
    }
    project.write("step_definitions.yaml", json.dumps({"settings": {"plan": plan}, **entries}))
    return project, plan


def document(folder, plan):
    return plan_files.load(str(folder / plan)).document


def states(folder, plan):
    return {(task.id, task.nth): task.state for task in document(folder, plan).tasks}


def hold(project, plan, before):
    """Each task that ran is ticked and ran once; no other task has changed."""
    ran = Counter(project.text("ran.txt").splitlines())
    assert ran
    assert set(ran.values()) == {1}
    after = states(project.root, plan)
    assert {name for (name, _), state in after.items() if state == DONE and before[name, 1] != DONE} >= set(ran)
    parents = {task.parent for task in document(project.root, plan).tasks}
    others = {key: state for key, state in before.items() if key[0] not in ran and key[0] not in parents}
    assert others == {key: after[key] for key in others}
    passed = [line["step"] for line in project.events("StepPassed")]
    assert sorted(passed) == sorted(ran)


def plain(data: bytes) -> bytes:
    for pattern, word in VARYING:
        data = pattern.sub(word, data)
    return data


def written(case: Path, folder: Path) -> dict[str, bytes]:
    """The files of the plan after a run, by their path; updates are named by their task and action alone."""
    names = [path for path in folder.rglob("*") if path.is_file()]
    own = ("ran.txt", "step_definitions.yaml", ".task_execution.log")
    kept = [path for path in names if path.name not in own and ".do-tasks" not in path.parts]
    found = {}
    for path in kept:
        name = re.sub(r"_\d{8}T\d+Z_(.+)_[0-9a-f]{8}\.json$", r"_\1.json", str(path.relative_to(folder)))
        found[name] = plain(path.read_bytes())
    assert found, case
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_plan_of_another_tool_is_run_two_steps_at_a_time_and_ticked(case, tmp_path, request):
    project, plan = project_of(case, tmp_path / "p")
    before = states(project.root, plan)
    assert project.run("validate").code == 0
    done = project.run("--all", "--jobs", "2", "--keep-going")
    failed = [line for line in done.out.splitlines() if line.startswith("❌") and " failed " in line]
    assert all("is not run: " in line for line in failed), failed
    assert done.code in ((1,) if failed else (0, 3)), done
    hold(project, plan, before)
    again = project.run("--all", "--jobs", "2", "--keep-going")
    assert again.code in (0, 1, 3), again
    hold(project, plan, before)
    found = written(case, project.root)
    golden = case / "ran"
    if request.config.getoption("--update-golden"):
        shutil.rmtree(golden, ignore_errors=True)
        for name, data in found.items():
            (golden / name).parent.mkdir(parents=True, exist_ok=True)
            (golden / name).write_bytes(data)
    kept = {str(path.relative_to(golden)): path.read_bytes() for path in golden.rglob("*") if path.is_file()}
    assert found == kept


@pytest.mark.deep
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_killed_again_and_again_no_task_of_another_tool_runs_twice(case, tmp_path):
    chance = random.Random(case.name)
    project, plan = project_of(case, tmp_path / "p")
    before = states(project.root, plan)
    for _ in range(6):
        executor = project.start("--all", "--jobs", "2", "--keep-going")
        time.sleep(chance.uniform(0.1, 1.5))
        executor.kill()
        finish(executor)
    assert project.run("--all", "--jobs", "2", "--keep-going").code in (0, 1, 3)
    hold(project, plan, before)
    assert not {CANCELLED, BLOCKED} & {
        states(project.root, plan)[name, 1] for name in project.text("ran.txt").split("\n") if name
    }

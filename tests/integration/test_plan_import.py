"""A plan of another tool becomes definitions to start from, or commands for GitHub, and stays as it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from executor.plan.formats.model import PlanDocument, PlanTask
from executor.plan.github_commands import commands
from executor.plan.scaffold import scaffold
from executor.store import plan_files

CASES = sorted((Path(__file__).resolve().parents[1] / "golden" / "formats").glob("*/case.json"))
PLAN = """# Tasks: Toy

- [x] T001 Make the folder
- [ ] T002 [P] [US1] It's "quoted" $(touch owned) `touch owned`; touch owned (depends on T001)
  - [ ] The file is there: always # yes
  - it is no secret
- [ ] T003 Circle one (depends on T004)
- [ ] T004 Circle two (depends on T003, T009)
- [~] T005 Odd
"""


def do_tasks(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "executor", *words]
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "specs" / "001-toy" / "tasks.md"
    path.parent.mkdir(parents=True)
    path.write_text(PLAN, encoding="utf-8")
    return path


def test_definitions_are_written_once_with_all_that_the_plan_says(tmp_path, plan):
    done = do_tasks(tmp_path, "import", "specs/001-toy/tasks.md", "--scaffold")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "written: step_definitions.yaml (4 steps, 1 criterion unbound)"
    written = (tmp_path / "step_definitions.yaml").read_text(encoding="utf-8")
    found = yaml.safe_load(written)
    assert found.pop("settings") == {"version": 1, "plan": "specs/001-toy/tasks.md"}
    assert [one["id"] for one in found.values()] == ["T001", "T002", "T003", "T004"]
    second = [*found.values()][1]
    assert second["depends_on"] == ["T001"]
    assert second["main"]["success_criteria"] == ["The file is there: always # yes"]
    assert "  # it is no secret\n" in written
    assert "# unbound: prove it with" in written
    assert "# T005 Odd: no step, it is ambiguous" in written
    assert "# depends on T009, which is no step here" in written
    again = do_tasks(tmp_path, "import", "specs/001-toy/tasks.md", "--scaffold")
    assert again.returncode == 2
    assert "step_definitions.yaml is there already and stays" in again.stderr
    assert (tmp_path / "step_definitions.yaml").read_text(encoding="utf-8") == written
    assert plan.read_text(encoding="utf-8") == PLAN


@pytest.mark.first_rows(3)
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.parent.name)
def test_the_definitions_of_each_format_are_valid(tmp_path, case):
    shutil.copytree(case.parent / "before", tmp_path / "plan")
    name = json.loads(case.read_text(encoding="utf-8"))["plan"]
    assert do_tasks(tmp_path, "import", f"plan/{name}", "--scaffold").returncode == 0
    done = do_tasks(tmp_path, "validate")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_path_of_the_plan_is_that_from_the_definitions(tmp_path, plan):
    (tmp_path / "other").mkdir()
    assert do_tasks(tmp_path, "import", str(plan), "--scaffold", "-o", "other/steps.yaml").returncode == 0
    found = yaml.safe_load((tmp_path / "other" / "steps.yaml").read_text(encoding="utf-8"))
    assert found["settings"]["plan"] == "../specs/001-toy/tasks.md"
    printed = do_tasks(tmp_path / "other", "import", str(plan), "--scaffold", "-o", "-").stdout
    assert yaml.safe_load(printed) == found


def test_the_definitions_of_a_spec_have_numbers_and_are_valid(tmp_path):
    (tmp_path / "SPEC.md").write_text("- [x] **STEP 1**: One\n- [ ] **STEP 12**: 1: two\n", encoding="utf-8")
    assert do_tasks(tmp_path, "import", "SPEC.md", "--scaffold").returncode == 0
    found = yaml.safe_load((tmp_path / "step_definitions.yaml").read_text(encoding="utf-8"))
    assert [*found] == ["settings", "step_1_one", "step_12_1_two"]
    assert do_tasks(tmp_path, "validate").returncode == 0


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.parent.name)
def test_each_format_gives_an_entry_for_each_task_that_can_be_ticked(case):
    path = case.parent / "before" / json.loads(case.read_text(encoding="utf-8"))["plan"]
    document = plan_files.load(str(path)).document
    found = yaml.safe_load(scaffold(document, "plan"))
    found.pop("settings")
    wanted = [task.id for task in document.tasks if not task.ambiguous and task.state != "cancelled"]
    assert [one["id"] for one in found.values()] == wanted
    known = {*wanted}
    assert all(known >= {*one.get("depends_on", ())} for one in found.values())


TEXT = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(["'", '"', "\\", "a\nb", "\x1b[2J", "$(x)"])
TASKS = st.lists(
    st.builds(PlanTask, st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), TEXT, notes=st.tuples(TEXT),
              criteria=st.tuples(TEXT), tags=st.tuples(TEXT), depends_on=st.tuples(TEXT)),
    max_size=4, unique_by=lambda task: task.id,
)  # fmt: skip


@given(tasks=TASKS, path=TEXT)
def test_whatever_a_task_holds_the_definitions_are_yaml(tasks, path):
    found = yaml.safe_load(scaffold(PlanDocument("kiro", tuple(tasks)), path))
    found.pop("settings")
    assert len(found) == len(tasks)
    for one, task in zip(found.values(), tasks, strict=True):
        assert one["id"] == task.id
        assert all("\n" not in text for text in one["main"].get("success_criteria", ()))


FAKE = '#!/bin/sh\nprintf "%s\\0" "$@" >> "$GH_LOG"; printf "\\n\\0" >> "$GH_LOG"\n'


def run_with_fake_gh(folder: Path, script: str) -> list[list[str]]:
    """Run commands with a `gh` that keeps its arguments; return those of each call."""
    log, program = folder / "gh.log", folder / "bin" / "gh"
    program.parent.mkdir(exist_ok=True)
    program.write_text(FAKE, encoding="utf-8")
    program.chmod(0o755)
    env = {"PATH": f"{program.parent}:/usr/bin:/bin", "GH_LOG": str(log)}
    script_bytes = script.encode("utf-8", "surrogateescape")
    subprocess.run(["/bin/sh"], input=script_bytes, cwd=folder, env=env, timeout=60, check=True)
    found = log.read_text(encoding="utf-8", errors="surrogateescape") if log.exists() else ""
    return [call.split("\0")[:-1] for call in found.split("\n\0")[:-1]]


def test_issues_are_printed_for_a_shell_and_none_is_made(tmp_path, plan):
    done = do_tasks(tmp_path, "export", "--github", "--plan", str(plan), "--only", "T002")
    assert done.returncode == 0
    calls = run_with_fake_gh(tmp_path, done.stdout)
    assert calls[0] == ["label", "create", "--", "US1"]
    assert calls[1][:3] == [
        "issue",
        "create",
        '--title=T002 It\'s "quoted" $(touch owned) `touch owned`; touch owned (depends on T001)',
    ]
    assert calls[1][3] == "--label=US1"
    assert "Depends on: T001 Make the folder" in calls[1][4]
    assert "- [ ] The file is there: always # yes" in calls[1][4]
    assert not (tmp_path / "owned").exists()
    assert "T001" not in do_tasks(tmp_path, "export", "--github", "--plan", str(plan), "--only", "T001").stdout


def test_any_title_is_one_word_of_the_shell(tmp_path):
    odd = ["'", '"', "-x", "a'; touch owned; '", "$(touch owned)", "!!", "a\nb\x1b[2J", "\\", "ü ✓", "#", 'a, "b"']
    tasks = tuple(PlanTask(f"T{at}", one, tags=(one,), notes=(one,)) for at, one in enumerate(odd))
    lines = commands(PlanDocument("kiro", tasks), {task.id for task in tasks}, "plan.md")
    calls = run_with_fake_gh(tmp_path, "\n".join(lines))
    made = [call for call in calls if call[0] == "issue"]
    titles = [" ".join(f"--title=T{at} {one}".replace("\x1b", " ").split()) for at, one in enumerate(odd)]
    assert [call[2] for call in made] == titles
    assert not (tmp_path / "owned").exists()


def test_done_tasks_of_an_epic_close_their_issues(tmp_path):
    text = "## Implementation Checklist\n- [x] Task #1: One (Issue #71)\n- [ ] Task #2: Two (Issue #72)\n"
    (tmp_path / "epic.md").write_text(text, encoding="utf-8")
    assert do_tasks(tmp_path, "export", "--github", "--plan", "epic.md").stdout == "gh issue close 71\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export"], "say where to: do-tasks export --github"),
        (["import", "gone.md"], "there is no file gone.md"),
        (["import", "specs/001-toy/tasks.md", "-o", "x"], "-o goes with --scaffold"),
        (["import", "specs/001-toy/tasks.md", "--scaffold", "-o", "specs"], "specs is there already"),
        (["import", "specs/001-toy/tasks.md", "--scaffold", "-o", "a/b.yaml"], "cannot write a/b.yaml"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(tmp_path, plan, words, said):
    assert plan.exists()
    done = do_tasks(tmp_path, *words)
    assert done.returncode in (2, 6)
    assert said in done.stderr


def test_a_summary_names_the_next_commands(tmp_path, plan):
    said = do_tasks(tmp_path, "import", str(plan.relative_to(tmp_path))).stdout.splitlines()
    assert said[0] == "specs/001-toy/tasks.md: spec-kit, 5 tasks, 1 done, 4 open"
    assert said[-1] == "next: do-tasks import specs/001-toy/tasks.md --scaffold"

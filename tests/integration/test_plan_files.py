"""A plan file alone in a folder is listed, linted, ordered and drawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SPEC = "".join(
    f"- [{mark}] **STEP {number}**: {title}\n" for number, (mark, title) in enumerate(zip("x  ", "ABC", strict=True), 1)
)
DEFINITIONS = """\
step_1_a: {main: {command: "true", test: none}}
step_2_b: {main: {command: "true", test: none}}
step_3_c: {depends_on: [1], main: {command: "true", test: none}}
"""


def do_tasks(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "executor", *words]
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    (tmp_path / "tasks.md").write_text(SPEC, encoding="utf-8")
    return tmp_path


def test_a_plan_file_alone_is_listed_as_it_stands(alone):
    done = do_tasks(alone, "list")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["[x] 1  A", "[ ] 2  B", "[ ] 3  C", "1 of 3 done (spec.md)"]
    steps = json.loads(do_tasks(alone, "list", "--json", "--ready").stdout)
    assert (steps["v"], [(one["id"], one["state"]) for one in steps["steps"]]) == (1, [("2", "open")])


def test_nothing_is_written_beside_a_plan_that_is_read(alone):
    for words in (["list"], ["lint"], ["next"], ["waves"], ["critical-path"], ["graph"]):
        assert do_tasks(alone, *words).returncode == 0
    assert os.listdir(alone) == ["tasks.md"]


def test_the_order_of_a_project_goes_by_its_definitions(tmp_path):
    (tmp_path / "SPEC.md").write_text(SPEC, encoding="utf-8")
    assert do_tasks(tmp_path, "waves").stdout == "1: 2\n2: 3\n"
    (tmp_path / "step_definitions.yaml").write_text(DEFINITIONS, encoding="utf-8")
    assert do_tasks(tmp_path, "waves").stdout == "1: 2, 3\n"
    assert do_tasks(tmp_path, "critical-path").stdout == "1  A\n3  C\n2 tasks\n"
    found = json.loads(do_tasks(tmp_path, "next", "-n", "5", "--json").stdout)
    assert [one["id"] for one in found["next"]] == ["2", "3"]
    steps = json.loads(do_tasks(tmp_path, "list", "--json").stdout)["steps"]
    assert [(one["id"], one["depends_on"]) for one in steps] == [("1", []), ("2", []), ("3", ["1"])]


@pytest.mark.parametrize(
    ("form", "sign"), [("text", "[ ] 3  C  <- 1"), ("mermaid", "t0 --> t2"), ("dot", '"1" -> "3";')]
)
def test_a_graph_is_drawn_in_each_form(tmp_path, form, sign):
    (tmp_path / "SPEC.md").write_text(SPEC, encoding="utf-8")
    (tmp_path / "step_definitions.yaml").write_text(DEFINITIONS, encoding="utf-8")
    assert sign in do_tasks(tmp_path, "graph", "--format", form).stdout


def test_a_drawing_holds_a_box_for_each_task_inside_the_image(alone):
    pytest.importorskip("grandalf")
    image = ET.fromstring(do_tasks(alone, "graph", "--format", "svg").stdout)
    left, top, width, height = map(float, image.attrib["viewBox"].split())
    boxes = image.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(boxes) == 3
    for box in boxes:
        x, y = float(box.attrib["x"]), float(box.attrib["y"])
        assert left <= x
        assert x + float(box.attrib["width"]) <= left + width
        assert top <= y
        assert y + float(box.attrib["height"]) <= top + height


def test_a_finding_is_told_with_its_line_and_exit_1(alone):
    with (alone / "tasks.md").open("a", encoding="utf-8") as file:
        file.write("- [ ] **STEP 2**: Again\n")
    done = do_tasks(alone, "lint", "tasks.md")
    assert done.returncode == 1
    assert (
        "tasks.md:2: ambiguous: 2 counts as open and is never ticked: step 2 stands there more than once" in done.stdout
    )
    found = json.loads(do_tasks(alone, "lint", "tasks.md", "--json").stdout)
    assert {(one["file"], one["line"], one["kind"]) for one in found["findings"]} == {
        ("tasks.md", 2, "ambiguous"),
        ("tasks.md", 4, "ambiguous"),
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lint", "gone.md"], "there is no file gone.md; name the plan: --plan FILE"),
        (["next", "--plan", "notes.md"], "notes.md: its content fits no format of plans"),
        (["next"], "several plans are here: SPEC.md, tasks.md; name one: --plan FILE"),
        (["next", "-n", "0", "--plan", "tasks.md"], "-n 0: must be at least 1"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_next_move(alone, words, said):
    (alone / "notes.md").write_text("no plan at all\n", encoding="utf-8")
    (alone / "SPEC.md").write_text(SPEC, encoding="utf-8")
    done = do_tasks(alone, *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_folder_without_any_plan_says_so(tmp_path):
    done = do_tasks(tmp_path, "next", "--project", str(tmp_path))
    assert done.returncode == 2
    assert "name one: --plan FILE" in done.stderr


def test_the_same_selectors_choose_in_each_command(alone):
    assert do_tasks(alone, "list", "--only", "2-3", "--exclude", "C").stdout.splitlines()[0] == "[ ] 2  B"
    assert do_tasks(alone, "next", "-n", "9", "--section", "x").returncode == 2
    assert do_tasks(alone, "waves", "--from", "3").stdout == "1: 3\n"
    assert do_tasks(alone, "graph", "--to", "2").stdout == "[x] 1  A\n[ ] 2  B  <- 1\n"
    assert do_tasks(alone, "stats", "--only", "1").stdout.splitlines()[0] == "all: 1 of 1 done (100 %)"


def test_open_gates_are_listed_below_the_tasks_and_are_none(tmp_path):
    text = "- [x] T001 Build it\n\n### Checkpoint\n\n- [ ] Everything imports\n- [x] It is short\n"
    (tmp_path / "tasks.md").write_text(text, encoding="utf-8")
    shown = do_tasks(tmp_path, "list").stdout.splitlines()
    assert shown[1:] == [
        "1 of 1 done (spec-kit)",
        "1 open gates, for people to tick:",
        "gate  tasks.md:5  Everything imports",
    ]
    gates = json.loads(do_tasks(tmp_path, "list", "--json").stdout)["gates"]
    assert [(one["line"], one["state"]) for one in gates] == [(5, "open"), (6, "done")]


SPECIFIED = """\
# Tasks: login

## Phase 1: Setup

- [x] T001 Make the folder
- [ ] T002 [P] Write the reader
- [ ] T003 [P] Write the writer

## Phase 2: Core

- [ ] T004 Join (depends on T002)
"""


@pytest.fixture
def defined(tmp_path: Path) -> Path:
    """A plan that definitions name, beside another one that lies where tools keep theirs."""
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "work.md").write_text(SPECIFIED, encoding="utf-8")
    (tmp_path / "tasks.md").write_text(
        "# Tasks: other\n\n## Phase 1: Setup\n\n- [ ] T009 Something else\n", encoding="utf-8"
    )
    (tmp_path / "step_definitions.yaml").write_text(
        "settings: {plan: plans/work.md}\nt4: {id: T004, depends_on: [T003], main: {command: 'true', test: none}}\n",
        encoding="utf-8",
    )
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["next"],
        ["waves"],
        ["graph"],
        ["critical-path"],
        ["export", "--github"],
        ["list"],
        ["import"],
        ["lint"],
        ["stats"],
    ],
    ids=lambda words: words[0],
)
def test_every_command_reads_the_plan_of_the_definitions(defined, words):
    said = do_tasks(defined, *words).stdout
    assert "T009" not in said
    assert any(one in said for one in ("T002", "T003", "4"))  # a task of it, or how many
    assert do_tasks(defined / "plans", *words).stdout.replace("work.md", "plans/work.md") == said


def test_a_task_is_added_to_the_plan_of_the_definitions(defined):
    assert do_tasks(defined, "new", "Measure it").returncode == 0
    assert "T005 Measure it" in (defined / "plans" / "work.md").read_text(encoding="utf-8")


def test_dependencies_of_the_definitions_go_before_those_of_the_plan(defined):
    assert (
        do_tasks(defined, "graph", "--only", "T003,T004").stdout.splitlines()[-1]
        == "[ ] T004  Join (depends on T002)  <- T003"
    )
    assert do_tasks(defined, "waves").stdout == "1: T002, T003\n2: T004\n"


def test_definitions_of_another_plan_say_nothing_about_this_one(defined):
    assert do_tasks(defined, "waves", "--plan", "tasks.md").stdout == "1: T009\n"


def test_the_states_of_the_side_file_count(defined):
    (defined / "step_definitions.yaml").write_text(
        "settings: {plan: report.md}\nt1: {id: T001, main: {command: 'true', test: none}}\n", encoding="utf-8"
    )
    report = "# Report\n\nPhase 1: Setup (T001-T002) - 2 tasks\n\n- T002 depends on T001\n"
    (defined / "report.md").write_text(report, encoding="utf-8")
    assert do_tasks(defined, "next").stdout.split()[0] == "T001"
    assert do_tasks(defined, "--step", "T001").returncode == 0
    assert do_tasks(defined, "next").stdout.split()[0] == "T002"
    assert do_tasks(defined, "waves").stdout == "1: T002\n"
    assert do_tasks(defined, "stats").stdout.startswith("all: 1 of 2 done")


def test_the_critical_path_follows_the_order_of_steps_without_written_dependencies(alone):
    assert do_tasks(alone, "critical-path").stdout == "1  A\n2  B\n3  C\n3 tasks\n"
    assert do_tasks(alone, "critical-path", "--from", "2").stdout == "2  B\n3  C\n2 tasks\n"


def test_the_critical_path_sees_through_the_end_of_a_phase(defined):
    done = do_tasks(defined, "critical-path", "--plan", "plans/work.md")
    assert done.stdout.splitlines()[-1] == "3 tasks"
